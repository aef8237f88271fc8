"""Checks of the arguments that a config or a command line gives."""

import math

import pytest

from projects.data_distillation import arguments

LIMITS = [
    ('check_is_fraction', (1e-9, 0.5), (0, 1, -1, 50), 'above 0 and below 1'),
    ('check_at_least_1', (1, 7), (0, -1, 1.5), 'an integer of at least 1'),
    ('check_above_0', (1e-9, 7), (0, -1), 'above 0'),
    ('check_score', (0, 0.5, 1), (-0.1, 1.1), 'from 0 to 1'),
]


@pytest.mark.parametrize(('check', 'right', 'wrong', 'rule'), LIMITS)
def test_value_out_of_range_is_refused(check, right, wrong, rule):
    for value in right:
        getattr(arguments, check)('a', value)
    for value in wrong:
        with pytest.raises(
            ValueError, match=f'^a must be {rule}, got {value}'
        ):
            getattr(arguments, check)('a', value)


@pytest.mark.parametrize(
    'check',
    ['check_is_fraction', 'check_at_least_1', 'check_above_0', 'check_score'],
)
def test_nan_is_refused(check):
    with pytest.raises(ValueError, match='^a must be .*, got nan'):
        getattr(arguments, check)('a', math.nan)


def test_iou_may_be_1():
    arguments.check_iou(1)
    for iou in (0, 1.1, math.nan):
        with pytest.raises(ValueError, match=f'at most 1, got {iou}'):
            arguments.check_iou(iou)


def test_ious_ascend():
    arguments.check_ious([0.5, 0.5, 1])
    with pytest.raises(ValueError, match='at most 1, got 2'):
        arguments.check_ious([0.5, 2])
    with pytest.raises(ValueError, match=r'ascend, got \[0.75, 0.5\]: sort'):
        arguments.check_ious([0.75, 0.5])


def test_value_that_is_not_allowed_is_refused():
    arguments.check_is_one_of('a', 'x', ('x', 'y'))
    with pytest.raises(
        ValueError, match=r"a must be one of \('x', 'y'\), got"
    ):
        arguments.check_is_one_of('a', 'z', ('x', 'y'))


@pytest.mark.parametrize('value', [0, -1.5, arguments.LARGEST])
def test_number_is_a_number(value):
    assert arguments.is_number(value) is True


@pytest.mark.parametrize(
    'value', [True, None, '1', [1], math.nan, math.inf, 2 * arguments.LARGEST]
)
def test_anything_else_is_no_number(value):
    assert arguments.is_number(value) is False
