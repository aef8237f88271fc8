"""An image with its boxes, as annotation tools give it back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...text import format_value
from ..coco.reading import CocoError
from ..coco.schema import is_side, is_text
from ..segmentations.facts import FEWEST_NUMBERS, find_bounds

# The box (xywh in pixels), the name of its class, and what else is kept.
CorrectedBox = tuple[list[float], str, dict]


@dataclass(frozen=True)
class CorrectedImage:
    """An image that came back.

    Args:
        name: The name of its file, as the tool writes it; also a path or URL.
        size_wh: Width and height in pixels, as the tool says; None if it does
            not say.
        boxes: The boxes in the tool's order: left, top, width and height in
            pixels of an image of this size (neither clipped nor rounded), the
            name of the class, and the other keys of the annotation to keep.
        is_annotated: Whether the tool says that somebody has looked at it;
            None if it does not say.
        renamed: Its present name, if `name` is the one that it had before.
        is_deleted: Whether the tool has marked it as deleted.
        num_deleted: How many boxes the tool has marked as deleted. They are
            not among `boxes`.
    """

    name: str
    size_wh: tuple[int, int] | None
    boxes: list[CorrectedBox] = field(default_factory=list)
    is_annotated: bool | None = None
    renamed: str | None = None
    is_deleted: bool = False
    num_deleted: int = 0


def read_size(
    width: object, height: object, path: Path
) -> tuple[int, int] | None:
    """Read the size of an image.

    Args:
        width: The width in pixels, as JSON has it.
        height: The height in pixels, as JSON has it.
        path: The file, for the message.

    Returns:
        Both; None if one of them is null, 0 or empty.

    Raises:
        CocoError: If one is something else than a whole number above 0.
    """
    if not (width and height):
        return None
    if not (is_side(width) and is_side(height)):
        raise CocoError(
            f'{path}: the width and height of an image must be positive whole '
            f'numbers, got {format_value((width, height))}: correct them'
        )
    return int(width), int(height)


def check_text(what: str, value: object, path: Path) -> None:
    """Check that a name in an export is a text.

    Args:
        what: What the name is, for the message.
        value: The name, as JSON has it.
        path: The file, for the message.

    Raises:
        CocoError: If it is no text, or an empty one.
    """
    if not is_text(value):
        raise CocoError(
            f'{path}: {what} must be a text that is not empty, got '
            f'{format_value(value)}: correct it'
        )


def read_polygon(
    points: Iterable[Sequence[float]], name: str, path: Path
) -> CorrectedBox:
    """Make a box of the polygon around an object.

    Args:
        points: The points, x and y in pixels of the image.
        name: The name of the class.
        path: The file, for the message.

    Returns:
        The box around it, neither clipped nor rounded, the name, and the
        polygon as `segmentation`.

    Raises:
        CocoError: If it has less than three points.
        TypeError, ValueError: If a point is not two numbers.
        OverflowError: If a number is too large for a float.
    """
    polygon = [float(number) for x, y in points for number in (x, y)]
    if len(polygon) < FEWEST_NUMBERS:
        raise CocoError(
            f'{path} has a polygon of {name!r} with {len(polygon) // 2} '
            'points: outline the object, or delete it'
        )
    left, top, right, bottom = find_bounds([polygon])
    bbox_xywh = [left, top, right - left, bottom - top]
    return bbox_xywh, name, dict(segmentation=[polygon])
