"""Mends polygons and masks where there is one way only."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from pycocotools import mask as coco_mask

from ..coco.box_checks import map_image_sizes
from ..coco.tables import CocoFile
from ..segmentations.areas import measure_segmentation
from ..segmentations.facts import (
    FEWEST_NUMBERS,
    Facts,
    nest_polygons,
    read_rle,
    write_plain_rle,
)
from ..segmentations.polygons import clip_polygons
from .entries import Mended, replace_entries
from .mask_checks import Place, describe_segmentation, find_turn


def mend_segmentations(file: CocoFile) -> Mended:
    """Mend what training on masks cannot use as it is.

    What can be mended in several ways, or not at all, stays as it is; see
    `describe_segmentation`.

    Args:
        file: The file, read with its polygons. It is not changed.

    Returns:
        The content with mended annotations, and how often each mending was
        done (what was done -> number; one annotation may need several).
    """
    counts: Counter = Counter()
    sizes = map_image_sizes(file)
    columns = map(file.annotations.column, ('image_id', 'bbox'))
    known = list(zip(*columns, strict=True))

    def change(index: int, entry: dict) -> dict:
        """Return an annotation with a segmentation that can be used."""
        image_id, bbox_xywh = known[index]
        # One fault may hide another: after each mending, look again.
        while value := entry.get('segmentation'):
            place = Place(Facts.of(value), sizes.get(image_id), bbox_xywh)
            found = describe_segmentation(place)
            if not (found and found[-1]):
                break
            done, apply = MENDINGS[found[0]]
            mended = apply(value, place)
            # Of a polygon that only touches its image, nothing is left.
            if not mended:
                break
            entry = dict(entry, segmentation=mended)
            if found[0] == 'outside' and 'area' in entry:
                entry['area'] = measure_segmentation(mended) or entry['area']
            counts[done] += 1
        return entry

    return replace_entries(file, 'annotations', change), counts


def nest_value(value: list, place: Place) -> list | None:
    """Write polygons as lists of numbers.

    Args:
        value: Polygons, or a single one, each as numbers or as points (x, y).
        place: It is not used.

    Returns:
        A list of lists of numbers, see `nest_polygons`; None if `value` is
        anything else.
    """
    return nest_polygons(value)


def write_integers(value: dict | list, place: Place) -> dict | None:
    """Write RLE with integers, and not in a list.

    Args:
        value: The RLE, or a list of one.
        place: It is not used.

    Returns:
        A new dict, see `write_plain_rle`.
    """
    return write_plain_rle(value)


def drop_short(value: list, place: Place) -> list:
    """Drop the polygons of less than three points.

    Args:
        value: The polygons, as lists of numbers.
        place: It is not used.

    Returns:
        The others, in their order.
    """
    return [one for one in value if len(one) >= FEWEST_NUMBERS]


def write_floats(value: list, place: Place) -> list:
    """Write polygons with numbers that have a decimal point.

    Args:
        value: The polygons, as lists of numbers.
        place: It is not used.

    Returns:
        The same numbers as floats, in new lists.
    """
    return [list(map(float, polygon)) for polygon in value]


def swap_sides(value: dict, place: Place) -> dict:
    """Give a mask the size of its image.

    Args:
        value: The mask as RLE, with the sides of its image swapped.
        place: The mask, its image and its box. Exactly one turn fits them, see
            `find_turn`.

    Returns:
        A new dict: the mask with only its `size` changed, or as compressed RLE
        (`counts` is a text) with its pixels transposed or turned.
    """
    turn = find_turn(place)
    if turn == 'named':
        return dict(value, size=value['size'][::-1])
    mask = coco_mask.decode(read_rle(value))
    turned = {
        'transposed': mask.T,
        'turned right': np.rot90(mask, -1),
        'turned left': np.rot90(mask),
    }[turn or 'transposed']  # Never None here.
    # pycocotools reads only Fortran order, which turned views do not have.
    rle = coco_mask.encode(np.asfortranarray(turned))
    return dict(value, size=rle['size'], counts=rle['counts'].decode())


def clip_to_image(value: list, place: Place) -> list:
    """Clip polygons to their image.

    Args:
        value: The polygons, as lists of numbers.
        place: The segmentation, its image and its box.

    Returns:
        The parts inside the image, in order, in pixels rounded to 1/100. A
        polygon of which less than three points are left is left out; the list
        is empty if no other is left.
    """
    clipped = clip_polygons(value, place.size_wh or (0, 0))
    return [[round(number, 2) for number in one] for one in clipped]


# Kind of problem -> what was done, and the function that does it.
MENDINGS: dict[str, tuple[str, Callable]] = {
    'not nested': ('polygons written as lists of numbers', nest_value),
    'not plain': ('RLE written with integers', write_integers),
    'short': ('polygons of less than 3 points dropped', drop_short),
    'of swapped sides': ('masks with their sides swapped', swap_sides),
    'outside': ('polygons clipped', clip_to_image),
    'of integers': ('polygons written with decimal points', write_floats),
}
