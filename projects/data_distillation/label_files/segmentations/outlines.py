"""Writes masks as polygons, for what reads nothing else."""

import cv2
import numpy as np
from pycocotools import mask as coco_mask

# How much a mask is enlarged before it is outlined. OpenCV's outlines run
# through the centers of the border pixels, and so lose half a pixel on every
# side; of enlarged pixels, that is an eighth of a pixel.
ENLARGEMENT = 4


def outline_mask(
    counts: bytes | str, size_hw: tuple[int, int]
) -> list[list[float]]:
    """Outline a mask.

    Args:
        counts: The `counts` of its compressed RLE, as bytes or as the text of
            JSON; a pixel of it is set.
        size_hw: The height and width of its image, pixels.

    Returns:
        COCO's polygons, each as x1, y1, x2, y2, ... in pixels of the image,
        one for each part of the mask, in the order in which OpenCV finds them;
        pixels that touch at a corner are connected. A hole
        is joined to the outline by a slit without width, because COCO adds
        polygons up. No number is whole: MMDetection computes with whole
        numbers where all of them are.
    """
    rle = dict(size=list(size_hw), counts=counts)
    left, top, width, height = coco_mask.toBbox(rle).astype(int)
    # Only where pixels are: enlarging takes 16 times the memory.
    mask = coco_mask.decode(rle)[top : top + height, left : left + width]
    large = mask.repeat(ENLARGEMENT, axis=0).repeat(ENLARGEMENT, axis=1)
    # Two levels: each row of `nesting` ends with the outline around a hole,
    # or with -1 for an outline.
    found, nesting = cv2.findContours(
        large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    rings = [ring.reshape(-1, 2) for ring in found]
    polygons = {
        i: rings[i] for i, (*_, outer) in enumerate(nesting[0]) if outer < 0
    }
    for i, (*_, outer) in enumerate(nesting[0]):
        if outer >= 0:
            polygons[outer] = join_rings(polygons[outer], rings[i])
    corner = np.array([left, top])
    return [
        # From centers of enlarged pixels to pixels of the image.
        ((ring + 0.5) / ENLARGEMENT + corner).ravel().tolist()
        for ring in polygons.values()
    ]


def join_rings(ring: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Join a closed line to another by a slit without width.

    Args:
        ring: The line, shape (n, 2), x and y; at least one point.
        other: The other one, shape (m, 2): a hole, or another part; at least
            one point.

    Returns:
        Shape (n + m + 2, 2): along the line to the point that is nearest to
        the other (by |dx| + |dy|, the first of equal ones), around the other
        from its nearest point, and back.
    """
    # (n, 1, 2) against (1, m, 2): all pairs.
    distances = np.abs(ring[:, None] - other[None]).sum(axis=2)
    at, start = np.unravel_index(distances.argmin(), distances.shape)
    # From the nearest point all around, and to it again.
    around = np.concatenate([other[start:], other[: start + 1]])
    return np.concatenate([ring[: at + 1], around, ring[at:]])
