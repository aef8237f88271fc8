"""Ids that are texts or numbers with a decimal point become integers."""

from collections import Counter
from dataclasses import dataclass

from ..coco.schema import as_id, is_id, is_text
from ..coco.tables import REFERENCES, CocoFile, Table
from .entries import Mended, iterate_free_ids, replace_entries


def mend_ids(file: CocoFile) -> Mended:
    """Make integers of all ids, and of what refers to them.

    `"3"` and `3.0` become 3, and any other text becomes a number that is free.
    If 3 and `"3"` are two ids, `"3"` is such a text. What refers to an entry
    by its name gets its id, if it is clear that this is meant. A number that
    has a fraction or is too large, and what is not clear, stay as they are.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many ids and references were written as
        integers.
    """
    counts: Counter = Counter()
    # All at first: references are to the ids as they are written.
    maps = {table.name: map_ids(file, table) for table in file.tables}
    content = file.content
    for name, numbers in maps.items():
        references = {
            key: Targets.of(file, key, maps[target])
            for key, (target, _) in REFERENCES.items()
            if name == 'annotations'
        }
        content = replace_ids(file, content, name, numbers, references, counts)
    return content, counts


@dataclass(frozen=True)
class Targets:
    """What the references of one key can mean.

    Args:
        numbers: The result of `map_ids` for the list that it refers to.
        known: The integers that are ids there.
        named: Text -> the ids that it may mean, see `CocoFile.named`.
    """

    numbers: dict
    known: set
    named: dict[str, list]

    @classmethod
    def of(cls, file: CocoFile, key: str, numbers: dict) -> 'Targets':
        """Collect what the references of a key can mean; see the class.

        Args:
            file: The file.
            key: A key of `REFERENCES`, such as `image_id`.
            numbers: The result of `map_ids` for the list that it refers to.

        Returns:
            What they can mean.
        """
        name, _ = REFERENCES[key]
        return cls(
            numbers, set(file.table(name).column('id')), file.named[key]
        )


def replace_ids(
    file: CocoFile,
    content: dict,
    name: str,
    numbers: dict,
    references: dict[str, Targets],
    counts: Counter,
) -> dict:
    """Replace the ids of a list, and its references; see `mend_ids`.

    Args:
        file: The file.
        content: The content of the file, in which other lists may be mended
            already.
        name: The name of the list.
        numbers: The result of `map_ids` for it.
        references: Key of a reference -> what it can mean.
        counts: The number of ids and references that are written as integers
            is added to it.

    Returns:
        The new content, in which only this list differs; the same one if it
        lacks the list.
    """

    def change(index: int, entry: dict) -> dict:
        """Return an entry with integers as ids."""
        new = {}
        if is_written_id(entry.get('id')) and not is_id(entry['id']):
            new['id'] = numbers.get(entry['id'], entry['id'])
        for key, targets in references.items():
            new[key] = find_target(entry.get(key), targets)
        # By identity: 3.0 equals 3, but is to be replaced.
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
        value: The value, of any type.

    Returns:
        True for a text that is not empty, an integer or a float; False for
        `true` and `false`.
    """
    return is_text(value) or type(value) in (int, float)


def map_ids(file: CocoFile, table: Table) -> dict:
    """Find an integer for each id of a list that is none.

    Args:
        file: The file.
        table: The table of the list.

    Returns:
        Id -> integer; empty if all ids are integers. A float gets its own
        number, also if another entry has it. A text gets its own number if no
        entry has it, and otherwise one that is free. A number that has a
        fraction, is not finite, or is too large (64 bits; 2**53 for a float)
        is left out.
    """
    written = [v for v in table.values('id') if is_written_id(v)]
    others = dict.fromkeys(v for v in written if not is_id(v))
    taken = set(table.column('id')) - {None}
    numbers: dict = {}
    # A text that looks like an integer keeps its number, unless an entry has
    # it already: then they are two entries.
    for value in others:
        number = as_id(value)
        if number is not None and (
            isinstance(value, float) or number not in taken
        ):
            numbers[value] = number
            taken.add(number)
    # Not an id to which annotations refer, even if no entry has it: a new
    # entry with it would get these annotations.
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
        The integers, also those written as text or as float; empty if nothing
        refers to the list.
    """
    keys = [k for k, (target, _) in REFERENCES.items() if target == name]
    values = (v for key in keys for v in file.annotations.values(key))
    numbers = map(as_id, values)
    return {number for number in numbers if number is not None}


def find_target(value: object, targets: Targets) -> object:
    """Find the integer for a reference.

    Args:
        value: The reference, of any type.
        targets: What it can mean.

    Returns:
        The integer of the entry that has this id or, if it is clear, this
        name; otherwise the integer that the value is written as. The value
        itself if there is none, if it is not clear, or if it is right.
    """
    numbers, known = targets.numbers, targets.known
    if not is_written_id(value) or (is_id(value) and value in known):
        return value
    if is_text(value) and value in targets.named:
        named = targets.named[value]
        return numbers.get(named[0], named[0]) if len(named) == 1 else value
    # The id may be a text and the reference a number: "3" and 3.
    for key in (value, str(value)):
        if key in numbers:
            return numbers[key]
    number = as_id(value)
    return value if is_id(value) or number is None else number
