"""What the stages of an experiment need to know of given teachers."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from projects.data_distillation.experiment.given_teachers.evaluation import (
    add_speeds,
    count_parameters,
    describe_models,
    find_evaluation_changes,
    forget_record,
    is_label_free,
    name_data,
    name_teacher,
    read_record,
    read_speed,
)
from projects.data_distillation.files.atomic import write_json

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


def test_teachers_are_numbered_from_the_second_on():
    assert [name_teacher(n) for n in range(3)] == [
        'teacher', 'teacher2', 'teacher3',
    ]  # fmt: skip


def test_all_weights_are_counted():
    assert count_parameters(torch.nn.Linear(3, 2)) == 8


def test_record_of_a_teacher_that_is_trained_now_is_forgotten(tmp_path):
    assert read_record(tmp_path) == {}
    write_json(tmp_path / 'teacher/given.json', dict(teachers=[]))
    assert read_record(tmp_path) == dict(teachers=[])

    forget_record(tmp_path / 'teacher')

    assert read_record(tmp_path) == {}
    forget_record(tmp_path / 'teacher')
    write_json(tmp_path / 'teacher/given.json', ['damaged'])
    assert read_record(tmp_path) == {}


def write_metrics(folder, name: str, **metrics: float) -> None:
    write_json(folder / 'test' / name / f'{name}.json', metrics)


def test_speed_is_that_of_the_last_evaluation_without_loading(tmp_path):
    assert read_speed(tmp_path) is None
    write_metrics(tmp_path, '20260101_000000', time=9.0, data_time=1.0)
    write_metrics(tmp_path, '20260102_000000', time=0.75, data_time=0.25)
    assert read_speed(tmp_path) == 2.0

    settings = tmp_path / 'test/settings.json'
    write_json(settings, dict(test_dataloader=dict(batch_size=4)))
    assert read_speed(tmp_path) == 8.0
    write_json(settings, ['damaged'])
    assert read_speed(tmp_path) == 2.0
    write_metrics(tmp_path, '20260103_000000', time=0.5, data_time=0.5)
    assert read_speed(tmp_path) is None


RECORD = dict(
    teachers=[
        dict(
            name='teacher',
            checkpoint='a/b.pth',
            sha256='ab' * 32,
            parameters=41_304_000,
        )
    ],
    student=dict(parameters=2_000_000),
    is_label_free=True,
)


def test_speeds_are_those_of_the_folders_of_the_models(tmp_path):
    write_metrics(tmp_path / 'teacher', '20260101_000000', time=0.5)
    write_metrics(tmp_path / 'student', '20260101_000000', time=0.25)

    given = add_speeds(RECORD, tmp_path)

    assert list(describe_models(given)) == [
        (
            'teacher',
            'as given, a/b.pth (SHA-256 abababababab…): '
            '41.30 million parameters, 2.0 images/s',
        ),
        ('student', '2.00 million parameters, 4.0 images/s'),
    ]
    assert add_speeds({}, tmp_path) == {}
    assert list(describe_models({})) == []
    assert dict(describe_models(RECORD))['student'] == (
        '2.00 million parameters'
    )


def test_models_of_label_free_experiments_are_named():
    named = name_data(RECORD)

    assert named == dict(
        teacher='as given: b.pth',
        student='pseudo-labeled alone',
        oracle='truth alone: upper bound',
    )
    assert is_label_free(named)
    labeled = name_data(dict(RECORD, is_label_free=False))
    assert labeled == dict(teacher='as given: b.pth')
    assert not is_label_free(labeled)
    assert name_data({}) == {}
