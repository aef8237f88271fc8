"""Masks between COCO and formats that have one polygon for each object."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

from ..segmentations.facts import Facts, find_bounds
from ..segmentations.polygons import as_one_polygon
from .labels import FormatError, LabeledImage


def read_polygon(
    segmentation: object, size_wh: tuple[int, int], where: str
) -> list[float] | None:
    """Read the `segmentation` of a COCO annotation as one polygon.

    Args:
        segmentation: The value, of any type; None if there is none.
        size_wh: The width and height of the image, pixels.
        where: The file and the place in it, for the message.

    Returns:
        x1, y1, x2, y2, ... in pixels, inside the image and rounded to 1/1000,
        see `as_one_polygon`; None if there is no segmentation, or it has no
        pixel inside the image.

    Raises:
        FormatError: If it is broken, or a mask of another size than the image.
    """
    facts = Facts.of(segmentation) if segmentation else Facts('empty')
    if facts.fault == 'empty':
        return None
    # Polygons have no size of their own: None.
    is_of_image = facts.size_hw in (None, size_wh[::-1])
    if facts.fault or not is_of_image:
        fault = facts.fault or f'size {facts.size_hw} of {size_wh[::-1]}'
        raise FormatError(
            f'{where}: `segmentation` cannot be written as a polygon '
            f'({fault}): see tools/check_coco.py, whose --fix mends some '
            'faults, or write boxes with --boxes-only'
        )
    # Without a fault, it is one of these two kinds.
    sound = cast(list | dict, segmentation)
    return as_one_polygon(sound, size_wh) or None


def check_masks(
    images: Sequence[LabeledImage], classes: Collection[str], source: Path
) -> bool:
    """Check that all objects have masks, or none.

    Training on masks fails if one has none, and Ultralytics reads boxes in a
    file with polygons as lines.

    Args:
        images: The images with their labels. Crowds do not count.
        classes: The names of the classes that are wanted.
        source: Where they come from, for the message.

    Returns:
        Whether there are masks; False without objects.

    Raises:
        FormatError: If some objects have one, and others not.
    """
    found = [
        (box.polygon is not None, image.file_name)
        for image in images
        for box in image.boxes or ()
        if box.name in classes and not box.is_crowd
    ]
    bare = [name for has_mask, name in found if not has_mask]
    if bare and len(bare) < len(found):
        raise FormatError(
            f'all objects must have masks or none, but {len(bare):,} of '
            f'{len(found):,} in {source} are only boxes (first: {bare[0]}): '
            'outline them, or convert all to boxes with --boxes-only'
        )
    return bool(found) and not bare


def bound_polygon(polygon: Sequence[float]) -> list[float]:
    """Find the box around a polygon.

    Args:
        polygon: x1, y1, x2, y2, ..., at least one point.

    Returns:
        Left, top, width and height in the same unit, not rounded.
    """
    left, top, right, bottom = find_bounds([polygon])
    return [left, top, right - left, bottom - top]
