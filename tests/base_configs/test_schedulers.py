"""Schedulers of another length, against those that MMEngine itself makes."""

import math

import mmdet.engine.schedulers  # noqa: F401 - registers them
import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
)
from projects.data_distillation.base_configs.schedulers import (
    Lengths,
    scale_scheduler,
)

EPOCHS = 12
FACTOR = 10
IN_EPOCHS = Lengths(EPOCHS, True, EPOCHS * FACTOR)
SCHEDULERS = [
    dict(type='ConstantLR', factor=0.1, end=3),
    dict(type='CosineAnnealingLR', T_max=12, eta_min=0.01),
    dict(type='CosineAnnealingLR', T_max=None, end=12, eta_min=0.01),
    dict(type='CosineAnnealingLR', T_max=8, eta_min_ratio=0.1, begin=4),
    dict(type='CosineAnnealingMomentum', T_max=12, eta_min=0.5),
    dict(
        type='CosineRestartLR',
        periods=[3, 4, 5],
        restart_weights=[1, 0.5, 0.2],
        eta_min=0,
    ),
    dict(
        type='CosineRestartParamScheduler',
        param_name='lr',
        periods=[6, 6],
        restart_weights=[1, 1],
        eta_min=0.01,
    ),
    dict(type='ExponentialLR', gamma=0.8),
    dict(type='ExponentialMomentum', gamma=0.8, begin=2, end=7),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.1, end=12),
    dict(type='mmengine.LinearLR', start_factor=0.1, end=4),
    dict(type='MultiStepLR', milestones=[8, 11]),
    dict(type='OneCycleLR', eta_max=0.2, total_steps=12),
    dict(type='OneCycleLR', eta_max=0.2, total_steps=None, end=12),
    dict(type='PolyLR', power=0.9, eta_min=0.001, end=12),
    dict(type='mmdet.QuadraticWarmupLR', end=5),
    dict(type='StepLR', step_size=3),
    dict(type='StepMomentum', step_size=1, gamma=0.9, begin=2, end=9),
]


def make_curve(scheduler, optimizer: torch.optim.SGD) -> list[float]:
    """What a scheduler makes of the rate or the momentum, step by step."""
    values = []
    for _ in range(EPOCHS * FACTOR):
        values.append(optimizer.param_groups[0][scheduler.param_name])
        optimizer.step()
        scheduler.step()
    return values


def make_optimizer() -> torch.optim.SGD:
    return torch.optim.SGD(
        [torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9
    )


@pytest.mark.slow
@pytest.mark.parametrize('config', SCHEDULERS, ids=lambda c: c['type'])
@pytest.mark.parametrize('converts', [False, True])
def test_curve_is_the_one_that_mmengine_makes_of_epochs(config, converts):
    optimizer = make_optimizer()
    kind = PARAM_SCHEDULERS.get(config['type'])
    arguments = {k: v for k, v in config.items() if k != 'type'}
    if config['type'].startswith('Exponential'):
        # MMEngine would apply the factor of an epoch in each iteration.
        arguments['gamma'] **= 1 / FACTOR
    expected = make_curve(
        kind.build_iter_from_epoch(
            optimizer, **arguments, epoch_length=FACTOR
        ),
        optimizer,
    )
    given = dict(config, convert_to_iter_based=True) if converts else config

    scaled = scale_scheduler(given, IN_EPOCHS)

    optimizer = make_optimizer()
    built = PARAM_SCHEDULERS.build(
        scaled, default_args=dict(optimizer=optimizer)
    )
    assert make_curve(built, optimizer) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize('config', SCHEDULERS, ids=lambda c: c['type'])
@pytest.mark.parametrize('max_iters', [1, 2, 7, 37, 119])
def test_any_length_runs_to_its_end(config, max_iters):
    scaled = scale_scheduler(config, Lengths(EPOCHS, True, max_iters))

    if scaled is None:  # A warm-up of less than two iterations.
        return
    optimizer = make_optimizer()
    scheduler = PARAM_SCHEDULERS.build(
        scaled, default_args=dict(optimizer=optimizer)
    )
    for _ in range(max_iters):
        optimizer.step()
        scheduler.step()
        assert math.isfinite(optimizer.param_groups[0]['lr'])


def test_schedulers_by_iterations_are_scaled_with_the_iterations():
    lengths = Lengths(1000, False, 200)

    scaled = scale_scheduler(
        dict(type='StepLR', by_epoch=False, step_size=250), lengths
    )
    decay = scale_scheduler(
        dict(
            type='LinearLR',
            by_epoch=False,
            start_factor=1.0,
            end_factor=0.0,
            end=900,
        ),
        lengths,
    )

    assert scaled['milestones'] == [50, 100, 150]
    assert decay['end'] == 180  # It falls, so it is no warm-up.


@pytest.mark.slow
def test_cycle_that_is_over_before_the_training_ends_changes_no_more():
    cycle = dict(
        type='OneCycleLR',
        by_epoch=False,
        eta_max=0.2,
        begin=100,
        total_steps=500,
    )

    scaled = scale_scheduler(cycle, Lengths(1000, False, 200))

    assert scaled['end'] == 20 + 100
    optimizer = make_optimizer()
    scheduler = PARAM_SCHEDULERS.build(
        scaled, default_args=dict(optimizer=optimizer)
    )
    # MMEngine raises an error for a step after the last one.
    for _ in range(200):
        optimizer.step()
        scheduler.step()


def test_warm_up_that_was_long_stays_long():
    warm_up = dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=500)

    assert scale_scheduler(warm_up, Lengths(1000, False, 200))['end'] == 100
    assert scale_scheduler(warm_up, Lengths(1000, False, 4000))['end'] == 500


def test_warm_up_of_one_step_is_left_out():
    # MMEngine would leave the rate at its first, low value.
    warm_up = dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=500)

    assert scale_scheduler(warm_up, Lengths(12, True, 10)) is None
    assert scale_scheduler(warm_up, Lengths(12, True, 20))['end'] == 2


def test_rates_follow_the_batch_size():
    lengths = Lengths(12, True, 120, learning_rate=0.1, rate_factor=0.25)

    cycle = scale_scheduler(
        dict(type='OneCycleLR', eta_max=0.4, total_steps=12), lengths
    )
    poly = scale_scheduler(dict(type='PolyLR', eta_min=0.004, end=9), lengths)
    each = scale_scheduler(
        dict(type='OneCycleLR', eta_max=[0.4, 0.8], total_steps=12), lengths
    )
    cosine = scale_scheduler(
        dict(type='CosineRestartLR', periods=[12], eta_min=0), lengths
    )
    momentum = scale_scheduler(
        dict(type='PolyMomentum', eta_min=0.5, end=9), lengths
    )

    assert cycle['eta_max'] == pytest.approx(0.1)
    assert poly['eta_min'] == pytest.approx(0.001)
    assert each['eta_max'] == pytest.approx([0.1, 0.2])
    assert cosine['eta_min_ratio'] == 0 and 'eta_min' not in cosine
    assert momentum['eta_min'] == 0.5


@pytest.mark.parametrize('key', ['T_max', 'total_steps'])
def test_count_of_none_is_the_default_of_mmengine(key):
    kind = 'CosineAnnealing' if key == 'T_max' else 'OneCycle'
    left_out = dict(type=f'{kind}LR', end=EPOCHS)

    scaled = scale_scheduler({**left_out, key: None}, IN_EPOCHS)

    assert scaled == scale_scheduler(left_out, IN_EPOCHS)


def test_setting_without_counts_needs_no_unit():
    same = dict(type='ConstantLR', factor=1.0, by_epoch=False)

    assert scale_scheduler(same, IN_EPOCHS) == same


@pytest.mark.parametrize(
    ('config', 'lengths', 'message'),
    [
        (dict(type='ReduceOnPlateauLR'), IN_EPOCHS, 'waits for validations'),
        (dict(type='ReduceOnPlateauMomentum'), IN_EPOCHS, 'waits for valid'),
        (dict(type='mine.WarmRestarts'), IN_EPOCHS, '^WarmRestarts cannot'),
        (
            dict(type='LinearLR', end=None),
            IN_EPOCHS,
            'LinearLR needs a number as `end`, got None: leave it out',
        ),
        (dict(type='PolyLR', begin=None), IN_EPOCHS, 'number as `begin`'),
        (
            dict(type='LinearLR', by_epoch=False, end=0),
            IN_EPOCHS,
            'LinearLR needs at least 1 as `end`, got 0: inherit',
        ),
        (dict(type='PolyLR', begin=4, end=4), IN_EPOCHS, '5 as `end`, got 4'),
        (
            dict(type='StepLR', step_size=0),
            IN_EPOCHS,
            'StepLR needs at least 1 as `step_size`, got 0',
        ),
        (dict(type='MyLR'), IN_EPOCHS, 'MyLR cannot be fitted .* StepLR'),
        (
            dict(type='MultiStepLR', milestones=[8]),
            Lengths(1000, False, 200),
            'MultiStepLR counts epochs, but the training counts iterations',
        ),
        (
            dict(type='CosineAnnealingLR', by_epoch=False, T_max=90_000),
            IN_EPOCHS,
            'counts iterations, but the training counts epochs',
        ),
        (
            dict(type='ExponentialLR', by_epoch=False, gamma=0.99),
            IN_EPOCHS,
            'counts iterations, but',
        ),
        (
            dict(type='LinearLR', by_epoch=False, begin=5, end=9),
            IN_EPOCHS,
            'counts iterations, but',
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(
    config, lengths, message
):
    with pytest.raises(DetectorError, match=message):
        scale_scheduler(config, lengths)


# Several schedulers of one training, as configs have them.
CHAINS = dict(
    exponential=[
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
        dict(type='ExponentialLR', gamma=0.9, end=12),
    ],
    cycle=[
        dict(
            type='OneCycleLR',
            eta_max=0.3,
            total_steps=12,
            convert_to_iter_based=True,
        )
    ],
    yolox=[
        dict(
            type='mmdet.QuadraticWarmupLR', end=2, convert_to_iter_based=True
        ),
        dict(
            type='CosineAnnealingLR',
            eta_min=0.005,
            begin=2,
            T_max=8,
            end=10,
            convert_to_iter_based=True,
        ),
        dict(type='ConstantLR', factor=1, begin=10, end=12),
    ],
    rtmdet=[
        dict(type='LinearLR', start_factor=1e-5, by_epoch=False, end=9),
        dict(
            type='CosineAnnealingLR',
            eta_min=0.005,
            begin=6,
            end=12,
            T_max=6,
            convert_to_iter_based=True,
        ),
    ],
    steps=[
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=5),
        dict(type='MultiStepLR', milestones=[8, 11], gamma=0.1, end=12),
        dict(type='MultiStepMomentum', milestones=[4], gamma=0.5, end=12),
    ],
    restarts=[
        dict(type='ConstantLR', factor=0.5, by_epoch=False, end=5),
        dict(
            type='CosineRestartLR', periods=[4, 8], restart_weights=[1, 0.5],
            eta_min=0,
        ),
    ],
    poly=[
        dict(
            type='LinearLR', start_factor=0.1, end=3,
            convert_to_iter_based=True,
        ),
        dict(
            type='PolyLR', power=2, eta_min=0.01, begin=3, end=12,
            convert_to_iter_based=True,
        ),
    ],
)  # fmt: skip


def run_chain(
    configs: list[dict], epoch_length: int
) -> list[tuple[float, float]]:
    """The rate and the momentum in each iteration of MMEngine's loops."""
    optimizer = make_optimizer()
    schedulers = []
    for config in configs:
        kind = PARAM_SCHEDULERS.get(config['type'])
        arguments = {k: v for k, v in config.items() if k != 'type'}
        if arguments.pop('convert_to_iter_based', False):
            arguments['epoch_length'] = FACTOR
            kind = kind.build_iter_from_epoch
        schedulers.append(kind(optimizer, **arguments))
    group, curve = optimizer.param_groups[0], []
    for iteration in range(1, EPOCHS * FACTOR + 1):
        curve.append((group['lr'], group['momentum']))
        optimizer.step()
        for one in schedulers:
            if not one.by_epoch or iteration % epoch_length == 0:
                one.step()
    return curve


@pytest.mark.slow
@pytest.mark.parametrize('name', CHAINS)
def test_schedulers_together_make_the_curve_of_the_base(name):
    """What steps once in an epoch steps in each iteration afterwards."""
    chain = CHAINS[name]
    scaled = [scale_scheduler(one, IN_EPOCHS) for one in chain]
    steps_alike = all(
        one.get('convert_to_iter_based')
        or not one.get('by_epoch', True)
        or one['type'].startswith(('MultiStep', 'Constant'))
        for one in chain
    )

    found, expected = run_chain(scaled, FACTOR), run_chain(chain, FACTOR)

    if steps_alike:
        assert found == [pytest.approx(pair) for pair in expected]
    starts = slice(FACTOR, None, FACTOR)
    assert found[starts] == [pytest.approx(pair) for pair in expected[starts]]


@pytest.mark.slow
@pytest.mark.parametrize('name', CHAINS)
@pytest.mark.parametrize('max_iters', [90, 480, 5000])
def test_curve_of_another_length_has_the_same_shape(name, max_iters):
    """Apart from a warm-up that counts iterations."""
    lengths = Lengths(EPOCHS, True, max_iters)
    chain = [c for c in CHAINS[name] if c.get('by_epoch', True)]
    scaled = [scale_scheduler(one, lengths) for one in chain]
    same = [scale_scheduler(one, IN_EPOCHS) for one in chain]

    stretch = max_iters / (EPOCHS * FACTOR)
    curve = run_curve([s for s in scaled if s], max_iters)
    expected = run_curve(same, EPOCHS * FACTOR)

    for place in range(FACTOR // 2, EPOCHS * FACTOR, FACTOR):
        near = expected[place - 2 : place + 3]
        rate = curve[round(place * stretch)]
        # Two steps to each side: rounding moves steps and warm-ups by one.
        assert 0.98 * min(near) <= rate <= 1.02 * max(near)


def run_curve(configs: list[dict], length: int) -> list[float]:
    """The rate in each of so many iterations."""
    optimizer = make_optimizer()
    schedulers = [
        PARAM_SCHEDULERS.build(one, default_args=dict(optimizer=optimizer))
        for one in configs
    ]
    rates = []
    for _ in range(length):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def test_infinite_end_is_none():
    scheduler = dict(type='CosineAnnealingLR', T_max=12, eta_min=0.01)

    endless = scale_scheduler(dict(scheduler, end=math.inf), IN_EPOCHS)

    assert endless == scale_scheduler(scheduler, IN_EPOCHS)
