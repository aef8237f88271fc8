"""Draws outlines of masks as paths of SVG."""

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .outlines import outline_mask

# Half a pixel, which nobody sees in the outline of a mask.
TOLERANCE = 0.5


def make_path(rle: dict, shown_side: int) -> str:
    """Draw the outline of a mask as an SVG path, in pixels of the image.

    Args:
        rle: The mask of the original image as compressed RLE.
        shown_side: The longer side of the image where it is shown, pixels.

    Returns:
        The path, with a closed line for each part; empty for an empty mask. It
        may be off by `TOLERANCE` pixels of the image that is shown.
    """
    if not rle['counts'] or not coco_mask.area(rle):
        return ''
    height, width = rle['size']
    tolerance = TOLERANCE * max(height / shown_side, width / shown_side, 1)
    lines = []
    for polygon in outline_mask(rle['counts'], (height, width)):
        # A contour as OpenCV takes it; of floats, approxPolyDP wants float32.
        points = np.array(polygon, np.float32).reshape(-1, 1, 2)
        simple = cv2.approxPolyDP(points, tolerance, closed=True)
        numbers = ' '.join(f'{number:.1f}' for number in simple.ravel())
        lines.append(f'M{numbers}Z')
    return ''.join(lines)
