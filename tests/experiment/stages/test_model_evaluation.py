"""An evaluation is done if its record names what is there."""

from pathlib import Path

import pytest

from projects.data_distillation.experiment.processes.process import StageError
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.fingerprint import (
    write_settings,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.model_evaluation import (
    Evaluation,
    mark_evaluated,
)
from projects.data_distillation.experiment.stages.stages import Stages

METRICS, RESULTS = '20200101_000000/20200101_000000.json', 'results.bbox.json'


@pytest.fixture
def evaluation(tiny_experiment, tmp_path, monkeypatch) -> Evaluation:
    """One that has ended, as far as its files tell."""
    monkeypatch.chdir(tiny_experiment.parent)
    stages = Stages(Experiment(tiny_experiment), Launcher())
    checkpoint = tmp_path / 'teacher/iter_2.pth'
    training = stages.prepare_training('teacher', tmp_path / 'teacher')
    made = Evaluation(training, checkpoint)
    for file in (checkpoint, made.folder / METRICS, made.folder / RESULTS):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"coco/bbox_mAP": 0.5}')
    write_settings(made.folder, made.collect_settings())
    mark_evaluated(made.folder)
    return made


@pytest.mark.slow
def test_finished_evaluation_is_not_repeated(evaluation):
    assert evaluation.find_reasons() == []
    assert evaluation.run()['bbox_mAP'] == 0.5


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        (METRICS, 'its results are not what'),
        (RESULTS, 'its results are not what'),
        ('settings.json', 'settings.json is damaged'),
        ('finished', 'its results are not what'),
        ('../iter_2.pth', 'checkpoint_sha256 was'),
    ],
)
def test_what_was_changed_is_noticed(evaluation, name, reason):
    (evaluation.folder / name).write_text('[1]')

    assert evaluation.find_reasons()[0].startswith(reason)


@pytest.mark.parametrize(
    'name', [METRICS, RESULTS, 'settings.json', 'finished']
)
def test_what_is_gone_is_noticed(evaluation, name):
    (evaluation.folder / name).unlink()

    assert evaluation.find_reasons()


def test_newer_metrics_are_not_those_of_the_evaluation(evaluation):
    other: Path = evaluation.folder / '20300101_000000/20300101_000000.json'
    other.parent.mkdir()
    other.write_text('{"coco/bbox_mAP": 0.9}')

    assert evaluation.find_reasons()


def test_evaluation_without_metrics_has_not_ended(evaluation):
    (evaluation.folder / METRICS).unlink()

    with pytest.raises(StageError, match='must hold metrics'):
        mark_evaluated(evaluation.folder)
