"""The numbers in a line of a YOLO label file, and the box that they give."""

from collections.abc import Iterable, Sequence

from .labels import LabelError, parse_finite


def parse_numbers(words: Iterable[str], where: str) -> list[float]:
    """Read words as numbers.

    Args:
        words: The words.
        where: The file and the number of the line, for the message.

    Returns:
        The numbers, in order.

    Raises:
        LabelError: If a word is not a number, or it is not finite.
    """
    numbers = []
    for word in words:
        number = parse_finite(word)
        if number is None:
            raise LabelError(f'{where}: {word!r} is not a number')
        numbers.append(number)
    return numbers


def bound_polygon(polygon: Sequence[float]) -> list[float]:
    """Find the box of a polygon.

    Args:
        polygon: The corners as x, y, x, y, ..., at least one.

    Returns:
        Center x, center y, width and height, in the same unit.
    """
    xs, ys = polygon[::2], polygon[1::2]
    return [
        (min(xs) + max(xs)) / 2,
        (min(ys) + max(ys)) / 2,
        max(xs) - min(xs),
        max(ys) - min(ys),
    ]


def scale_to_pixels(
    center_box: Sequence[float], size_wh: tuple[int, int]
) -> list[float]:
    """Convert a box of YOLO to one of COCO.

    Args:
        center_box: Center x, y, width and height as parts of the image.
        size_wh: The width and height of the image, pixels.

    Returns:
        Left, top, width and height in pixels.
    """
    (x, y, w, h), (width, height) = center_box, size_wh
    return [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
