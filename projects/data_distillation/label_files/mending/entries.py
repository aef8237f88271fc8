"""Changes of the entries of a COCO file, which copy what they change."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from ..coco.schema import LARGEST_ID
from ..coco.tables import NO_OBJECT, CocoFile, Table

# The content of a mended file, and how often each mending was done.
Mended = tuple[dict, Counter]


def change_entries(
    table: Table, values: list, change: Callable[[int, dict], dict | None]
) -> list:
    """Return a list of a COCO file in which entries are changed or left out.

    Args:
        table: The table of the list.
        values: The list, as it is in the file.
        change: Takes the index of an entry and the entry, and returns the new
            one, the same object, or None to leave it out.

    Returns:
        The new list, in order; what is no object is in it as it was.
    """
    changed = []
    for index, value in enumerate(values):
        # By identity: an object without keys is equal to it.
        if table.entries[index] is NO_OBJECT:
            changed.append(value)
        elif (entry := change(index, value)) is not None:
            changed.append(entry)
    return changed


def replace_entries(
    file: CocoFile, name: str, change: Callable[[int, dict], dict | None]
) -> dict:
    """Change one list of a file.

    Args:
        file: The file. It is not changed.
        name: `'images'`, `'annotations'` or `'categories'`.
        change: Takes the index of an entry and the entry, and returns the new
            one, the same object, or None to leave it out.

    Returns:
        The new content, with the other lists of the file itself; what is no
        object stays. The content of the file if it has no such list.
    """
    values = file.content.get(name)
    if not isinstance(values, list):
        return file.content
    changed = change_entries(file.table(name), values, change)
    return dict(file.content, **{name: changed})


def iterate_free_ids(taken: Iterable[int]) -> Iterator[int]:
    """Yield ids that are not taken: the next larger ones, if there are any.

    Args:
        taken: The ids that are taken, integers of at most `LARGEST_ID`.

    Yields:
        Ids above 0, without end: first those above all that are taken, up to
        `LARGEST_ID`, and then the gaps, from 1 on.
    """
    ids = {0, *taken}
    yield from range(max(ids) + 1, LARGEST_ID + 1)
    # Only where the largest id is taken: the gaps, from 1 on.
    number = 0
    while True:
        number += 1
        if number not in ids:
            yield number
