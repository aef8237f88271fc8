"""View transforms that move pixels, and the way back for boxes and masks.

A view is a chain of transforms, such as `[dict(type='Resize', scale=(1333,
800)), dict(type='Flip')]` in the config. A new kind of transform is a
registered class with a method `apply`. If the transform moves pixels, the
class also has the inverses `invert` for boxes and `invert_mask` for masks, and
if it changes the size, `size_hw`.
"""

import functools
from collections.abc import Hashable
from dataclasses import dataclass

import torch
from mmcv.image import rescale_size
from mmdet.structures.bbox import bbox_flip
from mmengine.registry import Registry
from torch import Tensor
from torch.nn import functional

from ...arguments import check_at_least_1, check_is_one_of
from .masks import MaskPatch, resize_mask
from .resizing import resize_image

VIEW_TRANSFORMS = Registry('view transform', scope='mmdet')
# The dimensions of an image that each direction flips.
FLIPS = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-1, -2)}
Size = tuple[int, int]


def get_size_hw(image: Tensor) -> Size:
    """Return the height and width of an image.

    Args:
        image: Shape (..., h, w).

    Returns:
        Height and width in pixels.
    """
    height, width = image.shape[-2:]
    return height, width


class ViewTransform:
    """One step of a view; this base class keeps sizes and boxes as they are.

    All sizes are (height, width) in pixels. Subclasses are frozen dataclasses:
    two transforms are equal if their arguments are.
    """

    def size_hw(self, size_hw: Size) -> Size:
        """Return the size of an image after this step.

        Args:
            size_hw: The height and width before this step, in pixels.

        Returns:
            The height and width after it, in pixels.
        """
        return size_hw

    def apply(self, image: Tensor) -> Tensor:
        """Transform an image on its device.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            Shape (3, *size_hw), uint8; it may share the memory of `image`.

        Raises:
            NotImplementedError: Always; each transform writes its own.
        """
        raise NotImplementedError(
            f'{type(self).__name__} has no method `apply`: write it'
        )

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Take boxes back to the image before this step.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the transformed image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            Shape (n, 4), pixels before this step, in order; by default the
            given ones.
        """
        return bboxes_xyxy

    def invert_mask(self, mask: MaskPatch, size_hw: Size) -> MaskPatch:
        """Take a mask back to the image before this step.

        Args:
            mask: The mask in the transformed image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            The mask in the image before this step; by default the given one.
        """
        return mask

    @property
    def inverts_masks(self) -> bool:
        """Whether masks can be taken back.

        A class that moves boxes or changes the size needs an `invert_mask`
        too: masks would stay where they are in the view.
        """
        one, base = type(self), ViewTransform
        moves = (
            one.invert is not base.invert or one.size_hw is not base.size_hw
        )
        return not moves or one.invert_mask is not base.invert_mask

    def is_whole(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Find the boxes of objects that this step has not cut.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the transformed image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            Shape (n,), bool, whether each object is whole; by default all are.
        """
        return torch.ones_like(bboxes_xyxy[:, 0], dtype=torch.bool)

    def key(self, size_hw: Size) -> Hashable:
        """Return what is equal for two steps that do the same to an image.

        Args:
            size_hw: The height and width before this step, in pixels.

        Returns:
            A value to compare with those of other steps before which the image
            is the same; by default the step itself.
        """
        return self


# To copy two numbers to a GPU for every size would wait for it each time.
@functools.lru_cache(maxsize=256)
def put_on_corners(x: float, y: float, device: torch.device) -> Tensor:
    """Put what applies to both corners of a box on a device.

    Args:
        x: The number for x1 and x2.
        y: The number for y1 and y2.
        device: The device of the result.

    Returns:
        Shape (4,), float32. It is shared, so it must not be changed.
    """
    return torch.tensor([x, y, x, y], device=device)


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Resize(ViewTransform):
    """Resizes an image as MMDetection's transform of this name does.

    Args:
        scale: The limits for the longest and the shortest side, in pixels and
            in any order. Without `keep_ratio`, the new width and height.
        keep_ratio: Whether to keep the aspect ratio. The default is that of
            most detectors' configs, not that of MMDetection's transform.

    Raises:
        ValueError: If there are not two sides, or one is below 1.
        TypeError: If `scale` is no sequence of numbers.

    Source:
        Paper, section 4, data transformations: scales from 400 to 1200.
    """

    scale: tuple[int, int]
    keep_ratio: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, 'scale', tuple(self.scale))  # it is frozen
        if len(self.scale) != 2 or min(self.scale) < 1:
            raise ValueError(
                'Resize needs scale=(longest side, shortest side), both '
                f'positive, got {self.scale!r}'
            )

    def size_hw(self, size_hw: Size) -> Size:
        """Compute the size after resizing.

        Args:
            size_hw: The height and width before it, in pixels.

        Returns:
            The height and width after it, in whole pixels, each at least 1.
        """
        width, height = self.scale
        # As mmcv's `imrescale`, so that a view has the size of the test
        # pipeline.
        if self.keep_ratio:
            width, height = rescale_size(size_hw[::-1], self.scale)
        return max(height, 1), max(width, 1)

    def apply(self, image: Tensor) -> Tensor:
        """Resize an image.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            Shape (3, *size_hw), uint8; `image` itself if it has this size.
        """
        return resize_image(image, self.size_hw(get_size_hw(image)))

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Scale boxes back to the size before this step.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the resized image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            Shape (n, 4), pixels of the image before this step, in order.
        """
        height, width = self.size_hw(size_hw)
        scale = width / size_hw[1], height / size_hw[0]
        return bboxes_xyxy / put_on_corners(*scale, bboxes_xyxy.device)

    def invert_mask(self, mask: MaskPatch, size_hw: Size) -> MaskPatch:
        """Resize a mask back to the size before this step.

        Args:
            mask: The mask in the resized image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            The mask in the image before this step, as float32; the given one
            if the size is the same.
        """
        new_hw = self.size_hw(size_hw)
        return (
            mask if new_hw == size_hw else resize_mask(mask, new_hw, size_hw)
        )

    def key(self, size_hw: Size) -> Hashable:
        """Return the new size: scales that give the same size are equal.

        Args:
            size_hw: The height and width before this step, in pixels.

        Returns:
            The class and the height and width after the step.
        """
        return Resize, self.size_hw(size_hw)


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Flip(ViewTransform):
    """Mirrors an image.

    Args:
        direction: `'horizontal'` (left becomes right), `'vertical'` or
            `'diagonal'` (both).

    Raises:
        ValueError: If the direction is unknown.

    Source:
        Paper, section 4, data transformations: horizontal flips.
    """

    direction: str = 'horizontal'

    def __post_init__(self) -> None:
        check_is_one_of('direction', self.direction, tuple(FLIPS))

    def apply(self, image: Tensor) -> Tensor:
        """Flip an image.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            A copy of the same shape, uint8.
        """
        return image.flip(FLIPS[self.direction])

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Flip boxes back.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the flipped image.
            size_hw: The height and width of the image, in pixels.

        Returns:
            Shape (n, 4), pixels of the image before this step, in order.
        """
        return bbox_flip(bboxes_xyxy, size_hw, direction=self.direction)

    def invert_mask(self, mask: MaskPatch, size_hw: Size) -> MaskPatch:
        """Flip a mask back.

        Args:
            mask: The mask in the flipped image.
            size_hw: The height and width of the image, in pixels.

        Returns:
            The mask in the image before this step.
        """
        return flip_mask(mask, size_hw, self.direction)


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Pad(ViewTransform):
    """Pads an image at the right and at the bottom.

    It is for detectors whose test pipeline pads. Put it after every other
    transform.

    Args:
        size_divisor: The number of pixels that each side becomes a multiple
            of, at least 1.
        value: The gray level to pad with, from 0 to 255. YOLOX and RTMDet pad
            with 114.

    Raises:
        ValueError: If an argument is out of range, or `size_divisor` is no
            integer.
        TypeError: If an argument is no number.
    """

    size_divisor: int = 32
    value: int = 114

    def __post_init__(self) -> None:
        check_at_least_1('size_divisor', self.size_divisor)
        if not 0 <= self.value <= 255:
            raise ValueError(f'Pad needs value from 0 to 255, got {self}')

    def size_hw(self, size_hw: Size) -> Size:
        """Compute the padded size.

        Args:
            size_hw: The height and width before this step, in pixels.

        Returns:
            The least multiples of `size_divisor` that are not smaller.
        """
        height, width = (-(-n // self.size_divisor) for n in size_hw)
        return height * self.size_divisor, width * self.size_divisor

    def apply(self, image: Tensor) -> Tensor:
        """Pad an image with `value`, at the right and at the bottom.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            A copy of shape (3, *size_hw), uint8, of the padded size.
        """
        height, width = image.shape[-2:]
        new_height, new_width = self.size_hw((height, width))
        padding = (0, new_width - width, 0, new_height - height)
        return functional.pad(image, padding, value=self.value)

    def invert_mask(self, mask: MaskPatch, size_hw: Size) -> MaskPatch:
        """Cut off the part of a mask that lies in the padding.

        Args:
            mask: The mask in the padded image.
            size_hw: The height and width before this step, in pixels.

        Returns:
            The mask in the image before this step.
        """
        return mask.cut(size_hw)


def flip_mask(mask: MaskPatch, size_hw: Size, direction: str) -> MaskPatch:
    """Mirror an image with a mask.

    Args:
        mask: The mask.
        size_hw: The height and width of its image, in pixels.
        direction: A key of `FLIPS`.

    Returns:
        The mask in the mirrored image.
    """
    axes, (height, width) = FLIPS[direction], mask.size_hw
    return MaskPatch(
        mask.values.flip(axes),
        left=size_hw[1] - mask.left - width if -1 in axes else mask.left,
        top=size_hw[0] - mask.top - height if -2 in axes else mask.top,
    )
