"""Numbers in quotes."""

from collections import Counter

from ..coco.schema import SCHEMA, as_number, is_bbox
from ..coco.tables import CocoFile
from .entries import Mended, replace_entries

# The keys with numbers that are no ids.
NUMBERS = dict(images=('width', 'height'), annotations=('area', 'iscrowd'))


def mend_quotes(file: CocoFile) -> Mended:
    """Write sizes, boxes, areas and `iscrowd` without quotes.

    What would break the rule of its key in `SCHEMA` stays.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many values were written without quotes; a box
        counts once.
    """
    counts: Counter = Counter()

    def change(index: int, entry: dict) -> dict:
        """Return an entry with its numbers as such."""
        new: dict = {}
        # `name` is that of the loop below, in which this is called.
        for key in NUMBERS[name]:
            number = as_number(entry.get(key))
            if number is not None and SCHEMA[name][key].holds(number):
                new[key] = number
        bbox = unquote_bbox(entry.get('bbox'))
        if bbox is not None and name == 'annotations':
            new['bbox'] = bbox
        counts['numbers written without quotes'] += len(new)
        return entry | new if new else entry

    content = file.content
    for name in NUMBERS:
        content = replace_entries(file.with_content(content), name, change)
    return content, counts


def unquote_bbox(value: object) -> list | None:
    """Read a bbox some of whose numbers are in quotes.

    Args:
        value: The value of `bbox`, of any type.

    Returns:
        Four numbers, in order; None if none is in quotes, or it is no bbox.
    """
    if not isinstance(value, list) or not any(
        isinstance(v, str) for v in value
    ):
        return None
    numbers = [as_number(v) if isinstance(v, str) else v for v in value]
    return numbers if is_bbox(numbers) else None
