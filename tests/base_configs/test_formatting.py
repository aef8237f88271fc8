"""Configs are formatted as usual, but no more often than is needed."""

from collections.abc import Iterator

import pytest
from mmengine.config import Config, config
from yapf.yapflib import yapf_api

from projects.data_distillation.base_configs.formatting import (
    HOLDERS,
    formatted_by,
    formatted_once,
)


@pytest.fixture
def counted(formatted) -> Iterator[list[str]]:
    """The texts that yapf formats."""
    texts, format_code = [], yapf_api.FormatCode

    def count(text: str, **options: object) -> tuple[str, bool]:
        texts.append(text)
        return format_code(text, **options)

    with formatted_by(count):
        yield texts


def test_each_config_is_formatted_once(counted):
    configs = [Config(dict(a=dict(b=[1, 2], c=letter))) for letter in 'cd']
    layouts = [one.pretty_text for one in configs]
    assert len(counted) == 2

    with formatted_once():
        inside = [one.pretty_text for one in configs * 3]

    assert inside == layouts * 3
    assert len(counted) == 4


def test_other_options_give_another_layout(formatted):
    text = 'a = dict(b=1)\n'

    with formatted_once():
        wide, narrow = (
            yapf_api.FormatCode(text, style_config=dict(column_limit=limit))
            for limit in (79, 8)
        )

    assert wide == (text, False)
    assert narrow != wide


def test_each_module_that_has_the_function_is_changed():
    assert {yapf_api, config} >= {*HOLDERS}
    assert all(hasattr(holder, 'FormatCode') for holder in HOLDERS)
    assert (config in HOLDERS) == hasattr(config, 'FormatCode')
    before = [holder.FormatCode for holder in HOLDERS]

    with formatted_by(str.upper):
        assert {holder.FormatCode for holder in HOLDERS} == {str.upper}

    assert [holder.FormatCode for holder in HOLDERS] == before
