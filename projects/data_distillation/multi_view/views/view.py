"""View: a chain of transforms of an image, and the way back."""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from .masks import MaskPatch
from .transforms import VIEW_TRANSFORMS, Size, ViewTransform, get_size_hw


class View:
    """A chain of transforms, which makes one view of any image.

    Args:
        transforms: The configs of the transforms, in the order in which they
            are applied. Without any, the view is the image itself.

    Raises:
        ValueError: If an argument of a transform is out of range.
        TypeError: If an argument of a transform is unknown, missing or of the
            wrong type, or a transform is no dictionary.
        KeyError: If a transform has no `type`, or it is not registered.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms: list[ViewTransform] = [
            VIEW_TRANSFORMS.build(transform) for transform in transforms
        ]

    def size_hw(self, original_hw: Size) -> Size:
        """Return the size of the view of an image.

        Args:
            original_hw: The height and width of the image, in pixels.

        Returns:
            The height and width of the view, in pixels.
        """
        for transform in self.transforms:
            original_hw = transform.size_hw(original_hw)
        return original_hw

    def key(self, original_hw: Size) -> tuple[Hashable, ...]:
        """Return what is equal for two views of an image that look the same.

        Args:
            original_hw: The height and width of the image, in pixels.

        Returns:
            The key of each transform, in order, see `ViewTransform.key`; empty
            without transforms.
        """
        steps = self._steps(original_hw)
        return tuple(transform.key(size_hw) for transform, size_hw in steps)

    def apply(self, image: Tensor, made: dict[tuple, Tensor]) -> Tensor:
        """Make the view of an image.

        Args:
            image: Shape (3, h, w), uint8, on any device.
            made: The images that other views of this image have made on the
                way, by the key of the steps so far, such as the resized image
                that a flip pair shares. Those of this view are added.

        Returns:
            Shape (3, *size_hw), uint8, with the size of `size_hw`, on the
            device of the image. It may share the memory of the image, as a
            crop does, and is the image itself if there are no transforms.
        """
        key = self.key(get_size_hw(image))
        for n, transform in enumerate(self.transforms, 1):
            # Views that begin alike, such as a view and its flip, share the
            # steps.
            if key[:n] not in made:
                made[key[:n]] = transform.apply(image)
            image = made[key[:n]]
        return image

    def invert(
        self, bboxes_xyxy: Tensor, original_hw: Size
    ) -> tuple[Tensor, Tensor]:
        """Take boxes back to the original image.

        Args:
            bboxes_xyxy: Shape (n, 4), floats, pixels of the view.
            original_hw: The height and width of the original image, in pixels.

        Returns:
            The boxes, shape (n, 4), pixels of the original image, in order;
            and whether each is the box of an object that the view shows whole,
            shape (n,), bool. Boxes are not cut at the borders of the image.
        """
        is_whole = torch.ones_like(bboxes_xyxy[:, 0], dtype=torch.bool)
        for transform, size_hw in reversed(self._steps(original_hw)):
            # Asked before `invert`, in the frame that the step has cut.
            is_whole &= transform.is_whole(bboxes_xyxy, size_hw)
            bboxes_xyxy = transform.invert(bboxes_xyxy, size_hw)
        return bboxes_xyxy, is_whole

    def invert_mask(self, mask: MaskPatch, original_hw: Size) -> MaskPatch:
        """Take a mask back to the original image.

        Args:
            mask: The mask in the view.
            original_hw: The height and width of the original image, in pixels.

        Returns:
            The mask in the original image. What a crop has cut off is not set.
            After a resize, its values are float32.
        """
        for transform, size_hw in reversed(self._steps(original_hw)):
            mask = transform.invert_mask(mask, size_hw)
        return mask

    def _steps(self, original_hw: Size) -> list[tuple[ViewTransform, Size]]:
        """Return each transform with the size of the image before it."""
        steps, size_hw = [], original_hw
        for transform in self.transforms:
            steps.append((transform, size_hw))
            size_hw = transform.size_hw(size_hw)
        return steps
