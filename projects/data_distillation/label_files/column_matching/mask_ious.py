"""Masks of objects and detections, and how much they overlap."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from pycocotools import mask as coco_mask

Rle = dict


def read_mask(segmentation: list | dict, size_hw: Iterable[int]) -> Rle:
    """Convert a segmentation to compressed RLE.

    Args:
        segmentation: COCO's polygons (x1, y1, x2, y2, ... of each in pixels of
            the image), or RLE, compressed or not.
        size_hw: The height and width of the image, pixels. RLE keeps the
            `size` that it has, even if that is another.

    Returns:
        RLE with `size` and `counts`; compressed RLE is returned as it is, and
        not checked. Of several polygons it is the union.

    Raises:
        KeyError, TypeError, ValueError: If it is none of these, or a side of
            the size is None for polygons.
        IndexError: If it is an empty list.
        Exception: If pycocotools takes no such list (of polygons with less
            than two points, for example), or RLE has a list of `counts` and no
            `size`.
    """
    if isinstance(segmentation, list):
        # An object is all of its polygons together: the union.
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, *size_hw))
    if isinstance(segmentation['counts'], list):
        return coco_mask.frPyObjects(segmentation, *size_hw)
    return segmentation


def as_column(masks: Iterable[Rle]) -> np.ndarray:
    """Put masks into an array of objects.

    Args:
        masks: n masks.

    Returns:
        Shape (n,), with each mask as one element, in order.
    """
    given = list(masks)
    column = np.empty(len(given), object)
    column[:] = given
    return column


def measure_mask_overlaps(
    found: np.ndarray,
    true: np.ndarray,
    owners: np.ndarray,
    targets: np.ndarray,
    is_crowd: np.ndarray,
) -> np.ndarray:
    """Measure the overlaps of detections with objects by their masks.

    Args:
        found: The masks of the detections, shape (n,), compressed RLE.
        true: The masks of the objects, shape (m,), compressed RLE.
        owners: Shape (k,), int, the index of each pair's detection, ascending.
        targets: Shape (k,), int, the index of each pair's object.
        is_crowd: Shape (m,), whether each object is a crowd.

    Returns:
        Shape (k,), float64, the IoU; for a crowd, the share of the detection
        on it.

    Raises:
        ValueError: If the two masks of a pair have different sizes.
    """
    overlaps = np.zeros(len(owners))
    firsts = np.flatnonzero(np.diff(owners, prepend=-1))
    for start, stop in pairwise([*firsts, len(owners)]):
        # One call for each detection: pycocotools compares all with all.
        chosen = targets[start:stop]
        overlaps[start:stop] = coco_mask.iou(
            [found[owners[start]]],
            true[chosen].tolist(),
            is_crowd[chosen].astype(np.uint8),
        )[0]  # (1, k) -> (k,)
    if other := np.flatnonzero(overlaps < 0).tolist():
        raise ValueError(
            'masks that are compared must have one size (height, width), got '
            f'{found[owners[other[0]]]["size"]} for a detection and '
            f'{true[targets[other[0]]]["size"]} for an object of its image: '
            'make both from images of the same size'
        )
    return overlaps
