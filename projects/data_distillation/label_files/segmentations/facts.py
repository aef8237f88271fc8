"""What a `segmentation` of a COCO file is, without its points."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from ...arguments import is_number

# A polygon is three points, each x and y.
FEWEST_NUMBERS = 6
# No image has a longer side.
MAX_SIDE = 2**20
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Facts:
    """What the checks need to know of a segmentation.

    A large file has millions of points, so that these are kept in their place.

    Args:
        fault: The kind of what is wrong with the segmentation itself; `''` if
            nothing is. See `look_at_polygons` and `look_at_mask`.
        detail: More about the fault: for `wrong` the end of a sentence, for
            `odd` the count of numbers, and for `short` the count of points, of
            the first such polygon; otherwise `''`.
        is_fixable: Whether the fault can be mended in one way.
        bounds: Left, top, right and bottom of what is in it, pixels; None if
            it has a fault.
        size_hw: The height and width of a mask, pixels; None for polygons and
            for what is `wrong`.
        swapped: The bounds if the sides in `size` are swapped; None for
            polygons and with a fault.
        is_whole: Whether a polygon has only integers; False with a fault and
            for masks.
    """

    fault: str = ''
    detail: str = ''
    is_fixable: bool = False
    bounds: Bounds | None = None
    size_hw: tuple[int, int] | None = None
    swapped: Bounds | None = None
    is_whole: bool = False

    @classmethod
    def of(cls, value: object) -> 'Facts':
        """Look at the `segmentation` of an annotation.

        Args:
            value: The value as JSON has it, of any type.

        Returns:
            The facts. A value of another type than dict or list is `wrong`,
            a list of one RLE is `not plain`, and a list of nothing, such as
            `[]`, `[[]]` or `[null]`, is `empty`. See `look_at_polygons` and
            `look_at_mask` for the others.
        """
        if isinstance(value, dict):
            return look_at_mask(value)
        if not isinstance(value, list):
            return cls('wrong', f'is {type(value).__name__}')
        if write_plain_rle(value):
            return cls('not plain', is_fixable=True)
        # `any` takes zeros for nothing, but [0, 0] has numbers.
        if not any(value) and 0 not in value:
            return cls('empty')
        return look_at_polygons(value)


def look_at_polygons(value: list) -> Facts:
    """Find the facts of a list that should hold polygons.

    Args:
        value: The list, of any content.

    Returns:
        The facts. If there are several faults, the first of these is named:
        `wrong` (no polygons), `not nested` (polygons in another form), `odd`
        (a polygon with an odd number of numbers), `short` (one of less than
        three points, which is fixable if another is longer) and `empty` (all
        have no width or no height together, or draw no pixel).
    """
    polygons = nest_polygons(value)
    if polygons is None:
        return Facts('wrong', 'is no list of polygons [x1, y1, x2, y2, ...]')
    if polygons != value:
        return Facts('not nested', is_fixable=True)
    if odd := [len(p) for p in polygons if len(p) % 2]:
        return Facts('odd', f'{odd[0]}')
    short = [len(p) // 2 for p in polygons if len(p) < FEWEST_NUMBERS]
    if short:
        return Facts('short', f'{short[0]}', len(short) < len(polygons))
    left, top, right, bottom = bounds = find_bounds(polygons)
    if left < right and top < bottom:
        # As polygons of training's `poly2mask`, thin ones may have no pixel.
        if all(map(is_thin, polygons)) and not draws_pixels(polygons, bounds):
            return Facts('empty')
        is_whole = any(all(type(n) is int for n in p) for p in polygons)
        return Facts(bounds=bounds, is_whole=is_whole)
    return Facts('empty')


def is_thin(polygon: Sequence[float]) -> bool:
    """Return whether a polygon is thinner than a pixel on average.

    Args:
        polygon: x1, y1, x2, y2, ... in pixels of the image.

    Returns:
        Whether its area is less than half of its circumference, so that its
        pixels must be counted to know whether there are any.
    """
    points = np.array(polygon, float).reshape(-1, 2)
    following = np.roll(points, -1, axis=0)
    # The shoelace formula.
    twice = points[:, 0] @ following[:, 1] - points[:, 1] @ following[:, 0]
    around = np.hypot(*(following - points).T).sum()
    return bool(abs(twice) < around)


def draws_pixels(polygons: Sequence[Sequence[float]], bounds: Bounds) -> bool:
    """Return whether pycocotools draws a pixel for polygons.

    Args:
        polygons: The polygons, x1, y1, x2, y2, ... in pixels of the image.
        bounds: Left, top, right and bottom of all, in pixels.

    Returns:
        Whether a pixel is set, be it in the image or outside; True if a side
        is longer than `MAX_SIDE`.
    """
    left, top = map(math.floor, bounds[:2])
    width, height = (
        math.ceil(end) - start + 1
        for start, end in zip((left, top), bounds[2:], strict=True)
    )
    if max(width, height) > MAX_SIDE:
        return True
    shift = np.array([left, top])
    moved = [
        (np.array(one, float).reshape(-1, 2) - shift).ravel().tolist()
        for one in polygons
    ]
    drawn = coco_mask.frPyObjects(moved, height, width)
    return bool(coco_mask.area(drawn).any())


def nest_polygons(value: list) -> list[list] | None:
    """Return polygons as COCO has them.

    Args:
        value: Polygons, or a single one, each as numbers or as points (x, y).

    Returns:
        A list of lists of numbers, which is `value` itself if that is one;
        `[[]]` for an empty list. Two or more lists of two numbers are taken
        for the points of one polygon. None if it is anything else.
    """
    # Also an empty list, of which `all` is True.
    if all(map(is_number, value)):
        return [value]
    if not all(isinstance(part, list) for part in value):
        return None
    if all(all(map(is_number, part)) for part in value):
        # Points of one polygon, or polygons: none has only one point.
        is_points = all(len(part) == 2 for part in value) and len(value) > 1
        return [list(flatten_points(value))] if is_points else value
    if all(is_point(point) for part in value for point in part):
        return [list(flatten_points(part)) for part in value]
    return None


def flatten_points(points: Sequence[Sequence[float]]) -> Iterator[float]:
    """Write points as COCO does.

    Args:
        points: The points, each as (x, y).

    Yields:
        The numbers, x and y in turns; nothing without a point.
    """
    for point in points:
        yield from point


def is_point(value: object) -> bool:
    """Return whether a value is a list of two numbers.

    Args:
        value: The value, of any type.

    Returns:
        True for such a list; `true` and NaN are no numbers.
    """
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(map(is_number, value))
    )


def find_bounds(polygons: Sequence[Sequence[float]]) -> Bounds:
    """Find the smallest box around polygons.

    Args:
        polygons: The polygons, x1, y1, x2, y2, ... in pixels of the image, at
            least one point in all.

    Returns:
        Left, top, right and bottom in pixels, not rounded.
    """
    xs = [number for polygon in polygons for number in polygon[::2]]
    ys = [number for polygon in polygons for number in polygon[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def look_at_mask(value: dict) -> Facts:
    """Find the facts of a dict that should be RLE.

    Args:
        value: The dict, of any content.

    Returns:
        The facts. What is RLE but for its numbers (see `write_plain_rle`) is
        `not plain`, and what is no RLE (see `read_rle`) is `wrong`. RLE of
        another number of pixels than its `size` has, or with a broken text, is
        `counts`, and RLE without a pixel that is set is `empty`.
    """
    rle = read_rle(value)
    if rle is None and write_plain_rle(value):
        return Facts('not plain', is_fixable=True)
    if rle is None:
        return Facts('wrong', 'is no RLE: `size` [height, width] and `counts`')
    height, width = rle['size']
    if count_pixels(rle) != height * width:
        return Facts('counts', size_hw=(height, width))
    bounds, swapped = (
        bound_mask(dict(rle, size=size))
        for size in ((height, width), (width, height))
    )
    if bounds is None:
        return Facts('empty', size_hw=(height, width))
    return Facts(bounds=bounds, size_hw=(height, width), swapped=swapped)


def bound_mask(rle: dict) -> Bounds | None:
    """Find the smallest box around the pixels of a mask that are set.

    Args:
        rle: The mask as compressed RLE, whose counts have as many pixels as
            its size.

    Returns:
        Left, top, right and bottom in pixels, where right and bottom are the
        ends of the last pixels; None if no pixel is set.
    """
    # Of runs without a pixel, `toBbox` makes a box of any size.
    if not coco_mask.area(rle):
        return None
    x, y, w, h = coco_mask.toBbox(rle).tolist()
    return x, y, x + w, y + h


def read_rle(value: dict) -> dict | None:
    """Read the RLE of a JSON file.

    Args:
        value: A dict that should have `size` [height, width] and `counts`, a
            text or a list of numbers of pixels.

    Returns:
        A dict with the `size` and compressed `counts`, a text as it is or the
        bytes that a list becomes. The counts stay a list if they are not as
        many pixels as the size has; a text is not checked for that, see
        `count_pixels`. None if `value` is no RLE, its counts are empty, or a
        side is not from 1 to below `MAX_SIDE`.
    """
    size, counts = value.get('size'), value.get('counts')
    if not isinstance(size, list) or len(size) != 2:
        return None
    if not all(type(n) is int and 0 < n < MAX_SIDE for n in size):
        return None
    if isinstance(counts, str):
        # 64 characters from '0' (48) on, see `read_counts`.
        is_text = all(48 <= ord(letter) < 112 for letter in counts)
        return dict(size=size, counts=counts) if is_text and counts else None
    if not isinstance(counts, list) or not counts:
        return None
    if not all(type(n) is int and 0 <= n < 2**31 for n in counts):
        return None
    if sum(counts) != size[0] * size[1]:
        # pycocotools takes runs of any sum, so `count_pixels` compares them.
        return dict(size=size, counts=counts)
    return coco_mask.frPyObjects(dict(size=size, counts=counts), *size)


def write_plain_rle(value: dict | list) -> dict | None:
    """Write RLE as COCO has it: not in a list, and with integers.

    Args:
        value: What should be RLE, or a list, of any content.

    Returns:
        A new dict with `size` and `counts`, whose whole floats have become
        integers. None if it is no RLE after that, see `read_rle`.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    plain = {key: as_integers(value.get(key)) for key in ('size', 'counts')}
    return plain if read_rle(plain) else None


def as_integers(value: object) -> object:
    """Return a list with its whole floats as integers.

    Args:
        value: A value of any type.

    Returns:
        A new list, in order; what is no list as it is.
    """
    if not isinstance(value, list):
        return value
    return [
        int(n) if isinstance(n, float) and n.is_integer() else n for n in value
    ]


def count_pixels(rle: dict) -> int:
    """Count the pixels in all runs of a mask, set or not.

    Args:
        rle: What `read_rle` returns.

    Returns:
        The number of pixels; -1 if a run has less than no pixel, or the text
        is broken.
    """
    counts = rle['counts']
    if isinstance(counts, list):
        return sum(counts)
    text = counts.decode() if isinstance(counts, bytes) else counts
    runs = list(read_counts(text))
    return sum(runs) if min(runs, default=0) >= 0 else -1


def read_counts(text: str) -> Iterator[int]:
    """Yield the lengths of the runs in a compressed mask.

    Args:
        text: The text: 5 bits of a number in each character, and from the
            fourth number on the difference to the number two places before.

    Yields:
        The lengths in pixels; -1 at last if the text is broken, or ends within
        a number. A length may be negative in a broken text.
    """
    # As `rleFrString` of pycocotools, which does not check what it reads. A
    # character is 48 more than 6 bits: one that says whether more follow (32),
    # and 5 of the number, the lowest first. Bit 16 of the last is the sign.
    # 9 characters, where the shift is 40, hold the pixels of any mask.
    numbers: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            yield -1
            return
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        yield numbers[-1]
        value = shift = 0
    if shift:
        yield -1
