"""The formats that boxes are written in."""

from dataclasses import dataclass

import numpy as np


def xyxy_to_xywh(bboxes_xyxy: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Clip boxes to their images and convert them to COCO's format.

    Args:
        bboxes_xyxy: Shape (n, 4), pixels of the original image; integers or
            floats.
        sizes_wh: Shape (n, 2), width and height of each box's image, pixels.

    Returns:
        Shape (n, 4), float64: left, top, width and height in pixels of the
        original image, rounded to 1/100 pixel, in the same order. A box
        outside its image has a width or height of 0. NaN stays NaN. Shape
        (0, 4) without boxes.
    """
    corners = bboxes_xyxy.astype(np.float64).round(2)
    corners = np.clip(corners, 0, np.tile(sizes_wh, 2))
    corners[:, 2:] -= corners[:, :2]
    return corners.round(2)


# What the four numbers of a box are, and in which unit. COCO has the first of
# each.
LAYOUTS = dict(
    xywh='[x, y, w, h]',
    xyxy='[x1, y1, x2, y2]',
    cxcywh='[center x, center y, w, h]',
)
# The width and height of an image in this unit.
UNITS = dict(pixel=0, fraction=1, percent=100, thousandth=1000)
UNIT_TEXTS = dict(
    pixel='pixels',
    fraction='fractions of the image',
    percent='percent of the image',
    thousandth='thousandths of the image',
)


@dataclass(frozen=True)
class BoxFormat:
    """A way of writing boxes.

    Args:
        layout: A key of `LAYOUTS`: what the four numbers are.
        unit: A key of `UNITS`: what they are counted in.
    """

    layout: str = 'xywh'
    unit: str = 'pixel'

    def __str__(self) -> str:
        return f'{LAYOUTS[self.layout]} in {UNIT_TEXTS[self.unit]}'

    @property
    def options(self) -> str:
        """The options of tools/check_coco.py that name this format."""
        return f'--boxes {self.layout} --unit {self.unit}'

    def arrange(self, bboxes: np.ndarray) -> np.ndarray:
        """Convert boxes to [x, y, w, h], in the same unit.

        Args:
            bboxes: Shape (n, 4), in this layout.

        Returns:
            Shape (n, 4): left, top, width and height; the array itself if the
            layout is xywh.
        """
        start, end = bboxes[:, :2], bboxes[:, 2:]
        if self.layout == 'xyxy':
            return np.hstack([start, end - start])
        if self.layout == 'cxcywh':
            return np.hstack([start - end / 2, end])
        return bboxes

    def to_xywh(self, bboxes: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
        """Convert boxes to COCO's format.

        Args:
            bboxes: Shape (n, 4), in this format.
            sizes_wh: Shape (n, 2), width and height of each box's image,
                pixels.

        Returns:
            Shape (n, 4): left, top, width and height in pixels, neither
            clipped nor rounded; the array itself if it is in COCO's format.
        """
        xywh = self.arrange(bboxes)
        if self.unit == 'pixel':
            return xywh
        return xywh / UNITS[self.unit] * np.tile(sizes_wh, 2)
