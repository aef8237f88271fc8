"""Configs are read once, and again when one of their files has changed."""

import os

import pytest
from mmengine.config import Config

from projects.data_distillation.base_configs.known_configs import KnownConfigs
from projects.data_distillation.base_configs.stage_config import (
    read_stage_config,
)

COUNTING = "_base_ = 'base.py'\ntimes = open('times', 'a').write('x')\n"


@pytest.fixture
def known(tmp_path, monkeypatch) -> KnownConfigs:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'base.py').write_text('model = dict(depth=18)')
    (tmp_path / 'stage.py').write_text(COUNTING)
    return KnownConfigs()


def count_readings() -> int:
    return os.path.getsize('times')


def test_config_is_read_once_and_is_the_callers_own(known):
    first = known.read('stage.py')
    first.model.depth = 50

    again = known.read('stage.py')

    assert count_readings() == 1
    assert again.model.depth == 18
    assert again.filename == 'stage.py'
    assert again.to_dict() == Config.fromfile('stage.py').to_dict()


def test_mmengine_reads_as_before_afterwards(known, tmp_path):
    read = Config._file2dict
    known.read('stage.py')
    assert Config._file2dict is read
    (tmp_path / 'stage.py').write_text('1 / 0')
    with pytest.raises(ZeroDivisionError, match='by zero'):
        known.read('stage.py')
    assert Config._file2dict is read


def test_stages_are_read_once(known):
    for _ in range(3):
        assert read_stage_config('stage.py').model.depth == 18

    assert count_readings() == 1


def test_config_is_read_again_after_a_change_of_its_base(known, tmp_path):
    known.read('stage.py')
    (tmp_path / 'base.py').write_text('model = dict(depth=34)')

    assert known.read('stage.py').model.depth == 34
    assert count_readings() == 2


def test_base_that_is_gone_is_missed(known, tmp_path):
    known.read('stage.py')
    (tmp_path / 'base.py').unlink()

    with pytest.raises(FileNotFoundError, match=r'base\.py'):
        known.read('stage.py')


@pytest.mark.parametrize('text', ["'{{$ROOT:80}}'", "{{'$ROOT:80'}}"])
def test_environment_is_looked_at_each_time(
    text, known, tmp_path, monkeypatch
):
    (tmp_path / 'stage.py').write_text(f'root = {text}')
    assert str(known.read('stage.py').root) == '80'

    monkeypatch.setenv('ROOT', '90')

    assert str(known.read('stage.py').root) == '90'


def test_same_name_elsewhere_is_another_config(known, tmp_path, monkeypatch):
    known.read('stage.py')
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    (elsewhere / 'stage.py').write_text('model = dict(depth=101)')
    monkeypatch.chdir(elsewhere)

    assert known.read('stage.py').model.depth == 101


def test_config_with_read_base_is_read_each_time(known, tmp_path):
    file = tmp_path / 'lazy.py'
    text = (
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from .base import *\n'
        'number = {}\n'
    )
    file.write_text(text.format(1))
    assert known.read(file).number == 1

    file.write_text(text.format(2))

    assert known.read(file).number == 2
