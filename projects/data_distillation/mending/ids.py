"""Ids that are texts or numbers with a decimal point become integers."""

from collections import Counter
from collections.abc import Iterable

from ..coco.schema import as_id, is_id, is_text
from ..coco.tables import CocoFile, Table
from .entries import Mended, iterate_free_ids, replace_entries

REFERENCES = dict(images='image_id', categories='category_id')


def mend_ids(file: CocoFile) -> Mended:
    """Make integers of all ids, and of what refers to them.

    `"3"` and `3.0` become 3, and any other text becomes a number that is free.
    If 3 and `"3"` are two ids, `"3"` is such a text.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many ids were written as integers.
    """
    counts: Counter = Counter()
    maps = {table.name: map_ids(file, table) for table in file.tables}
    content = file.content
    for name, numbers in maps.items():
        references = {
            key: (maps[target], set(file.table(target).column('id')))
            for target, key in REFERENCES.items()
            if name == 'annotations'
        }
        content = replace_ids(file, content, name, numbers, references, counts)
    return content, counts


def replace_ids(
    file: CocoFile,
    content: dict,
    name: str,
    numbers: dict,
    references: dict[str, tuple[dict, set]],
    counts: Counter,
) -> dict:
    """Replace the ids of a list, and its references; see `mend_ids`.

    Args:
        file: The file.
        content: The content of the file, in which other lists may be mended
            already.
        name: The name of the list.
        numbers: The result of `map_ids` for it.
        references: Key -> the result of `map_ids` for the list it refers to,
            and the integers that are ids there.
        counts: What is done is added to it.

    Returns:
        The new content; the same one if it lacks the list.
    """

    def change(index: int, entry: dict) -> dict:
        """Return an entry with integers as ids."""
        new = {}
        if is_written_id(entry.get('id')) and not is_id(entry['id']):
            new['id'] = numbers.get(entry['id'], entry['id'])
        for key, (targets, known) in references.items():
            new[key] = refer(entry.get(key), targets, known)
        new = {k: v for k, v in new.items() if v is not entry.get(k)}
        counts['ids written as integers'] += len(new)
        return entry | new if new else entry

    changed = replace_entries(file, name, change)
    return (
        dict(content, **{name: changed[name]}) if name in content else content
    )


def is_written_id(value: object) -> bool:
    """Return whether a value can stand for an id: a text or a number.

    Args:
        value: The value, of any type; `true` and `false` cannot.
    """
    return is_text(value) or type(value) in (int, float)


def map_ids(file: CocoFile, table: Table) -> dict:
    """Find an integer for each id of a list that is none.

    Args:
        file: The file.
        table: The table of the list.

    Returns:
        Id -> integer, in the file's order; each integer is new in the list. A
        number that has a fraction is left out.
    """
    written = [v for v in table.values('id') if is_written_id(v)]
    others = dict.fromkeys(v for v in written if not is_id(v))
    taken = set(table.column('id')) - {None}
    numbers: dict = {}
    for value in others:
        number = as_id(value)
        if number is not None and (
            isinstance(value, float) or number not in taken
        ):
            numbers[value] = number
            taken.add(number)
    free = iterate_free_ids(taken | collect_references(file, table.name))
    for value in others:
        if value not in numbers and is_text(value):
            numbers[value] = next(free)
    return numbers


def collect_references(file: CocoFile, name: str) -> set[int]:
    """Collect the integers that annotations refer to in a list.

    An id that is given must not be one of them: what refers to nothing must
    not begin to refer to something.

    Args:
        file: The file.
        name: The name of the list.

    Returns:
        The integers, also those written as text; empty if nothing refers to
        the list.
    """
    if name not in REFERENCES:
        return set()
    values: Iterable = file.annotations.values(REFERENCES[name])
    numbers = (v if is_id(v) else as_id(v) for v in values)
    return {number for number in numbers if number is not None}


def refer(value: object, numbers: dict, known: set) -> object:
    """Find the integer for a reference.

    Args:
        value: The reference.
        numbers: The result of `map_ids` for the list it refers to.
        known: The integers that are ids there.

    Returns:
        The integer; the value itself if there is none.
    """
    if not is_written_id(value) or (is_id(value) and value in known):
        return value
    for key in (value, str(value)):
        if key in numbers:
            return numbers[key]
    number = as_id(value)
    return value if is_id(value) or number is None else number
