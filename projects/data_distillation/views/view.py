"""A view: transforms of an image, and the way back for its boxes."""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from .transforms import VIEW_TRANSFORMS, Size, ViewTransform, size_hw_of


class View:
    """A chain of transforms.

    Args:
        transforms: Their configs, in the order in which they are applied.

    Raises:
        ValueError: If one of them has a wrong argument.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms: list[ViewTransform] = [
            VIEW_TRANSFORMS.build(transform) for transform in transforms
        ]

    def size_hw(self, original_hw: Size) -> Size:
        """Return the view's size for an image of `original_hw`."""
        for transform in self.transforms:
            original_hw = transform.size_hw(original_hw)
        return original_hw

    def key(self, original_hw: Size) -> tuple[Hashable, ...]:
        """Return what is equal for two views that look the same.

        Args:
            original_hw: The image's size.
        """
        steps = self._steps(original_hw)
        return tuple(transform.key(size_hw) for transform, size_hw in steps)

    def apply(self, image: Tensor, made: dict[tuple, Tensor]) -> Tensor:
        """Make the view of an image.

        Args:
            image: Shape (3, h, w), uint8, on any device.
            made: What other views of this image have made so far on the way,
                by key; is added to. A flip pair shares its resized image.

        Returns:
            Shape (3, h', w'), uint8.
        """
        key = self.key(size_hw_of(image))
        for n, transform in enumerate(self.transforms, 1):
            if key[:n] not in made:
                made[key[:n]] = transform.apply(image)
            image = made[key[:n]]
        return image

    def invert(
        self, bboxes_xyxy: Tensor, original_hw: Size
    ) -> tuple[Tensor, Tensor]:
        """Take boxes back to the original image.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the view.
            original_hw: The original image's size.

        Returns:
            The boxes, shape (n, 4), pixels of the original image, in order,
            and which of them are of whole objects, shape (n,), bool.
        """
        is_whole = torch.ones_like(bboxes_xyxy[:, 0], dtype=torch.bool)
        for transform, size_hw in reversed(self._steps(original_hw)):
            is_whole &= transform.is_whole(bboxes_xyxy, size_hw)
            bboxes_xyxy = transform.invert(bboxes_xyxy, size_hw)
        return bboxes_xyxy, is_whole

    def _steps(self, original_hw: Size) -> list[tuple[ViewTransform, Size]]:
        """Return each transform with the size before it."""
        steps, size_hw = [], original_hw
        for transform in self.transforms:
            steps.append((transform, size_hw))
            size_hw = transform.size_hw(size_hw)
        return steps
