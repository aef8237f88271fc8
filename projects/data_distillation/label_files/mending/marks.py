"""Mendings of what tools say of an entry beside COCO's own keys."""

import math
from collections import Counter

from ..coco.entry_checks import find_rotations, is_deleted
from ..coco.tables import CocoFile
from .entries import Mended, replace_entries
from .images import drop_images


def drop_deleted(file: CocoFile) -> Mended:
    """Leave out what is marked as deleted, as COCO Annotator does.

    The annotations of an image go with it, see `drop_images`.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many images and annotations were left out.
    """
    counts: Counter = Counter()
    unwanted = {i for i, e in enumerate(file.images.entries) if is_deleted(e)}
    counts['images dropped that are marked as deleted'] = len(unwanted)
    file = file.with_content(drop_images(file, unwanted, counts))
    # Of the new file: some annotations have gone with their image.
    counts['annotations dropped that are marked as deleted'] = sum(
        map(is_deleted, file.annotations.entries)
    )
    content = replace_entries(
        file, 'annotations', lambda i, e: None if is_deleted(e) else e
    )
    return content, counts


def straighten_boxes(file: CocoFile) -> Mended:
    """Write the upright box around each box that is to be turned.

    The angle is `attributes.rotation`, see `find_rotations`; it becomes 0.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many boxes were replaced; they may reach
        outside their image. An area that is w * h stays that of the turned
        box.
    """
    turns = find_rotations(file)

    def change(index: int, entry: dict) -> dict:
        """Return an annotation with an upright box."""
        if index not in turns:
            return entry
        attributes = dict(entry['attributes'], rotation=0.0)
        bbox_xywh = turn_box(entry['bbox'], turns[index])
        return dict(entry, bbox=bbox_xywh, attributes=attributes)

    content = replace_entries(file, 'annotations', change)
    return content, Counter({'rotated boxes made upright': len(turns)})


def turn_box(bbox_xywh: list[float], degrees: float) -> list[float]:
    """Return the upright box around a box that is turned around its center.

    Args:
        bbox_xywh: The box before it is turned, pixels, finite.
        degrees: The angle, in either direction.

    Returns:
        The box around it, xywh in pixels, rounded to 1/100 and not clipped.
    """
    x, y, w, h = bbox_xywh
    # Turned either way, the box around it is the same.
    cos = abs(math.cos(math.radians(degrees)))
    sin = abs(math.sin(math.radians(degrees)))
    new_w, new_h = w * cos + h * sin, w * sin + h * cos
    left, top = x + (w - new_w) / 2, y + (h - new_h) / 2
    return [round(v, 2) for v in (left, top, new_w, new_h)]
