"""View transforms that cut a window out of an image: crops and tiles."""

from dataclasses import dataclass, replace

from torch import Tensor

from .masks import MaskPatch
from .transforms import (
    VIEW_TRANSFORMS,
    Size,
    ViewTransform,
    get_size_hw,
    put_on_corners,
)

# If a box ends this close to an inner edge of a crop, its object counts as
# cut: detectors end the boxes of cut objects at the edge. The distance is a
# fraction of the crop's side.
EDGE = 0.01


class Window(ViewTransform):
    """Cuts a window out of an image; subclasses say which window.

    An inner edge of the window is one that is not an edge of the image. A box
    that ends at an inner edge (see `EDGE`) is dropped, because its object may
    have been cut. Another view must show the whole object: an overlapping tile
    or the full image.
    """

    def parts_xyxy(self) -> tuple[float, float, float, float]:
        """Return the window as fractions of the image.

        Returns:
            (left, top, right, bottom), each from 0 to 1: left and right as
            fractions of the width, top and bottom as fractions of the height.

        Raises:
            NotImplementedError: Always; each subclass writes its own.
        """
        raise NotImplementedError(
            f'{type(self).__name__} has no method `parts_xyxy`: write it'
        )

    def window_xyxy(self, size_hw: Size) -> tuple[int, int, int, int]:
        """Compute the window in pixels.

        Args:
            size_hw: The height and width of the image, in pixels.

        Returns:
            The corners (x1, y1, x2, y2), rounded to whole pixels (halves to
            even ones); x2 and y2 are one past the last pixel. Each side has at
            least one pixel.
        """
        height, width = size_hw
        left, top, right, bottom = self.parts_xyxy()
        # At least a pixel, however small the image is.
        x1 = min(round(left * width), width - 1)
        y1 = min(round(top * height), height - 1)
        x2 = max(round(right * width), x1 + 1)
        y2 = max(round(bottom * height), y1 + 1)
        return x1, y1, x2, y2

    def size_hw(self, size_hw: Size) -> Size:
        """Compute the size of the window.

        Args:
            size_hw: The height and width of the image, in pixels.

        Returns:
            The height and width of the window in pixels, each at least 1.
        """
        x1, y1, x2, y2 = self.window_xyxy(size_hw)
        return y2 - y1, x2 - x1

    def apply(self, image: Tensor) -> Tensor:
        """Cut the window out.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            Shape (3, *size_hw), uint8, with the size that the method `size_hw`
            gives; it shares the memory of the image.
        """
        x1, y1, x2, y2 = self.window_xyxy(get_size_hw(image))
        return image[:, y1:y2, x1:x2]

    def invert(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Move boxes back by the corner of the window.

        Args:
            bboxes_xyxy: Shape (n, 4), floats, pixels of the window.
            size_hw: The height and width of the whole image, in pixels.

        Returns:
            Shape (n, 4), pixels of the whole image, in order.
        """
        x1, y1, _, _ = self.window_xyxy(size_hw)
        corner = put_on_corners(float(x1), float(y1), bboxes_xyxy.device)
        return bboxes_xyxy + corner

    def invert_mask(self, mask: MaskPatch, size_hw: Size) -> MaskPatch:
        """Move a mask back by the corner of the window.

        Args:
            mask: The mask in the window.
            size_hw: The height and width of the whole image, in pixels.

        Returns:
            The mask in the whole image; it shares the values.
        """
        x1, y1, _, _ = self.window_xyxy(size_hw)
        return replace(mask, left=mask.left + x1, top=mask.top + y1)

    def is_whole(self, bboxes_xyxy: Tensor, size_hw: Size) -> Tensor:
        """Find the boxes that end at no inner edge of the window.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the window.
            size_hw: The height and width of the whole image, in pixels.

        Returns:
            Shape (n,), bool. A box is not whole if it ends less than `EDGE`
            (times the window's side) before an inner edge, or beyond it.
        """
        x1, y1, x2, y2 = self.window_xyxy(size_hw)
        height, width = y2 - y1, x2 - x1
        slack_x, slack_y = EDGE * width, EDGE * height
        left, top, right, bottom = bboxes_xyxy.unbind(-1)
        # A window that ends where the image does cuts nothing there.
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
        TypeError: If an argument is no number.
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
        """Return the window as fractions of the image.

        Returns:
            (left, top, right, bottom), as they were given.
        """
        return self.left, self.top, self.right, self.bottom


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Tile(Window):
    """Cuts one tile of a grid out of an image.

    Followed by a `Resize`, it magnifies small objects. Each tile of a grid is
    a view of its own. Add views of the full image for objects that are larger
    than the overlap.

    Args:
        rows: The number of tiles above each other, at least 1.
        columns: The number of tiles side by side, at least 1.
        row: The row of the tile, starting with 0 at the top.
        column: The column of the tile, starting with 0 at the left.
        overlap: The part that two neighbors share, as a fraction of a tile's
            side, in [0, 1).

    Raises:
        ValueError: If there is no such tile, or the overlap is out of range.
        TypeError: If an argument is no number.
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
        """Return the window as fractions of the image.

        Returns:
            (left, top, right, bottom), from 0 to 1.
        """
        left, right = self._span(self.column, self.columns)
        top, bottom = self._span(self.row, self.rows)
        return left, top, right, bottom

    def _span(self, index: int, count: int) -> tuple[float, float]:
        # `count` sides, less what neighbors share, make up the whole.
        side = 1 / (count - (count - 1) * self.overlap)
        start = index * side * (1 - self.overlap)
        # Rounding may lead a little beyond the image.
        return start, min(start + side, 1.0)
