"""Measures how many pixels a segmentation covers."""

import math

from pycocotools import mask as coco_mask

from .facts import MAX_SIDE, Facts, read_rle
from .polygons import draw_polygons


def measure_segmentation(segmentation: list | dict | None) -> int | None:
    """Count the pixels of a segmentation.

    Args:
        segmentation: COCO's polygons (x1, y1, x2, y2, ... in pixels of the
            image) or RLE, as JSON has them; they may be broken. None if there
            is no mask.

    Returns:
        The number of pixels; of several polygons that of their union. What
        lies left of the image or above it does not count, and what lies beyond
        its other borders does. None without a mask, if `Facts` finds a fault,
        or if a polygon reaches beyond `MAX_SIDE`.
    """
    facts = Facts.of(segmentation)
    if segmentation is None or facts.bounds is None:
        return None
    if isinstance(segmentation, dict):
        return int(coco_mask.area(read_rle(segmentation)))
    width, height = (max(math.ceil(side), 1) for side in facts.bounds[2:])
    if max(width, height) > MAX_SIDE:
        return None
    return int(coco_mask.area(draw_polygons(segmentation, (height, width))))
