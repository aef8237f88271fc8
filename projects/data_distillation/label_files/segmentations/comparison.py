"""Compares the segmentations of two annotations."""

from .facts import Facts


def are_same(entry: dict, other: dict) -> bool:
    """Return whether two annotations surely have the same segmentation.

    Args:
        entry: An annotation, or what a check has read of it.
        other: Another one.

    Returns:
        True if both have equal ones, or none; False also if they are not known
        (checks have only `Facts` of them) or nested too deeply to compare.
    """
    values = [one.get('segmentation') for one in (entry, other)]
    if all(is_none(value) for value in values):
        return True
    if any(isinstance(value, Facts) for value in values):
        return False
    try:
        return values[0] == values[1]
    except RecursionError:  # They are nested nearly too deeply to be read.
        return False


def is_none(value: object) -> bool:
    """Return whether a `segmentation` has nothing in it.

    Args:
        value: The value, of any type, or its facts.

    Returns:
        True for null and an empty list or object.
    """
    if isinstance(value, Facts):
        return value.fault == 'empty'
    return not value
