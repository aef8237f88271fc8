"""Checks of the arguments that a config or a command line gives.

Also of the numbers in a file.
"""

import numbers
from collections.abc import Sequence
from typing import TypeGuard

# float64 does not hold all larger whole numbers exactly, and no image or box
# is that large.
LARGEST = 2**53


def check_is_fraction(name: str, value: float) -> None:
    """Check that a value is above 0 and below 1.

    Args:
        name: The name of the argument, for the message.
        value: The value of the argument.

    Raises:
        ValueError: If the value is 0 or less, 1 or more, or NaN.
        TypeError: If it is no number.
    """
    if not 0 < value < 1:
        raise ValueError(f'{name} must be above 0 and below 1, got {value}')


def check_at_least_1(name: str, value: int) -> None:
    """Check that a value is an integer, and at least 1.

    Args:
        name: The name of the argument, for the message.
        value: The value of the argument.

    Raises:
        ValueError: If the value is below 1, a float, or NaN.
        TypeError: If it is no number.
    """
    if value < 1 or not isinstance(value, numbers.Integral):
        raise ValueError(
            f'{name} must be an integer of at least 1, got {value}'
        )


def check_is_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Check that a value is one of the allowed values.

    Args:
        name: The name of the argument, for the message.
        value: The value of the argument, of any type.
        allowed: The allowed values.

    Raises:
        ValueError: If the value is not one of them.
    """
    if value not in allowed:
        raise ValueError(f'{name} must be one of {allowed}, got {value!r}')


def check_iou(iou: float) -> None:
    """Check that an IoU can be the least one at which a detection is right.

    Args:
        iou: The value of the argument `iou`.

    Raises:
        ValueError: If the value is 0 or less, above 1, or NaN.
        TypeError: If it is no number.
    """
    if not 0 < iou <= 1:
        raise ValueError(f'iou must be above 0 and at most 1, got {iou}')


def check_ious(ious: Sequence[float]) -> None:
    """Check the IoUs at which detections are matched.

    Args:
        ious: The value of the argument `ious`.

    Raises:
        ValueError: If `check_iou` refuses one, or one is below the one before
            it.
    """
    for iou in ious:
        check_iou(iou)
    if sorted(ious) != list(ious):
        raise ValueError(f'the IoUs must ascend, got {list(ious)}: sort them')


def check_above_0(name: str, value: float) -> None:
    """Check that a value is above 0.

    Args:
        name: The name of the argument, for the message.
        value: The value of the argument.

    Raises:
        ValueError: If the value is 0 or less, or NaN.
        TypeError: If it is no number.
    """
    if not value > 0:
        raise ValueError(f'{name} must be above 0, got {value}')


def check_score(name: str, score: float) -> None:
    """Check that a value can be a score.

    Args:
        name: The name of the argument, for the message.
        score: The value of the argument.

    Raises:
        ValueError: If the value is below 0, above 1, or NaN.
        TypeError: If it is no number.
    """
    if not 0 <= score <= 1:
        raise ValueError(f'{name} must be from 0 to 1, got {score}')


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a JSON value is a number from -`LARGEST` to `LARGEST`.

    NaN, infinity, `true` and `false` are not.

    Args:
        value: The value, of any type.

    Returns:
        True for an integer or float in this range, both ends included.
    """
    if type(value) is int or type(value) is float:
        return -LARGEST <= value <= LARGEST
    return False
