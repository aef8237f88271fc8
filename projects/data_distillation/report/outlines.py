"""Outlines of masks, as the page draws them."""

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..segmentations.outlines import outline

# Masks are drawn over thumbnails, whose longer side has so many pixels at
# most: points that lie closer together there cannot be told apart.
SHOWN_SIDE = 512
# Half a pixel of the thumbnail, which nobody sees.
TOLERANCE = 0.5


def make_path(rle: dict) -> str:
    """Draw the outline of a mask as an SVG path, in pixels of the image.

    Args:
        rle: The mask as compressed RLE.

    Returns:
        The path, with a closed line for each part; empty for an empty mask.
    """
    if not rle['counts'] or not coco_mask.area(rle):
        return ''
    height, width = rle['size']
    tolerance = TOLERANCE * max(height / SHOWN_SIDE, width / SHOWN_SIDE, 1)
    lines = []
    for polygon in outline(rle['counts'], (height, width)):
        points = np.array(polygon, np.float32).reshape(-1, 1, 2)
        simple = cv2.approxPolyDP(points, tolerance, closed=True)
        numbers = ' '.join(f'{number:.1f}' for number in simple.ravel())
        lines.append(f'M{numbers}Z')
    return ''.join(lines)
