"""A config that cannot be used is named, with the reason."""

import pytest

from projects.data_distillation.base_configs.stage_config import (
    StageConfigError,
    read_stage_config,
)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'model = (1\n', "got SyntaxError: '\\(' was never closed"),
        (b"model = '\xff'\n", "got UnicodeDecodeError: 'utf-8' codec"),
        (b'model = 1\0\n', 'got SyntaxError: source code string cannot'),
        (b'model = other\n', "got NameError: name 'other' is not defined"),
        (b'model = 1 / 0', 'got ZeroDivisionError: division by zero'),
        (b"_base_ = './none.py'\n", 'got FileNotFoundError: .*none.py'),
        (b'', 'must have settings, got none'),
    ],
)
def test_config_that_cannot_be_used_is_named(tmp_path, content, reason):
    file = tmp_path / 'annotate.py'
    file.write_bytes(content)

    with pytest.raises(StageConfigError, match=reason) as refused:
        read_stage_config(file, 'delete it')

    assert str(refused.value).startswith(f'{file} must ')
    assert str(refused.value).endswith('; delete it')


def test_config_and_module_that_are_not_there_are_errors_of_their_own(
    tmp_path,
):
    file = tmp_path / 'annotate.py'
    with pytest.raises(FileNotFoundError, match=f'not found: {file}'):
        read_stage_config(file)
    file.write_text("custom_imports = dict(imports=['no_such_module'])\n")
    with pytest.raises(ImportError, match='no_such_module'):
        read_stage_config(file)


def test_config_is_read_with_what_it_inherits(tmp_path):
    (tmp_path / 'base.py').write_text("model = dict(type='GFL')\n")
    (tmp_path / 'stage.py').write_text("_base_ = 'base.py'\nother = 1\n")

    cfg = read_stage_config(tmp_path / 'stage.py')

    assert cfg.model.type == 'GFL'
    assert cfg.other == 1
