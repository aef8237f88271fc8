"""What the entries of a COCO file must be."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeGuard

# Larger numbers are not exact as float64, and no pixel count.
LARGEST = 2**53


LARGEST_ID = 2**63 - 1


def is_id(value: object) -> TypeGuard[int]:
    """Whether a JSON value is an integer of 64 bits; true and false are none.

    The detection store and NumPy hold no larger ones.
    """
    return type(value) is int and -LARGEST_ID <= value <= LARGEST_ID


def is_number(value: object) -> TypeGuard[float]:
    """Whether a JSON value is a finite number; NaN compares as false."""
    if type(value) is int or type(value) is float:
        return -LARGEST <= value <= LARGEST
    return False


def is_text(value: object) -> TypeGuard[str]:
    """Whether a JSON value is a string that is not empty."""
    return type(value) is str and value != ''


def is_side(value: object) -> TypeGuard[float]:
    """Whether a JSON value can be the width or height of an image."""
    return is_number(value) and value >= 1 and value == int(value)


def is_bbox(value: object) -> TypeGuard[list[float]]:
    """Whether a JSON value is a list of four numbers, finite or not."""
    return (
        type(value) is list
        and len(value) == 4
        and all(type(number) in (int, float) for number in value)
    )


@dataclass(frozen=True)
class Rule:
    """What the value of a key must be.

    Args:
        holds: Tells whether a value is right.
        needed: The same in words.
        if_missing: What to do if there is none.
    """

    holds: Callable[[object], bool]
    needed: str
    if_missing: str = 'add it'


ID = Rule(is_id, 'an integer (64 bits)')


TEXT = Rule(is_text, 'a string that is not empty')


SIDE = Rule(is_side, 'a positive whole number')


SCHEMA = dict(
    images=dict(id=ID, file_name=TEXT, width=SIDE, height=SIDE),
    annotations=dict(
        id=ID,
        image_id=ID,
        category_id=ID,
        bbox=Rule(is_bbox, 'a list of four numbers'),
        area=Rule(
            is_number,
            'a finite number',
            'CocoDataset fails without: add w * h of the bbox (--fix does)',
        ),
        iscrowd=Rule(
            lambda value: value in (0, 1),
            '0 or 1',
            'COCOeval fails without: add 0 (--fix does)',
        ),
    ),
    categories=dict(id=ID, name=TEXT),
)


def repeated(values: Iterable) -> list:
    """Return the values that occur more than once, each once, in order."""
    return [value for value, n in Counter(values).items() if n > 1]
