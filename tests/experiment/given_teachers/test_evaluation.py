"""What the stages of an experiment need to know of given teachers."""

from pathlib import Path

import pytest
from mmengine.config import Config

from projects.data_distillation.experiment.given_teachers.evaluation import (
    find_evaluation_changes,
)

GIVEN = dict(type='GivenDetector', module=dict(type='ATSS'))
OTHER = dict(checkpoint='b.pth', module=dict(type='FCOS'), classes=['a'])


class Stages:
    """An experiment whose annotation has a second teacher."""

    def load(self, stage: str) -> Config:
        assert stage == 'annotate'
        return Config(dict(model=dict(other_teachers=[OTHER])))

    def config(self, stage: str) -> Path:
        return Path('exp') / f'{stage}.py'


def test_first_given_teacher_is_evaluated_as_its_config_says():
    cfg = Config(dict(model=GIVEN, custom_hooks=[dict(type='Own')]))

    assert find_evaluation_changes(cfg, 0, Stages()) == {}


@pytest.mark.parametrize('model', [GIVEN, dict(type='ATSS')])
def test_second_teacher_takes_the_place_of_the_first(model):
    cfg = Config(dict(model=model, custom_hooks=[dict(type='Own')]))

    changes = find_evaluation_changes(cfg, 1, Stages())

    assert changes == dict(
        model=dict(
            _delete_=True,
            type='GivenDetector',
            module=dict(type='FCOS'),
            classes=['a'],
            class_map=None,
        ),
        custom_hooks=[dict(type='Own'), dict(type='GivenDetectorHook')],
    )


def test_teacher_that_is_not_there_is_refused():
    cfg = Config(dict(model=GIVEN))

    with pytest.raises(
        ValueError, match='no teacher 3: exp/annotate.py has 2'
    ):
        find_evaluation_changes(cfg, 2, Stages())


def test_teacher_that_would_be_trained_is_evaluated_as_given():
    cfg = Config(dict(model=dict(type='ATSS', neck=None)))

    changes = find_evaluation_changes(cfg, 0, Stages())

    assert changes['model'] == dict(
        _delete_=True,
        type='GivenDetector',
        module=dict(type='ATSS', neck=None),
    )
    assert changes['custom_hooks'] == [dict(type='GivenDetectorHook')]
