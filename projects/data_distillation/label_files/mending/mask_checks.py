"""Finds segmentations that MMDetection would drop, misread or fail at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..coco.box_checks import map_image_sizes
from ..coco.problems import Problem
from ..coco.schema import TOLERANCE
from ..coco.tables import CocoFile, read_file
from ..segmentations.facts import Bounds, Facts

# How far a side of a box may be from that of its mask, in pixels and as a
# share of the longer side of both: annotators draw boxes by hand.
SLACK, SLACK_SHARE = 3.0, 0.2

# Kind of fault -> what is wrong, and what to do.
FAULTS = {
    'wrong': ('', 'write polygons or RLE'),
    'not nested': (
        'has points or numbers where MMDetection expects lists of numbers',
        'write [[x1, y1, x2, y2, ...]]',
    ),
    'not plain': (
        'is RLE in a list, or with numbers that are no integers, so that '
        'training on masks fails or ignores the object',
        'write size=[height, width] and `counts` as COCO does',
    ),
    'empty': (
        'has no pixel, so that training on masks fails or ignores the object',
        'outline the object',
    ),
    'odd': (
        'has a polygon of {} numbers, which MMDetection drops',
        'write x and y of each point',
    ),
    'short': (
        'has a polygon of {} points, which MMDetection drops',
        'remove the polygon, or outline the object',
    ),
    'counts': (
        'has runs that are not as many pixels as its `size`',
        'write the mask again',
    ),
}


def read_for_masks(path: str | Path) -> CocoFile | Problem:
    """Read a COCO file with the facts of its segmentations in their place.

    Args:
        path: The path of the file.

    Returns:
        The file; a problem if it cannot be read, or is not a JSON object.
    """
    return read_file(path, summarize=summarize_segmentation)


def summarize_segmentation(entry: dict) -> dict:
    """Replace the `segmentation` of an object that was just read.

    Args:
        entry: Any object of the file. It is changed in its place.

    Returns:
        The same object, with `Facts` for its segmentation. What has none, or
        null, is left as it is.
    """
    if 'segmentation' in entry:
        value = entry['segmentation']
        entry['segmentation'] = None if value is None else Facts.of(value)
    return entry


def check_segmentations(file: CocoFile) -> Iterator[Problem]:
    """Find segmentations that training on masks cannot use as they are.

    Files in which most objects have none, or one without a pixel, are for
    boxes alone, and have no problem.

    Args:
        file: The file as `read_for_masks` reads it, or with its polygons.

    Yields:
        At most one problem for each annotation, in the file's order.
    """
    every = [
        value if isinstance(value, Facts | None) else Facts.of(value)
        for value in file.annotations.values('segmentation')
    ]
    num_bare = sum(facts is None or facts.fault == 'empty' for facts in every)
    if 2 * num_bare > len(every) or not every:
        return
    sizes = map_image_sizes(file)
    bboxes_xywh = file.annotations.column('bbox')
    image_ids = file.annotations.column('image_id')
    for index, facts in enumerate(every):
        found = MISSING
        if facts:
            place = Place(
                facts, sizes.get(image_ids[index]), bboxes_xywh[index]
            )
            found = describe_segmentation(place)
        if found:
            kind, what, advice, is_fixable = found
            yield file.make_problem(
                f'segmentation {kind}',
                file.annotations,
                index,
                f'`segmentation` {what}',
                advice,
                is_fixable,
            )


@dataclass(frozen=True)
class Place:
    """A segmentation, its image and its box.

    Args:
        facts: What the segmentation is.
        size_wh: Width and height of the image in pixels; None if they are not
            known.
        bbox_xywh: The box, xywh in pixels; None if there is none.
    """

    facts: Facts
    size_wh: tuple[float, float] | None
    bbox_xywh: list | None


Description = tuple[str, str, str, bool]
MISSING: Description | None = (
    'missing',
    'is missing, though other objects have one, so that training on masks '
    'fails',
    'outline the object',
    False,
)


def describe_segmentation(place: Place) -> Description | None:
    """Describe what is wrong with a segmentation.

    Args:
        place: The segmentation, its image and its box.

    Returns:
        The kind, the text, what to do, and whether `mend_segmentations` can do
        it. Only the first problem is described: a fault of its own, then
        another size than its image, a part outside the image, another place
        than its box, and integers. None if nothing is wrong.
    """
    facts = place.facts
    if facts.fault:
        what, advice = FAULTS[facts.fault]
        # For `wrong`, the detail alone says it.
        what = what.format(facts.detail) or facts.detail
        return facts.fault, what, advice, facts.is_fixable
    return (
        find_wrong_size(place)
        or find_outside(place)
        or find_misfit(place)
        or find_whole(facts)
    )


def find_wrong_size(place: Place) -> Description | None:
    """Describe a mask of another size than its image.

    Args:
        place: The mask, its image and its box.

    Returns:
        The description; None if the sizes are equal, if that of the image is
        not known, or for polygons.
    """
    found = place.facts.size_hw
    if found is None or place.size_wh is None:
        return None
    wanted = place.size_wh[::-1]
    if found == wanted:
        return None
    what = (
        f'has the size {list(found)} (height, width), but its image {wanted}'
    )
    if found[::-1] != wanted:
        return 'of another size', what, 'write a mask of the image', False
    what += ', so that its sides are swapped'
    advice = 'write [height, width], or turn the mask as the image is turned'
    return 'of swapped sides', what, advice, bool(find_turn(place))


# What can have been done to a mask whose sides are swapped.
TURNS = ('named', 'transposed', 'turned right', 'turned left')


def find_turn(place: Place) -> str | None:
    """Return what makes a mask with swapped sides fit its box.

    Args:
        place: The mask, its image and its box.

    Returns:
        One of `TURNS`: only the `size` is wrong, or what is to be done to the
        pixels. None if not exactly one of them fits, up to `SLACK` pixels, if
        there is no box, or for polygons and a mask with a fault.
    """
    facts, bbox_xywh = place.facts, place.bbox_xywh
    if not (facts.bounds and facts.size_hw and bbox_xywh):
        return None
    left, top, right, bottom = facts.bounds
    height, width = facts.size_hw
    # In the order of `TURNS`, each as (left, top, right, bottom).
    turned = (
        facts.swapped,
        (top, left, bottom, right),
        (height - bottom, left, height - top, right),
        (top, width - right, bottom, width - left),
    )
    found = [
        turn
        for turn, bounds in zip(TURNS, turned, strict=True)
        if bounds and fits_box(bounds, bbox_xywh, share=0)
    ]
    return found[0] if len(found) == 1 else None


def find_outside(place: Place) -> Description | None:
    """Describe a segmentation that reaches outside its image.

    Args:
        place: The segmentation, its image and its box.

    Returns:
        The description: `away` if nothing of it is inside, otherwise
        `outside`, which can be mended. None if it reaches at most `TOLERANCE`
        pixels outside, has a fault, or the size of the image is not known.
    """
    facts, size = place.facts, place.size_wh
    if facts.bounds is None or size is None:
        return None
    left, top, right, bottom = facts.bounds
    overshoot = max(-left, -top, right - size[0], bottom - size[1])
    if overshoot <= TOLERANCE:
        return None
    is_away = right <= 0 or bottom <= 0 or left >= size[0] or top >= size[1]
    what = f'reaches {overshoot:g} pixels outside its image'
    if is_away:
        return 'away', 'lies outside its image', 'remove it', False
    return 'outside', what, 'clip it', True


def find_misfit(place: Place) -> Description | None:
    """Describe a box that is not that of its mask.

    Args:
        place: The segmentation, its image and its box.

    Returns:
        The description; None if the box fits as in `fits_box`, or if there
        is none.
    """
    facts, bbox_xywh = place.facts, place.bbox_xywh
    if facts.bounds is None or bbox_xywh is None:
        return None
    if fits_box(facts.bounds, bbox_xywh):
        return None
    left, top, right, bottom = facts.bounds
    around = [left, top, round(right - left, 2), round(bottom - top, 2)]
    what = f'lies in the box {around}, but `bbox` is {bbox_xywh}'
    return 'elsewhere', what, 'correct the one that is wrong', False


def fits_box(
    bounds: Bounds, bbox_xywh: list, share: float = SLACK_SHARE
) -> bool:
    """Return whether a box is about that of a mask.

    Args:
        bounds: Left, top, right and bottom of the mask, in pixels.
        bbox_xywh: Left, top, width and height, in pixels.
        share: How far a side may be off, as a share of the longer of the two
            widths or heights. It may always be `SLACK` pixels off.

    Returns:
        Whether none of the four sides is further off; a distance that is just
        as large still fits.
    """
    left, top, right, bottom = bounds
    x, y, w, h = bbox_xywh
    by_x = max(SLACK, share * max(w, right - left))
    by_y = max(SLACK, share * max(h, bottom - top))
    return (
        max(abs(x - left), abs(x + w - right)) <= by_x
        and max(abs(y - top), abs(y + h - bottom)) <= by_y
    )


def find_whole(facts: Facts) -> Description | None:
    """Describe polygons of integers.

    Args:
        facts: The facts of the segmentation.

    Returns:
        The description, if a polygon has only integers; None if every one has
        a float, or for a mask.
    """
    if not facts.is_whole:
        return None
    return (
        'of integers',
        'has only integers, to which MMDetection rounds the polygon down '
        'whenever it scales it (poly2mask=False)',
        'write numbers with a decimal point',
        True,
    )
