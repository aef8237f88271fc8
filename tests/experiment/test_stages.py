"""Commands of stages, and what of their results is outdated."""

import shutil

import pytest
from builders import annotate, annotate_cfg

from projects.data_distillation.experiment.definition import Experiment
from projects.data_distillation.experiment.launcher import Launcher
from projects.data_distillation.experiment.process import StageError
from projects.data_distillation.experiment.stages import (
    Stages,
    join_reasons,
    require_checkpoint,
    require_metrics,
)


def test_few_reasons_are_listed():
    assert join_reasons(['a', 'b', 'c']) == 'a; b; c'
    assert join_reasons(list('abcde')) == 'a; b; c; and 2 more'


def test_stage_that_ended_without_results_is_named(tmp_path):
    with pytest.raises(StageError, match=f'{tmp_path} must hold a checkpoint'):
        require_checkpoint(tmp_path)
    with pytest.raises(StageError, match=f'{tmp_path} must hold metrics'):
        require_metrics(tmp_path)


@pytest.fixture
def stages(drawn, checkpoint, tmp_path) -> Stages:
    """An experiment whose teacher is the toy, and its detections."""
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'annotate')
    for stage in ('teacher', 'annotate', 'student'):
        cfg.dump(tmp_path / f'{stage}.py')
    annotate(cfg)
    return Stages(Experiment(tmp_path), Launcher())


def test_detections_of_another_teacher_are_outdated(
    stages, checkpoint, tmp_path
):
    folder = tmp_path / 'annotate'
    other = tmp_path / 'other.pth'
    other.write_bytes(b'other')
    elsewhere = shutil.copy(checkpoint, tmp_path / 'copy.pth')

    assert stages.find_outdated_keys('annotate', folder, checkpoint) == []
    assert stages.find_outdated_keys('annotate', folder, elsewhere) == []
    assert stages.find_outdated_keys('annotate', folder, other) == [
        'checkpoint_sha256'
    ]
    assert (
        stages.find_outdated_keys('annotate', tmp_path / 'none', other) == []
    )


def test_labels_depend_on_the_images_and_the_labeled_file(stages, drawn):
    before = stages.collect_detection_settings('annotate')
    assert stages.collect_detection_settings('annotate') == before

    drawn.write('unlabeled.json', dict(images=drawn.truth['images'][1:]))
    fewer = stages.collect_detection_settings('annotate')
    drawn.write('labeled.json', dict(drawn.labeled, annotations=[]))
    others = stages.collect_detection_settings('annotate')

    assert before['images'] != fewer['images']
    assert before['files'] == fewer['files'] != others['files']
