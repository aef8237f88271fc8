"""Teachers that are given to an experiment, and those that do not fit."""

from pathlib import Path

import pytest
from given_teachers import write_detector
from mmengine.config import Config

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
)
from projects.data_distillation.experiment.given_teachers.teacher import (
    GivenTeacher,
)
from projects.data_distillation.experiment.scaffold.given import (
    TeacherConfig,
    require_masks,
)


@pytest.fixture
def teacher(tmp_path) -> GivenTeacher:
    cfg = Config.fromfile(write_detector(tmp_path / 'teacher.py'))
    return GivenTeacher(Path('t.pth'), 'its config', cfg)


def test_teacher_without_a_test_pipeline_is_refused(teacher):
    assert TeacherConfig.of(teacher).cfg is teacher.cfg

    teacher.cfg.test_dataloader.dataset.pipeline = []
    with pytest.raises(DetectorError, match='of t.pth needs a `test_datalo'):
        TeacherConfig.of(teacher)
    teacher.cfg.test_dataloader = None
    with pytest.raises(DetectorError, match='which says how it sees images'):
        TeacherConfig.of(teacher)


def test_teacher_of_boxes_cannot_teach_masks(teacher):
    with pytest.raises(DetectorError, match='and t.pth gives none: its conf'):
        require_masks(teacher)
