"""Writes any segmentation as one polygon, for formats that have no more."""

from collections.abc import Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
from pycocotools import mask as coco_mask

from .clipping import clip_polygon
from .facts import FEWEST_NUMBERS, read_rle
from .outlines import join_rings, outline_mask

Polygon: TypeAlias = Sequence[float] | np.ndarray


def as_one_polygon(
    segmentation: list | dict, size_wh: tuple[int, int]
) -> list[float]:
    """Write a segmentation as one polygon with the same pixels.

    Polygons are clipped to the image first; where one reached outside, COCO
    may draw its edges differently by some pixels. Rounding changes a pixel in
    rare cases. Parts are joined by slits without width, as Ultralytics does
    it. Polygons add up in COCO, but a polygon that
    overlaps itself has a hole there. Where that would change a pixel, the
    outline of all parts together is taken.

    Args:
        segmentation: COCO's polygons (in pixels of the image) or RLE, in which
            `Facts` finds no fault; RLE of the image's size.
        size_wh: The width and height of the image, pixels.

    Returns:
        x1, y1, x2, y2, ... in pixels of the image, rounded to 1/1000 and
        inside the image; empty if no pixel of the image is set.
    """
    size_hw = size_wh[1], size_wh[0]
    if isinstance(segmentation, dict):
        mask = read_rle(segmentation) or segmentation
    else:
        segmentation = clip_polygons(segmentation, size_wh)
        mask = draw_polygons(segmentation, size_hw)
    if not coco_mask.area(mask):
        return []
    if isinstance(segmentation, list):
        joined = join_polygons(segmentation)
        if len(segmentation) == 1 or is_equal(
            draw_polygons([joined], size_hw), mask
        ):
            return round_to_thousandths(joined)
    return round_to_thousandths(
        join_polygons(outline_mask(mask['counts'], size_hw))
    )


def clip_polygons(
    polygons: Sequence[Sequence[float]], size_wh: Sequence[float]
) -> list[list[float]]:
    """Clip polygons to their image.

    Args:
        polygons: x1, y1, x2, y2, ... of each, in pixels of the image.
        size_wh: The width and height of the image, pixels.

    Returns:
        The parts inside the image in the same format, in order. A polygon is
        left out if less than three points of it are left.

    Raises:
        ValueError: If a polygon has an odd number of numbers.
    """
    clipped = (clip_polygon(polygon, size_wh) for polygon in polygons)
    return [one for one in clipped if len(one) >= FEWEST_NUMBERS]


def draw_polygons(
    polygons: Sequence[Polygon], size_hw: tuple[int, int]
) -> dict:
    """Draw polygons as COCO does.

    Args:
        polygons: x1, y1, x2, y2, ... of each, in pixels of the image; at least
            three points each. What reaches outside the image is cut off.
        size_hw: The height and width of the image, pixels.

    Returns:
        The mask of all together, as compressed RLE; no pixel is set if there
        is no polygon.
    """
    # pycocotools fails at an empty list.
    if not polygons:
        return coco_mask.encode(np.zeros(size_hw, np.uint8, order='F'))
    # pycocotools takes no tuple. Four numbers are a box for it, but
    # polygons have six or more.
    return coco_mask.merge(coco_mask.frPyObjects(list(polygons), *size_hw))


def measure_area(polygon: Polygon, size_wh: tuple[int, int]) -> int:
    """Count the pixels of a polygon.

    Args:
        polygon: x1, y1, x2, y2, ... in pixels of the image; at least three
            points.
        size_wh: The width and height of the image, pixels.

    Returns:
        The number of pixels that are set when COCO draws it; 0 outside the
        image.
    """
    return int(
        coco_mask.area(draw_polygons([polygon], (size_wh[1], size_wh[0])))
    )


def bound_pixels(polygon: Polygon, size_wh: tuple[int, int]) -> list[float]:
    """Find the box around the pixels of a polygon.

    Args:
        polygon: x1, y1, x2, y2, ... in pixels of the image; at least three
            points, and with a pixel in the image.
        size_wh: The width and height of the image, pixels.

    Returns:
        Left, top, width and height in pixels, whole numbers.
    """
    mask = draw_polygons([polygon], (size_wh[1], size_wh[0]))
    return coco_mask.toBbox(mask).tolist()


def join_polygons(polygons: Sequence[Polygon]) -> np.ndarray:
    """Join polygons to one by slits without width.

    Args:
        polygons: x1, y1, x2, y2, ... of each, at least one; in any unit.

    Returns:
        Shape (n,), float64: x1, y1, x2, y2, ... of the whole, in the same
        unit. See `join_rings`: each polygon after the first adds two points to
        its own.
    """
    rings = [np.array(polygon, float).reshape(-1, 2) for polygon in polygons]
    return reduce(join_rings, rings).ravel()


def is_equal(one: dict, other: dict) -> bool:
    """Return whether two masks have the same pixels.

    Args:
        one: A mask as compressed RLE.
        other: Another of the same size, as compressed RLE.

    Returns:
        Whether they have.
    """
    shared = coco_mask.area(coco_mask.merge([one, other], intersect=True))
    # All pixels of both are shared.
    return bool(coco_mask.area(one) == coco_mask.area(other) == shared)


def round_to_thousandths(polygon: Polygon) -> list[float]:
    """Round the numbers of a polygon.

    Args:
        polygon: x1, y1, x2, y2, ... in any unit.

    Returns:
        The same numbers, rounded to 1/1000 of the unit.
    """
    return np.round(polygon, 3).tolist()
