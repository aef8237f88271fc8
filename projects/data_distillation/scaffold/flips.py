"""Finds the flips that a detector is trained with."""

from collections.abc import Iterator, Mapping

from ..base_configs.reading import get_type
from .detector import DetectorConfig

DIRECTIONS = 'horizontal', 'vertical', 'diagonal'


def find_flips(detector: DetectorConfig) -> list[str]:
    """Find the directions that views may be flipped in.

    Args:
        detector: The detector.

    Returns:
        The directions of the flips that it sees in training, and
        `'horizontal'`, in which most objects look natural.
    """
    seen = {'horizontal'}
    for transform in detector.train_dataset.transforms():
        seen.update(list_directions(transform))
    return [direction for direction in DIRECTIONS if direction in seen]


def list_directions(transform: Mapping) -> Iterator[str]:
    """Yield the directions of a `RandomFlip`; of other transforms, none."""
    if get_type(transform) != 'RandomFlip':
        return
    direction = transform.get('direction', 'horizontal')
    yield from [direction] if isinstance(direction, str) else direction


def make_flip(direction: str) -> dict:
    """Return the config of a flip, without its default."""
    flip = dict(type='Flip')
    if direction == 'horizontal':
        return flip
    return dict(flip, direction=direction)
