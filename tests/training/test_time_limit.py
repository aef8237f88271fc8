"""A training that is only to be measured ends in time."""

import time
from types import SimpleNamespace

import pytest
import torch
from builders import CLASSES
from toy_training import make_trainer

from projects.data_distillation.training.time_limit import TimeLimitHook


@pytest.fixture
def runner() -> SimpleNamespace:
    """What the hook reads of a runner."""
    loop = SimpleNamespace(stop_training=False)
    return SimpleNamespace(iter=0, train_loop=loop)


def train(hook: TimeLimitHook, runner: SimpleNamespace, number: int) -> int:
    """Return how many iterations are trained, of at most `number`."""
    while runner.iter < number and not runner.train_loop.stop_training:
        hook.before_train_iter(runner, runner.iter)
        time.sleep(0.01)
        hook.after_train_iter(runner, runner.iter)
        runner.iter += 1
    return runner.iter


def test_first_iteration_is_always_trained(runner):
    assert train(TimeLimitHook(0.005), runner, 9) == 1


def test_training_ends_when_it_is_time(runner):
    assert 1 < train(TimeLimitHook(0.03), runner, 9) <= 3


def test_training_goes_on_until_then(runner):
    assert train(TimeLimitHook(1000), runner, 9) == 9


def test_weights_are_saved_without_the_optimizer_and_named(drawn, tmp_path):
    runner = make_trainer(drawn, tmp_path / 'work')

    TimeLimitHook(1).after_train(runner)

    file = tmp_path / 'work/iter_0.pth'
    assert (tmp_path / 'work/last_checkpoint').read_text() == str(file)
    content = torch.load(file, weights_only=False)
    assert content['state_dict'].keys() == {'score'}
    assert content['meta']['dataset_meta']['classes'] == CLASSES
    assert content['meta']['iter'] == 0
    assert 'optimizer' not in content
