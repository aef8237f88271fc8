"""What a rehearsal spares MMEngine, it gets back."""

from contextlib import suppress

import pytest
from mmengine.config import Config, utils
from yapf.yapflib import yapf_api

from projects.data_distillation.experiment.rehearsal.quick_configs import (
    quick_configs,
)


@pytest.mark.parametrize('error', [None, KeyError])
def test_configs_are_formatted_and_read_again_afterwards(formatted, error):
    format_code, load = yapf_api.FormatCode, utils.load
    cfg = Config(dict(a=dict(b=[1, 2], c='d')))
    layout = cfg.pretty_text

    with suppress(KeyError), quick_configs():
        inside = cfg.pretty_text
        assert utils.load is not load
        if error:
            raise error

    assert inside != layout
    assert cfg.pretty_text == layout
    assert yapf_api.FormatCode is format_code
    assert utils.load is load
