"""Resizes the masks of a training without moving them.

MMDetection resizes masks by OpenCV's nearest neighbor, which takes the pixel
left of and above the right one: at any other scale than 1, masks move by half
a pixel to the right and down, and boxes do not. A student that learns from the
masks of such a teacher moves them again. On small objects that costs more than
distillation gains.
"""

import cv2
import numpy as np
from mmcv.image import rescale_size
from mmdet.structures.mask import BitmapMasks


def resize(
    self: BitmapMasks,
    out_shape: tuple[int, int],
    interpolation: str = 'nearest',
) -> BitmapMasks:
    """Resize masks; see `BitmapMasks.resize`.

    Args:
        self: The masks, n of them.
        out_shape: The new height and width, in pixels.
        interpolation: The way of interpolation; others than 'nearest' are
            MMDetection's own.

    Returns:
        New masks, n of them (also 0), as uint8, with the pixel that is nearest
        to each new one.

    Raises:
        KeyError: If there are masks, and mmcv knows no such interpolation.
        cv2.error: If there are masks, and a side of `out_shape` is 0.
    """
    if interpolation != 'nearest':
        return STOCK_RESIZE(self, out_shape, interpolation)
    masks = np.empty((len(self.masks), *out_shape), np.uint8)
    # OpenCV resizes no bool arrays, which masks may be.
    given = self.masks.astype(np.uint8)
    for mask, new in zip(given, masks, strict=True):
        # OpenCV takes (width, height), and writes into `new`, a part of
        # `masks`.
        cv2.resize(
            mask, out_shape[::-1], new, interpolation=cv2.INTER_NEAREST_EXACT
        )
    return BitmapMasks(masks, *out_shape)


def rescale(
    self: BitmapMasks,
    scale: float | tuple[int, int],
    interpolation: str = 'nearest',
) -> BitmapMasks:
    """Resize masks as images are, keeping the ratio of their sides.

    The ratio holds but for rounding to whole pixels.

    Args:
        self: The masks.
        scale: The factor, or the limits for the longest and the shortest side
            in pixels, in any order; see `mmcv.imrescale`.
        interpolation: See `resize`.

    Returns:
        New masks of the new size, as many as before.

    Raises:
        ValueError: If the factor is not above 0.
        TypeError: If `scale` is neither a number nor a tuple.
        KeyError, cv2.error: See `resize`; a side of less than half a pixel is
            rounded to 0.
    """
    new_w, new_h = rescale_size((self.width, self.height), scale)
    return resize(self, (new_h, new_w), interpolation)


# Kept before it is replaced below: other interpolations still need it.
STOCK_RESIZE = BitmapMasks.resize
# All pipelines have it, also those of configs that were written before.
BitmapMasks.resize = resize
BitmapMasks.rescale = rescale
