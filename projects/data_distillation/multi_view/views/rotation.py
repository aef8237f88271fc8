"""A view transform that turns an image by quarter turns."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .masks import MaskPatch
from .transforms import VIEW_TRANSFORMS, Size, ViewTransform


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Rotate(ViewTransform):
    """Turns an image by right angles.

    Args:
        degrees: The angle, counterclockwise: 90, 180 or 270.

    Raises:
        ValueError: If the angle is another.
    """

    degrees: int = 90

    def __post_init__(self) -> None:
        if self.degrees not in (90, 180, 270):
            raise ValueError(
                f'degrees must be 90, 180 or 270, got {self.degrees!r}'
            )

    def size_hw(self, size_hw: Size) -> Size:
        """Compute the size after turning, which may swap the sides.

        Args:
            size_hw: The height and width before this step, in pixels.

        Returns:
            The height and width after it, in pixels.
        """
        return size_hw if self.degrees == 180 else size_hw[::-1]

    def apply(self, image: Tensor) -> Tensor:
        """Turn an image counterclockwise.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            A copy of shape (3, *size_hw), uint8, with the size that the method
            `size_hw` gives.
        """
        return image.rot90(self.degrees // 90, (-2, -1))

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Turn boxes back, by a quarter turn at a time.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the turned image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            Shape (n, 4), pixels of the image before this step, in order.
        """
        turns = self.degrees // 90
        for turn in reversed(range(turns)):
            width = size_hw[1 - turn % 2]  # before this quarter turn
            # A point (x, y) of the turned image was at (width - y, x).
            left, top, right, bottom = bboxes_xyxy.unbind(-1)
            bboxes_xyxy = torch.stack(
                [width - bottom, left, width - top, right], dim=-1
            )
        return bboxes_xyxy

    def invert_mask(self, mask: MaskPatch, size_hw: Size) -> MaskPatch:
        """Turn a mask back, by a quarter turn at a time.

        Args:
            mask: The mask in the turned image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            The mask in the image before this step, with values of the same
            type.
        """
        turns = self.degrees // 90
        for turn in reversed(range(turns)):
            width = size_hw[1 - turn % 2]  # before this quarter turn
            mask = MaskPatch(
                mask.values.rot90(-1),  # clockwise
                left=width - mask.top - mask.size_hw[0],
                top=mask.left,
            )
        return mask
