"""A training whose loss is no number ends, and can be resumed."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from projects.data_distillation.training.finite_loss import (
    MAX_SKIPPED,
    FiniteLossHook,
    TrainingDivergedError,
)

RATE = 1e6


@pytest.fixture
def runner() -> SimpleNamespace:
    """What the hook reads of a runner, with a real model."""
    optimizer = dict(lr=RATE)
    return SimpleNamespace(
        model=torch.nn.BatchNorm1d(2),
        iter=12,
        cfg=Config(dict(optim_wrapper=dict(optimizer=optimizer))),
    )


def losses(value: float) -> dict:
    return dict(
        loss=torch.tensor(value), loss_bbox=torch.tensor(1.0), acc=math.nan
    )


@pytest.mark.parametrize('weight', ['weight', 'running_var'])
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_end_it_at_once(runner, weight, value):
    getattr(runner.model, weight).data[1] = value

    with pytest.raises(TrainingDivergedError, match='loss is') as error:
        FiniteLossHook().after_train_iter(runner, 0, None, losses(value))

    text = str(error.value)
    assert f'iteration 13: loss is {value}, and the weights ({weight})' in text
    assert 'optim_wrapper.optimizer.lr, here 1000000.0' in text
    assert 'loss_bbox' not in text
    assert 'acc' not in text


def test_weights_have_their_own_names_with_several_processes(runner):
    runner.model.weight.data[1] = math.nan
    # As MMEngine wraps a model then.
    runner.model = torch.nn.DataParallel(runner.model)

    with pytest.raises(TrainingDivergedError, match=r'the weights \(weight\)'):
        FiniteLossHook().after_train_iter(runner, 0, None, losses(math.nan))


def test_steps_that_mixed_precision_skips_go_by(runner):
    hook = FiniteLossHook()
    for _ in range(3):
        for _ in range(MAX_SKIPPED):
            hook.after_train_iter(runner, 0, None, losses(math.nan))
        hook.after_train_iter(runner, 0, None, losses(1.0))

        assert hook.num_skipped == 0


def test_loss_that_stays_ends_it(runner):
    hook = FiniteLossHook(max_skipped=2)
    for _ in range(2):
        hook.after_train_iter(runner, 0, None, losses(math.inf))

    with pytest.raises(
        TrainingDivergedError, match='so were the 2 iterations before'
    ):
        hook.after_train_iter(runner, 0, None, losses(math.nan))


def test_losses_that_are_numbers_or_missing_end_nothing(runner):
    hook = FiniteLossHook(max_skipped=0)

    hook.after_train_iter(runner, 0, None, losses(1e30))
    hook.after_train_iter(runner, 0, None, None)

    assert hook.num_skipped == 0


@pytest.mark.parametrize('part', ['state_dict', 'ema_state_dict'])
def test_no_checkpoint_has_weights_that_are_no_numbers(runner, part):
    hook = FiniteLossHook()
    weights = dict(a=torch.tensor([1.0, 2.0]), n=torch.tensor(1))
    hook.before_save_checkpoint(runner, {part: weights, 'meta': {}})
    weights['a'][1] = math.nan

    with pytest.raises(TrainingDivergedError, match=r'\(a\) .* no checkpoint'):
        hook.before_save_checkpoint(runner, {part: weights, 'meta': {}})


def test_negative_number_is_refused():
    with pytest.raises(ValueError, match='at least 0, got -1'):
        FiniteLossHook(max_skipped=-1)
