"""Measures how many pixels a segmentation covers."""

import math

from pycocotools import mask as coco_mask

from .facts import MAX_SIDE, Facts, read_rle


def measure_area(segmentation: object) -> int | None:
    """Count the pixels of a segmentation.

    Args:
        segmentation: The value as JSON has it, of any type: COCO's polygons
            (x1, y1, x2, y2, ... in pixels of the image) or RLE.

    Returns:
        The number of pixels; of several polygons that of their union. What
        lies left of the image or above it does not count, and what lies beyond
        its other borders does. None if `Facts` finds a fault, or a polygon
        reaches beyond `MAX_SIDE`.
    """
    facts = Facts.of(segmentation)
    if facts.bounds is None:
        return None
    if isinstance(segmentation, dict):
        return int(coco_mask.area(read_rle(segmentation)))
    width, height = (max(math.ceil(side), 1) for side in facts.bounds[2:])
    if max(width, height) > MAX_SIDE:
        return None
    drawn = coco_mask.frPyObjects(segmentation, height, width)
    return int(coco_mask.area(coco_mask.merge(drawn)))
