"""What a trial of a stage refuses, and when it ends."""

import signal
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from builders import ToyDetector, annotate_cfg, written_cfg
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from projects.data_distillation.experiment.rehearsal.remedies import (
    find_excuse,
)
from projects.data_distillation.experiment.rehearsal.stages_to_try import (
    StageToTry,
)
from projects.data_distillation.experiment.rehearsal.trial import (
    RESULT,
    STAGES,
    RehearsalResult,
    TimeUpError,
    Trials,
    find_readable,
    limit_time,
    run_trials,
)
from projects.data_distillation.files.atomic import read_json, write_json


def spoil(drawn, *numbers: int) -> None:
    for number in numbers:
        file = drawn.folder / f'unlabeled/{number}.png'
        file.write_bytes(b'no image')


def test_trial_ends_when_its_time_is_up():
    before = signal.getsignal(signal.SIGALRM)

    with pytest.raises(TimeUpError, match='it has taken 60 s'), limit_time(60):
        signal.raise_signal(signal.SIGALRM)

    assert signal.alarm(0) == 0
    assert signal.getsignal(signal.SIGALRM) == before


@TRANSFORMS.register_module()
class TimeRunsOut(BaseTransform):
    """A step of a pipeline during which the time is up."""

    def transform(self, results: dict) -> dict:
        signal.raise_signal(signal.SIGALRM)
        return results


def test_time_that_is_up_in_a_pipeline_is_not_taken_for_its_fault(
    drawn, tmp_path
):
    cfg = annotate_cfg(drawn, None, tmp_path)
    steps = cfg.test_dataloader.dataset.pipeline
    steps.insert(1, dict(type='TimeRunsOut'))

    with pytest.raises(TimeUpError, match='it has taken 60 s'), limit_time(60):
        find_readable(cfg)


def test_stage_that_takes_too_long_is_named(drawn, checkpoint, tmp_path):
    config = written_cfg(drawn, checkpoint, tmp_path)
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='TimeRunsOut'))
    cfg.dump(config)
    stage = StageToTry('tune', str(config), False, teacher=str(checkpoint))
    request = dict(seconds=60, stages=[asdict(stage)])
    write_json(tmp_path / STAGES, request)

    assert run_trials(tmp_path) == 1

    result = RehearsalResult(**read_json(tmp_path / RESULT))
    assert (result.stage, result.error) == ('tune', 'TimeUpError')
    assert 'takes too long' in find_excuse(result, has_gpu=True)


def test_images_that_cannot_be_read_are_left_out(drawn, tmp_path):
    cfg = annotate_cfg(drawn, None, tmp_path)
    spoil(drawn, 0, 2)
    assert find_readable(cfg) == [1]

    cfg.test_dataloader.batch_size = 2
    cfg.test_dataloader.dataset.indices = [0, 4, 3]
    assert find_readable(cfg) == [4, 3]


def test_images_of_which_none_can_be_read_are_refused(drawn, tmp_path):
    spoil(drawn, *range(5))

    with pytest.raises(ValueError, match='none of the first 5 images can be'):
        find_readable(annotate_cfg(drawn, None, tmp_path))


def test_pipeline_that_fails_on_a_whole_image_is_refused(drawn, tmp_path):
    cfg = annotate_cfg(drawn, None, tmp_path)
    steps = cfg.test_dataloader.dataset.pipeline
    steps.insert(1, dict(type='Resize', scale='wide'))
    spoil(drawn, 0)

    with pytest.raises(ValueError, match='its pipeline fails: '):
        find_readable(cfg)


@pytest.fixture
def passes() -> Iterator[list]:
    """The forward passes of the toy teacher."""
    passes: list = []

    def note(module: nn.Module, inputs: tuple) -> None:
        if isinstance(module, ToyDetector):
            passes.append(module)

    handle = register_module_forward_pre_hook(note)
    yield passes
    handle.remove()


@pytest.mark.slow
def test_all_views_of_tuning_are_tried(drawn, checkpoint, tmp_path, passes):
    config = written_cfg(drawn, checkpoint, tmp_path)
    stage = StageToTry('tune', str(config), False, teacher=str(checkpoint))

    Trials(tmp_path).detect(stage)

    # A trial of limited time begins with one view, and then takes all three.
    assert len(passes) == 3


@pytest.mark.slow
def test_evaluation_tries_the_weights_of_the_training(
    drawn, checkpoint, tmp_path, passes
):
    config = written_cfg(drawn, checkpoint, tmp_path)
    stage = StageToTry('student', str(config), is_training=True)
    trials = Trials(tmp_path)

    with pytest.raises(FileNotFoundError, match='deleted.pth'):
        trials.evaluate(stage, tmp_path / 'deleted.pth')
    assert not passes

    trials.evaluate(stage, checkpoint)
    assert passes


@pytest.mark.slow
def test_trainings_are_tried_after_one_whose_folder_is_gone(
    tiny_experiment, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    # As MMDetection's default runtime names it for all configs.
    named = [
        'visualizer.type=DetLocalVisualizer',
        'visualizer.name=visualizer',
    ]
    config = str(tiny_experiment / 'teacher.py')
    trials = Trials(tmp_path)

    for name in ('supervised_long', 'oracle'):
        trials.train(StageToTry(name, config, is_training=True, options=named))
        assert not (tmp_path / name).exists()
