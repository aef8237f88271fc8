"""A stage is tried again if anything that matters has changed."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from projects.data_distillation.experiment.rehearsal import record
from projects.data_distillation.experiment.rehearsal.record import (
    note_rehearsed,
    were_rehearsed,
)
from projects.data_distillation.experiment.rehearsal.stages_to_try import (
    StageToTry,
)

CHANGES = dict(
    option=lambda stage, folder: replace(stage, options=['model.x=1']),
    value=lambda stage, folder: replace(stage, values=dict(load_from='x.pth')),
    stage=lambda stage, folder: replace(stage, name='student'),
    teacher=lambda stage, folder: replace(stage, teacher='other.pth'),
)


@pytest.fixture
def stage(tiny_experiment, tmp_path, monkeypatch) -> StageToTry:
    """A training whose config and weights are in the temporary folder."""
    monkeypatch.chdir(tiny_experiment.parent)
    shutil.copytree(tiny_experiment, tmp_path, dirs_exist_ok=True)
    (tmp_path / 'weights.pth').write_bytes(b'weights')
    with (tmp_path / 'teacher.py').open('a') as config:
        config.write(f"load_from = '{tmp_path}/weights.pth'\n")
    stage = StageToTry(
        'teacher', str(tmp_path / 'teacher.py'), is_training=True
    )
    note_rehearsed(tmp_path, [stage])
    return stage


@pytest.mark.slow
def test_same_stage_was_tried_with_any_seed(stage, tmp_path):
    assert were_rehearsed(tmp_path, [stage])
    with_seed = replace(stage, values={'randomness.seed': 3})
    assert were_rehearsed(tmp_path, [with_seed])
    assert not were_rehearsed(tmp_path, [stage, replace(stage, name='oracle')])
    assert not were_rehearsed(tmp_path / 'other', [stage])


@pytest.mark.parametrize('change', CHANGES)
def test_other_stage_was_not_tried(stage, change, tmp_path):
    assert not were_rehearsed(tmp_path, [CHANGES[change](stage, tmp_path)])


def test_change_of_a_file_is_noticed(stage, tmp_path):
    weights = tmp_path / 'weights.pth'
    for file in (weights, tmp_path / 'teacher.py'):
        before = file.read_bytes()
        note_rehearsed(tmp_path, [stage])
        assert were_rehearsed(tmp_path, [stage])
        file.write_bytes(before + b'\nx = 1')
        assert not were_rehearsed(tmp_path, [stage])


def test_annotation_file_that_was_written_again_is_noticed(stage, tmp_path):
    cfg = record.load_config(stage)
    (labeled,) = set(record.find_annotation_files(cfg.train_dataloader))
    status = os.stat(labeled)
    before = status.st_atime_ns, status.st_mtime_ns

    # Other tests share the file.
    try:
        os.utime(labeled, ns=(before[0], before[1] + 1))
        assert not were_rehearsed(tmp_path, [stage])
    finally:
        os.utime(labeled, ns=before)


@pytest.mark.parametrize('what', ['machine', 'version'])
def test_other_machine_or_version_is_noticed(
    stage, what, tmp_path, monkeypatch
):
    if what == 'machine':
        monkeypatch.setattr(record.platform, 'node', lambda: 'other')
    else:
        monkeypatch.setattr(record.mmdet, '__version__', '0.0.1')

    assert not were_rehearsed(tmp_path, [stage])


def test_modules_of_the_user_may_have_changed(stage, tmp_path):
    imports = dict(imports=['projects.data_distillation', 'json'])
    own = replace(stage, values=dict(custom_imports=imports))

    note_rehearsed(tmp_path, [own])

    assert not were_rehearsed(tmp_path, [own])


def test_note_that_cannot_be_written_or_read_is_no_note(stage, tmp_path):
    (tmp_path / record.NOTE).unlink()
    assert not were_rehearsed(tmp_path, [stage])
    (tmp_path / record.NOTE).write_text('[')
    assert not were_rehearsed(tmp_path, [stage])
    note_rehearsed(Path('/proc/none'), [stage])
