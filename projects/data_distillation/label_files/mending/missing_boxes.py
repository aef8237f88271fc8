"""Boxes that are missing, around the polygons or the mask of the object."""

from collections import Counter

from ..coco.tables import CocoFile
from ..segmentations.facts import (
    Bounds,
    bound_mask,
    count_pixels,
    find_bounds,
    nest_polygons,
    read_rle,
)
from .entries import Mended, replace_entries


def fill_bboxes(file: CocoFile) -> Mended:
    """Write the boxes around polygons and masks where a box is missing.

    A box of zeros and an empty list are taken for missing ones.

    Args:
        file: The file, read with its polygons. It is not changed.

    Returns:
        The new content, and how many boxes were written, see
        `bound_segmentation`. Where there is nothing to bound, none is.
    """
    counts: Counter = Counter()

    def change(index: int, entry: dict) -> dict:
        """Return an annotation with a box."""
        bbox = entry.get('bbox')
        if bbox not in (None, [], [0, 0, 0, 0]):  # Zeros as floats, too.
            return entry
        bbox_xywh = bound_segmentation(entry.get('segmentation'))
        if bbox_xywh is None:
            return entry
        counts['boxes written around polygons or masks'] += 1
        return dict(entry, bbox=bbox_xywh)

    return replace_entries(file, 'annotations', change), counts


def bound_segmentation(value: object) -> list[float] | None:
    """Return the box around a polygon or a mask.

    Args:
        value: A list of polygons `[x, y, x, y, ...]`, or a run-length encoding
            `dict(counts=..., size=[height, width])`.

    Returns:
        Left, top, width and height in pixels; width and height are rounded to
        1/100. None if the value is neither, is broken, or has no width or
        height.
    """
    bounds = None
    if isinstance(value, dict):
        bounds = bound_rle(value)
    elif isinstance(value, list):
        bounds = bound_polygons(value)
    if bounds is None:
        return None
    left, top, right, bottom = bounds
    if not (right > left and bottom > top):
        return None
    return [left, top, round(right - left, 2), round(bottom - top, 2)]


def bound_polygons(value: list) -> Bounds | None:
    """Find the bounds of polygons.

    Args:
        value: What should be polygons, or a single one, each as numbers or as
            points (x, y); empty ones do not count.

    Returns:
        Left, top, right and bottom in pixels of the image; None if it is
        something else, is empty, or a polygon has an odd number of numbers.
    """
    polygons = nest_polygons([part for part in value if part != []])
    if polygons is None or any(len(polygon) % 2 for polygon in polygons):
        return None
    return find_bounds(polygons) if any(polygons) else None


def bound_rle(value: dict) -> Bounds | None:
    """Find the bounds of a mask.

    Args:
        value: What should be COCO's RLE, compressed as text or not.

    Returns:
        Left, top, right and bottom in pixels, the ends of the last ones; None
        if no pixel is set, or the RLE is broken.
    """
    rle = read_rle(value)
    if rle is None or count_pixels(rle) != rle['size'][0] * rle['size'][1]:
        return None
    return bound_mask(rle)
