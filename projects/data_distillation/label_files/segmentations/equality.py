"""Compares the segmentations of two annotations."""

from collections.abc import Iterable, Iterator, Sequence

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
        True for null and an empty list or object, or polygons of nothing.
    """
    facts = value if isinstance(value, Facts) else Facts.of(value)
    return not value or facts.fault == 'empty'


def pair_objects(
    keys: Iterable, entries: Sequence[dict]
) -> Iterator[tuple[int, int, bool]]:
    """Pair each object whose key occurs again with an earlier one.

    Args:
        keys: The key of each object, hashable; None is skipped.
        entries: The objects.

    Yields:
        The index of the first object of the key with the same segmentation, or
        else of the first one; the index of the later object; and whether both
        have the same segmentation. The order is that of the later ones.
    """
    earlier: dict = {}
    for index, key in enumerate(keys):
        if key is None:
            continue
        known = earlier.setdefault(key, [])
        same = (i for i in known if are_same(entries[i], entries[index]))
        first = next(same, None)
        if known:
            yield (
                known[0] if first is None else first,
                index,
                first is not None,
            )
        known.append(index)
