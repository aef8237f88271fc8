"""Teachers that are given to an experiment, and those that do not fit."""

import math
from dataclasses import replace
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
    as_literals,
    name_classes,
    pack_too,
    require_masks,
)
from projects.data_distillation.multi_view.inference.class_maps import (
    ClassNames,
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


def test_names_are_written_that_the_checkpoint_does_not_say(teacher):
    names = ClassNames(('cat', 'dog'), {'cat': 'animal'})

    assert name_classes(teacher) == {}
    assert name_classes(replace(teacher, names=names)) == dict(
        classes=['cat', 'dog'], class_map={'cat': 'animal'}
    )


def test_texts_are_packed_with_the_image_in_every_view():
    load = dict(type='LoadImageFromFile')
    pack = dict(type='PackDetInputs', meta_keys=('img_id', 'text'))
    views = dict(type='TestTimeAug', transforms=[[load], [pack]])
    packed = dict(pack, meta_keys=('img_id', 'text', 'entities'))

    keys = ('text', 'entities')
    assert pack_too(load, keys) == load
    assert pack_too(pack, keys) == packed
    assert pack_too(views, keys) == dict(views, transforms=[[load], [packed]])
    assert pack_too(views, ()) is views
    bare = dict(type='PackDetInputs')
    assert pack_too(bare, keys) == dict(bare, meta_keys=keys)


def test_numbers_that_python_has_no_literal_for_are_written_as_calls():
    value = dict(a=[1.5, -math.inf], b=(dict(c=math.nan), 'inf'))

    written = as_literals(value)

    assert written['a'][0] == 1.5
    assert written['a'][1].text == "float('-inf')"
    assert isinstance(written['b'], tuple)
    assert written['b'][0]['c'].text == "float('nan')"
    assert written['b'][1] == 'inf'
