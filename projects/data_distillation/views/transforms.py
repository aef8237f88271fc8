"""View transforms that move pixels, and the way back for boxes.

A view is a chain of transforms, such as `[dict(type='Resize', scale=(1333,
800)), dict(type='Flip')]` in the config. A new kind of transform is a
registered class with a method `apply`. If the transform moves pixels, the
class also has its inverse `invert`, and if it changes the size, `size_hw`.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from mmcv.image import rescale_size
from mmdet.structures.bbox import bbox_flip
from mmengine.registry import Registry
from torch import Tensor
from torch.nn import functional

from .resizing import resize

VIEW_TRANSFORMS = Registry('view transform', scope='mmdet')


# The dimensions of an image that each direction flips.
FLIPS = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-1, -2)}


# If a box ends this close to an inner edge of a crop, its object counts as
# cut: detectors end the boxes of cut objects at the edge. The distance is a
# fraction of the crop's side.
EDGE = 0.01


Size = tuple[int, int]


def size_hw_of(image: Tensor) -> Size:
    """Return the height and width of an image of shape (..., h, w)."""
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
            size_hw: The size of the image before this step.
        """
        return size_hw

    def apply(self, image: Tensor) -> Tensor:
        """Transform an image on its device.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            Shape (3, *size_hw), uint8, where `size_hw` is that of the method.
        """
        raise NotImplementedError

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Take boxes back to the image before this step.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the transformed image.
            size_hw: The size of the image before this step.

        Returns:
            Shape (n, 4), pixels of the image before this step, in order.
        """
        return bboxes_xyxy

    def is_whole(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Find the boxes of objects that this step has not cut.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the transformed image.
            size_hw: The size of the image before this step.

        Returns:
            Shape (n,), bool, whether the object of each box is whole.
        """
        return torch.ones_like(bboxes_xyxy[:, 0], dtype=torch.bool)

    def key(self, size_hw: Size) -> Hashable:
        """Return what is equal for two steps that do the same to an image.

        Args:
            size_hw: The size of the image before this step.
        """
        return self


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
        ValueError: If a side is not positive.

    Source:
        Paper, section 4, data transformations: scales from 400 to 1200.
    """

    scale: tuple[int, int]
    keep_ratio: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, 'scale', tuple(self.scale))
        if len(self.scale) != 2 or min(self.scale) < 1:
            raise ValueError(
                'Resize needs scale=(longest side, shortest side), both '
                f'positive, got {self.scale!r}'
            )

    def size_hw(self, size_hw: Size) -> Size:
        """Return the size after resizing; each side has at least one pixel."""
        width, height = self.scale
        if self.keep_ratio:
            width, height = rescale_size(size_hw[::-1], self.scale)
        return max(height, 1), max(width, 1)

    def apply(self, image: Tensor) -> Tensor:
        """Resize an image."""
        return resize(image, self.size_hw(size_hw_of(image)))

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Scale boxes back to the size before this step."""
        height, width = self.size_hw(size_hw)
        scale = [width / size_hw[1], height / size_hw[0]] * 2
        return bboxes_xyxy / bboxes_xyxy.new_tensor(scale)

    def key(self, size_hw: Size) -> Hashable:
        """Return the new size, which two scales may share."""
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
        if self.direction not in FLIPS:
            raise ValueError(
                f'direction must be one of {tuple(FLIPS)}, got '
                f'{self.direction!r}'
            )

    def apply(self, image: Tensor) -> Tensor:
        """Flip an image."""
        return image.flip(FLIPS[self.direction])

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Flip boxes back."""
        return bbox_flip(bboxes_xyxy, size_hw, direction=self.direction)


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
        """Return the size; 90 and 270 degrees exchange the sides."""
        return size_hw if self.degrees == 180 else size_hw[::-1]

    def apply(self, image: Tensor) -> Tensor:
        """Turn an image."""
        return image.rot90(self.degrees // 90, (-2, -1))

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Turn boxes back, by a quarter turn at a time."""
        turns = self.degrees // 90
        for turn in reversed(range(turns)):
            width = size_hw[1 - turn % 2]  # before this quarter turn
            left, top, right, bottom = bboxes_xyxy.unbind(-1)
            bboxes_xyxy = torch.stack(
                [width - bottom, left, width - top, right], dim=-1
            )
        return bboxes_xyxy


class Window(ViewTransform):
    """Cuts a window out of an image; subclasses say which window.

    An inner edge of the window is one that is not an edge of the image. A box
    that ends at an inner edge (see `EDGE`) is dropped, because its object may
    have been cut. Another view must show the whole object: an overlapping tile
    or the full image.
    """

    def parts_xyxy(self) -> tuple[float, float, float, float]:
        """Return the window as fractions of the image's width and height."""
        raise NotImplementedError

    def window_xyxy(self, size_hw: Size) -> tuple[int, int, int, int]:
        """Return the window in pixels; each side has at least one pixel."""
        height, width = size_hw
        left, top, right, bottom = self.parts_xyxy()
        x1 = min(round(left * width), width - 1)
        y1 = min(round(top * height), height - 1)
        x2 = max(round(right * width), x1 + 1)
        y2 = max(round(bottom * height), y1 + 1)
        return x1, y1, x2, y2

    def size_hw(self, size_hw: Size) -> Size:
        """Return the size of the window."""
        x1, y1, x2, y2 = self.window_xyxy(size_hw)
        return y2 - y1, x2 - x1

    def apply(self, image: Tensor) -> Tensor:
        """Cut the window out; the result shares the memory of the image."""
        x1, y1, x2, y2 = self.window_xyxy(size_hw_of(image))
        return image[:, y1:y2, x1:x2]

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Move boxes back by the corner of the window."""
        x1, y1, _, _ = self.window_xyxy(size_hw)
        return bboxes_xyxy + bboxes_xyxy.new_tensor([x1, y1, x1, y1])

    def is_whole(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Find the boxes that end at no inner edge."""
        x1, y1, x2, y2 = self.window_xyxy(size_hw)
        height, width = y2 - y1, x2 - x1
        slack_x, slack_y = EDGE * width, EDGE * height
        left, top, right, bottom = bboxes_xyxy.unbind(-1)
        is_cut = (left < slack_x) & (x1 > 0)
        is_cut |= (top < slack_y) & (y1 > 0)
        is_cut |= (right > width - slack_x) & (x2 < size_hw[1])
        is_cut |= (bottom > height - slack_y) & (y2 < size_hw[0])
        return ~is_cut


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Crop(Window):
    """Cuts any window out of an image.

    Args:
        left: The left edge of the window, as a fraction of the image's width.
        top: The top edge, as a fraction of the image's height.
        right: The right edge, as a fraction of the image's width.
        bottom: The bottom edge, as a fraction of the image's height.

    Raises:
        ValueError: If the window is empty or not inside the image.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def __post_init__(self) -> None:
        x_is_inside = 0 <= self.left < self.right <= 1
        if not (x_is_inside and 0 <= self.top < self.bottom <= 1):
            raise ValueError(
                'Crop needs 0 <= left < right <= 1 and 0 <= top < bottom <= '
                f'1, as fractions of the image, got {self}'
            )

    def parts_xyxy(self) -> tuple[float, float, float, float]:
        """Return the window as fractions of the image's width and height."""
        return self.left, self.top, self.right, self.bottom


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Tile(Window):
    """Cuts one tile of a grid out of an image.

    Followed by a `Resize`, it magnifies small objects. Each tile of a grid is
    a view of its own. Add views of the full image for objects that are larger
    than the overlap.

    Args:
        rows: The number of tiles above each other.
        columns: The number of tiles side by side.
        row: The row of the tile, starting with 0 at the top.
        column: The column of the tile, starting with 0 at the left.
        overlap: The part that two neighbors share, as a fraction of a tile's
            side, in [0, 1).

    Raises:
        ValueError: If there is no such tile, or the overlap is out of range.
    """

    rows: int = 2
    columns: int = 2
    row: int = 0
    column: int = 0
    overlap: float = 0.25

    def __post_init__(self) -> None:
        is_there = (
            0 <= self.row < self.rows and 0 <= self.column < self.columns
        )
        if not (is_there and 0 <= self.overlap < 1):
            raise ValueError(
                'Tile needs 0 <= row < rows, 0 <= column < columns and 0 <= '
                f'overlap < 1, got {self}'
            )

    def parts_xyxy(self) -> tuple[float, float, float, float]:
        """Return the window as fractions of the image's width and height."""
        left, right = self._span(self.column, self.columns)
        top, bottom = self._span(self.row, self.rows)
        return left, top, right, bottom

    def _span(self, index: int, count: int) -> tuple[float, float]:
        side = 1 / (count - (count - 1) * self.overlap)
        start = index * side * (1 - self.overlap)
        return start, min(start + side, 1.0)


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
        ValueError: If an argument is out of range.
    """

    size_divisor: int = 32
    value: int = 114

    def __post_init__(self) -> None:
        if self.size_divisor < 1 or not 0 <= self.value <= 255:
            raise ValueError(
                'Pad needs size_divisor >= 1 and value from 0 to 255, got '
                f'{self}'
            )

    def size_hw(self, size_hw: Size) -> Size:
        """Return the padded size."""
        height, width = (-(-n // self.size_divisor) for n in size_hw)
        return height * self.size_divisor, width * self.size_divisor

    def apply(self, image: Tensor) -> Tensor:
        """Pad an image."""
        height, width = image.shape[-2:]
        new_height, new_width = self.size_hw((height, width))
        padding = (0, new_width - width, 0, new_height - height)
        return functional.pad(image, padding, value=self.value)
