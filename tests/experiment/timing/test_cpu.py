"""What an experiment will take on a machine without a GPU."""

import shutil

import pytest
import torch

from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.timing import cpu
from projects.data_distillation.experiment.timing.cpu import (
    Work,
    describe_time,
)

MODELS_TRAINED = ('teacher', 'supervised_long', 'student')


@pytest.fixture(autouse=True)
def beside_the_data(tiny_experiment, monkeypatch) -> None:
    monkeypatch.chdir(tiny_experiment.parent)


def test_trainings_and_views_are_counted(tiny_experiment):
    work = Work.of(Experiment(tiny_experiment, MODELS_TRAINED))

    # 3 trainings of 2 iterations of 8 images, and 4 images in 5 views.
    assert work == Work(3 * 2 * 8, 4 * 5)
    assert work.estimate(0.5) == 0.5 * (3 * 48 + 20)


def test_teacher_that_is_the_control_is_trained_once(
    tiny_experiment, tmp_path
):
    experiment = shutil.copytree(tiny_experiment, tmp_path / 'experiment')
    config = experiment / 'supervised_long.py'
    config.write_text("_base_ = './teacher.py'\n")

    work = Work.of(Experiment(experiment, MODELS_TRAINED))

    assert work == Work(2 * 2 * 8, 4 * 5)


@pytest.mark.slow
@pytest.mark.parametrize('long', [0, 3600])
def test_smaller_detector_is_named_if_it_takes_long(
    tiny_experiment, monkeypatch, long
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(cpu, 'LONG', long)

    first, *more = describe_time(tiny_experiment)

    assert first.startswith('roughly 1 min on')
    assert ', which has no GPU, measured ' in first
    assert len(more) == (not long)
    assert all('Fewer --iterations cost quality' in line for line in more)


@pytest.mark.parametrize(('num', 'is_named'), [(2_000_000, 0), (2_000_001, 1)])
def test_small_detector_is_named_to_who_has_a_larger_one(num, is_named):
    (line,) = cpu.list_savings(num)

    assert (cpu.SMALL in line) == is_named
    assert 'a smaller --image-size' in line


class Slow(torch.nn.Module):
    """Notes how often it runs."""

    num_passes = 0

    def test_step(self, data: dict) -> None:
        self.num_passes += 1


@pytest.mark.parametrize(
    ('ends', 'least'),
    [
        # The first pass is long enough, but it warms up layers.
        ([5.0, 6.0], 1.0),
        ([0.5, 0.75, 1.25], 0.25),
    ],
)
def test_passes_are_repeated_for_some_seconds(monkeypatch, ends, least):
    times = [0.0, *(t for end in ends for t in (end, end))]
    clock = iter(times)
    monkeypatch.setattr(cpu.time, 'perf_counter', lambda: next(clock))
    model = Slow()

    assert cpu.measure_forward(model, {}) == least
    assert model.num_passes == len(ends)


def test_nothing_is_said_where_there_is_a_gpu(tiny_experiment, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)

    assert not list(describe_time(tiny_experiment))


def test_image_that_fails_is_named(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for stage in ('annotate', *MODELS_TRAINED):
        base = str(tiny_experiment / f'{stage}.py')
        text = (
            f'_base_ = {base!r}\n'
            'test_dataloader = dict(dataset=dict(pipeline=[]))\n'
        )
        (tmp_path / f'{stage}.py').write_text(text)

    (line,) = describe_time(tmp_path)

    assert line.startswith('not estimated, since a first image failed: ')
