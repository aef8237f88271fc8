"""The numbers in a line of a YOLO label file."""

from collections.abc import Iterable, Sequence

from .labels import LabelError, parse_finite

# How far coordinates may lie outside of 0 to 1; Ultralytics takes as much.
SLACK = 0.01


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


def read_line(
    words: Sequence[str],
    names: Sequence[str],
    where: str,
    may_have_score: bool,
) -> tuple[str, list[float], float | None]:
    """Read a line: a box or a polygon, perhaps with a score.

    Args:
        words: The columns of the line, at least one.
        names: The names of the classes, by their number.
        where: The file and the number of the line, for the messages.
        may_have_score: Whether a polygon may have a score: one with an even
            number of columns may as well lack a number.

    Returns:
        The name of the class, the coordinates as parts of the image (center x,
        center y, width and height of a box, or x1, y1, x2, y2, ... of a
        polygon, at least six), not clipped, and the score, any finite number;
        None without one.

    Raises:
        LabelError: If it is none of them, a column is not a finite number, the
            class is not the number of one of `names`, or a coordinate is more
            than `SLACK` outside of 0 to 1.
    """
    label, *numbers = parse_numbers(words, where)
    # `in` takes 1.0 for 1, and finds no 1.5.
    if label not in range(len(names)):
        raise LabelError(
            f'{where}: the class must be from 0 to {len(names) - 1}, got '
            f'{words[0]}'
        )
    # Coordinates come in pairs: one more number is a score.
    has_score = len(numbers) % 2 == 1
    too_many = has_score and len(numbers) > 5 and not may_have_score
    if len(numbers) < 4 or too_many:
        raise LabelError(
            f'{where}: a box must have 5 columns (6 with a score) and a '
            f'polygon an odd number from 7, got {len(words)} columns; all '
            'lines of the file have one more if polygons have scores'
        )
    score = numbers.pop() if has_score else None
    outside = [n for n in numbers if not -SLACK <= n <= 1 + SLACK]
    if outside:
        raise LabelError(
            f'{where}: coordinates must be from 0 to 1, got {outside[0]:g}'
        )
    return names[int(label)], numbers, score


def scale_box(
    center_box: Sequence[float], size_wh: tuple[int, int]
) -> list[float]:
    """Convert a box of YOLO to one of COCO.

    Args:
        center_box: Center x, y, width and height as parts of the image.
        size_wh: The width and height of the image, pixels.

    Returns:
        Left, top, width and height in pixels, neither clipped nor rounded.
    """
    (x, y, w, h), (width, height) = center_box, size_wh
    return [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]


def scale_polygon(
    polygon: Sequence[float], size_wh: tuple[int, int]
) -> list[float]:
    """Convert a polygon of YOLO to one of COCO.

    Args:
        polygon: x1, y1, x2, y2, ... as parts of the image.
        size_wh: The width and height of the image, pixels.

    Returns:
        The same in pixels, in order, neither clipped nor rounded.
    """
    return [n * size_wh[i % 2] for i, n in enumerate(polygon)]
