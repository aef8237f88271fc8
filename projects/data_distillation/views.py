"""A view: one transformed copy of an image, and the way back for its boxes."""

from dataclasses import dataclass

import torch
from mmcv.image import rescale_size
from mmdet.structures.bbox import bbox_flip
from torch import Tensor
from torch.nn import functional as F

FLIPS = (None, 'horizontal')


def resize(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize an image as `mmcv.imresize` does, on the image's device.

    Bilinear without antialiasing, rounded to whole gray levels: at most one
    level away from OpenCV's `INTER_LINEAR`.

    Args:
        image: Shape (3, h, w), uint8.
        size_hw: Height and width to reach, in pixels.

    Returns:
        Shape (3, *size_hw), uint8; `image` itself if it has that size.
    """
    if image.shape[-2:] == size_hw:
        return image
    resized = F.interpolate(
        image[None].float(), size_hw, mode='bilinear', align_corners=False
    )
    # Rounds, and half-way values up even if they come out slightly low: how
    # low depends on the number of threads and on the device.
    return (resized[0] + 0.5 + 2**-10).clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class View:
    """One scale and flip.

    Args:
        scale: The longest and the shortest side in pixels, in any order, that
            the resized image must fit into, keeping its aspect ratio (the
            meaning of `scale` in MMDetection's `Resize(keep_ratio=True)`).
        flip: `'horizontal'` or None.

    Raises:
        ValueError: If a side is not positive, or the flip unknown.

    Source:
        Paper, section 4, data transformations: scales from 400 to 1200, each
        also flipped.
    """

    scale: tuple[int, int]
    flip: str | None = None

    def __post_init__(self) -> None:
        if len(self.scale) != 2 or min(self.scale) < 1:
            raise ValueError(
                'a view needs scale=(longest side, shortest side), both '
                f'positive, got {self.scale!r}'
            )
        if self.flip not in FLIPS:
            raise ValueError(f'flip must be one of {FLIPS}, got {self.flip!r}')

    def size_hw(self, original_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the view's height and width for an image of this size."""
        height, width = original_hw
        new_width, new_height = rescale_size(
            (width, height), tuple(self.scale)
        )
        return max(new_height, 1), max(new_width, 1)

    def apply(self, resized: Tensor) -> Tensor:
        """Flip an image, shape (3, h, w), that has the view's size already.

        Resizing is left out because the views of one scale share it.
        """
        return resized.flip(-1) if self.flip else resized

    def invert(
        self, bboxes_xyxy: Tensor, original_hw: tuple[int, int]
    ) -> Tensor:
        """Take boxes of the flipped image back to the original image.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the flipped but not resized
                image: detectors undo the resizing on their own.
            original_hw: Height and width of the original image in pixels.

        Returns:
            Shape (n, 4), in the same order.
        """
        if self.flip is None:
            return bboxes_xyxy
        return bbox_flip(bboxes_xyxy, original_hw, direction=self.flip)
