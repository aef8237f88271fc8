"""Numbers in quotes, and boxes that only the outline of the object has."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..arguments import is_number
from ..coco.schema import SCHEMA, as_number, is_bbox
from ..coco.tables import CocoFile
from ..segmentations.facts import read_counts
from .entries import Mended, replace_entries

# The keys with numbers that are no ids.
NUMBERS = dict(images=('width', 'height'), annotations=('area', 'iscrowd'))


def mend_quotes(file: CocoFile) -> Mended:
    """Write sizes, boxes, areas and `iscrowd` without quotes.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many numbers were written without quotes.
    """
    counts: Counter = Counter()

    def change(index: int, entry: dict) -> dict:
        """Return an entry with its numbers as such."""
        new: dict = {}
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
        Four numbers; None if none is in quotes, or it is no bbox.
    """
    if not isinstance(value, list) or not any(
        isinstance(v, str) for v in value
    ):
        return None
    numbers = [as_number(v) if isinstance(v, str) else v for v in value]
    return numbers if is_bbox(numbers) else None


def fill_bboxes(file: CocoFile) -> Mended:
    """Write the boxes around polygons and masks where a box is missing.

    A box of zeros is taken for a missing one.

    Args:
        file: The file, read with its polygons. It is not changed.

    Returns:
        The new content, and how many boxes were written.
    """
    counts: Counter = Counter()

    def change(index: int, entry: dict) -> dict:
        """Return an annotation with a box."""
        bbox = entry.get('bbox')
        if bbox not in (None, [], [0, 0, 0, 0]):
            return entry
        bounds = bound_segmentation(entry.get('segmentation'))
        if bounds is None:
            return entry
        counts['boxes written around polygons or masks'] += 1
        return dict(entry, bbox=bounds)

    return replace_entries(file, 'annotations', change), counts


def bound_segmentation(value: object) -> list[float] | None:
    """Return the box around a polygon or a mask.

    Args:
        value: A list of polygons `[x, y, x, y, ...]`, or a run-length encoding
            `dict(counts=..., size=[height, width])`.

    Returns:
        Left, top, width and height; None if the value is neither, or if there
        is nothing in it.
    """
    if isinstance(value, dict):
        return bound_mask(value)
    if not isinstance(value, list):
        return None
    polygons = [value] if value and is_number(value[0]) else value
    points = [number for p in polygons if isinstance(p, list) for number in p]
    is_whole = all(isinstance(p, list) and len(p) % 2 == 0 for p in polygons)
    if not points or not is_whole or not all(map(is_number, points)):
        return None
    xs, ys = points[::2], points[1::2]
    return bound(min(xs), min(ys), max(xs), max(ys))


def bound(left: float, top: float, right: float, bottom: float) -> list | None:
    """Make a box of its corners.

    Args:
        left: The left side in pixels.
        top: The upper side.
        right: The right side.
        bottom: The lower side.

    Returns:
        Left, top, width and height, rounded to 1/100; None if it is empty.
    """
    if not (right > left and bottom > top):
        return None
    return [left, top, round(right - left, 2), round(bottom - top, 2)]


def bound_mask(mask: dict) -> list[float] | None:
    """Find the box around a mask.

    Args:
        mask: COCO's RLE, compressed as text or not.

    Returns:
        Left, top, width and height in pixels; None if no pixel is set, or the
        RLE is broken.
    """
    size, counts = mask.get('size'), mask.get('counts')
    if not isinstance(size, list) or len(size) != 2:
        return None
    if isinstance(counts, str):
        counts = list(read_counts(counts))
    if not isinstance(counts, list) or not all(
        type(n) is int and 0 <= n < 2**31 for n in [*counts, *size]
    ):
        return None
    if not size[0] or sum(counts) != size[0] * size[1]:
        return None
    return bound_runs(counts, size[0])


def bound_runs(counts: Sequence[int], height: int) -> list[float] | None:
    """Find the box around a mask that is given as runs.

    Args:
        counts: The lengths of the runs, column by column; the first one and
            every other one after it are outside the object.
        height: The height of the mask.

    Returns:
        Left, top, width and height in pixels; None if no pixel is set.
    """
    ends = np.cumsum(counts, dtype=np.int64)
    starts, lasts = ends[0::2][: len(counts) // 2], ends[1::2] - 1
    is_run = lasts >= starts
    starts, lasts = starts[is_run], lasts[is_run]
    if not len(starts):
        return None
    columns, last_columns = starts // height, lasts // height
    # A run that goes on in the next column reaches the bottom and the top.
    spans = columns < last_columns
    top = np.where(spans, 0, starts % height).min()
    bottom = np.where(spans, height - 1, lasts % height).max() + 1
    left, right = columns.min(), last_columns.max() + 1
    return [*map(float, (left, top, right - left, bottom - top))]
