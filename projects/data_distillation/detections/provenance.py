"""What made the detections of a store."""

from typing import TypeVar

Made = TypeVar('Made')


# Where things were, not what they were: these may change between two runs.
LOCATIONS = ('teacher_config', 'checkpoint')


# What must be the same for scores to mean the same.
TEACHER_KEYS = (
    'detector_sha256',
    'checkpoint_sha256',
    'other_teachers',
    'pipeline',
    'views',
    'mode',
    'merger',
    'prompt',
)


def differing_keys(one: dict, other: dict) -> list[str]:
    """Return the keys, apart from `LOCATIONS`, whose values differ, sorted."""
    keys = (one.keys() | other.keys()) - set(LOCATIONS)
    return sorted(key for key in keys if one.get(key) != other.get(key))
