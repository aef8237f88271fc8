"""All mendings of a COCO file, in the order in which they need each other."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...arguments import is_number
from ..coco.box_checks import ANOTHER_FORMAT, FileBoxes, check_boxes
from ..coco.box_formats import BoxFormat
from ..coco.contents import OWN_KEYS
from ..coco.tables import CocoFile
from .annotations import MENDINGS, mend_annotations
from .categories import join_categories, take_categories
from .choices import Choices, MendingError
from .classes import write_classes
from .entries import Mended, replace_entries
from .ids import mend_ids
from .images import mend_images
from .limits import check_share
from .marks import drop_deleted, straighten_boxes
from .missing_boxes import fill_bboxes
from .quoted_numbers import mend_quotes
from .segmentations import mend_segmentations

Step = Callable[[CocoFile, Choices], Mended]


def mend_file(file: CocoFile, choices: Choices | None = None) -> Mended:
    """Mend all that can be mended in one way, or as the user has decided.

    First what all else is found by: ids, numbers, categories. Then the images,
    whose sizes say which boxes are right. Then the boxes, and then polygons
    and masks.

    Args:
        file: The file, read with its polygons. It is not changed.
        choices: What the user has decided; None for nothing. What is read of
            images is added to its `known`.

    Returns:
        The content of the mended file, and how often each mending was done
        (what was done -> number above 0; empty if nothing was).

    Raises:
        MendingError: If the file seems to be another than it should be, so
            that a mending would drop or spoil much of it, or if the categories
            of `like` do not fit.
    """
    choices = choices or Choices()
    file = replace(file, has_known_boxes=choices.box_format is not None)
    counts: Counter = Counter()
    for step in STEPS:
        content, done = step(file, choices)
        file = file.with_content(content)
        counts += done
    return file.content, counts


def convert_boxes(file: CocoFile, choices: Choices) -> Mended:
    """Convert the boxes from the format that the user has named.

    Areas that are not those of objects in the boxes become w * h. If the boxes
    are not in pixels, all areas do.

    Args:
        file: The file. It is not changed.
        choices: `box_format` is what the boxes are; None if it is not known.

    Returns:
        The new content, with boxes xywh in pixels, rounded to 1/100 but not
        clipped, and how many were converted. Boxes that are not finite stay,
        those of images without a size if the unit is a part of it, and all
        boxes if they are in COCO's format already.

    Raises:
        MendingError: If the user has named none, and they seem to be of
            another format than COCO's.
    """
    wanted = choices.box_format
    if wanted is None:
        problem = next(check_boxes(file), None)
        if problem is not None and problem.kind == ANOTHER_FORMAT:
            raise MendingError(f'{problem.what}: {problem.advice}')
    if wanted in (None, BoxFormat()):
        return file.content, Counter()
    boxes = FileBoxes.of(file)
    # Pixels need no size.
    if wanted.unit != 'pixel':
        boxes = boxes.take(~np.isnan(boxes.sizes_wh[:, 0]))
    xywh = wanted.to_xywh(boxes.xywh, boxes.sizes_wh).round(2).tolist()
    new = dict(zip(boxes.indices.tolist(), xywh, strict=True))

    def change(index: int, entry: dict) -> dict:
        """Return an annotation with its box in COCO's format."""
        if index not in new:
            return entry
        area, largest = entry.get('area'), new[index][2] * new[index][3]
        # That of a mask in pixels is right as it is.
        if wanted.unit != 'pixel' or not is_area(area, largest):
            area = round(largest, 2)
        return dict(entry, bbox=new[index], area=area)

    content = replace_entries(file, 'annotations', change)
    return content, Counter({f'boxes converted from {wanted}': len(new)})


def free_crowds(file: CocoFile, choices: Choices) -> Mended:
    """Make objects of all regions to leave out, if the user wants it.

    Args:
        file: The file. It is not changed.
        choices: Without `no_crowds`, nothing is done.

    Returns:
        The new content, and how many regions (iscrowd 1) became objects. Those
        that this project has written, see `OWN_KEYS`, stay regions.
    """
    if not choices.no_crowds:
        return file.content, Counter()
    crowds = file.annotations.column('iscrowd')
    entries = file.annotations.entries
    freed = {
        index
        for index, (crowd, entry) in enumerate(
            zip(crowds, entries, strict=True)
        )
        # The rest of an image is no object, whatever the masks of CVAT are.
        if crowd and not OWN_KEYS & entry.keys()
    }
    content = replace_entries(
        file,
        'annotations',
        lambda i, e: dict(e, iscrowd=0) if i in freed else e,
    )
    return content, Counter({'regions made objects': len(freed)})


def is_area(value: object, largest: float) -> bool:
    """Return whether a value can be the area of an object in a box.

    Args:
        value: The value, of any type.
        largest: The area of the box, in the same unit.

    Returns:
        True for a number above 0 that is at most 1 more than `largest`, for
        rounding.
    """
    return is_number(value) and 0 < value <= largest + 1


def mend_few(file: CocoFile, choices: Choices) -> Mended:
    """Mend annotations one by one, if only a small share is lost.

    Args:
        file: The file. It is not changed.
        choices: With `drop_many`, any share may be lost.

    Returns:
        The new content, and how often each mending was done.

    Raises:
        MendingError: If more than a small share of all annotations would be
            lost for one reason, a key of `ADVICE`; see `check_share`.
    """
    content, counts = mend_annotations(file)
    for what, advice in ADVICE.items():
        lost = {
            r.done: counts[r.done]
            for r in MENDINGS.values()
            if r.loses == what
        }
        check_share(lost, len(file.annotations.entries), advice, choices)
    return content, counts


# What is lost -> what may be wrong with all of it.
ADVICE = dict(
    boxes='annotations. Are their boxes of another format or unit (--boxes, '
    '--unit), or for images of another size (--images finds out)?',
    images='annotations. Are their ids those of other images, or is this part '
    'of a larger file?',
    categories='annotations. Are their ids those of other categories?',
)


def ignore_choices(step: Callable[[CocoFile], Mended]) -> Step:
    """Make a step of a function that needs to know nothing but the file.

    Args:
        step: The function.

    Returns:
        A step that ignores what the user chooses.
    """
    return lambda file, choices: step(file)


# By the ids, entries find each other, and by the sizes of their images, boxes
# are judged. So these come first.
STEPS: tuple[Step, ...] = (
    ignore_choices(write_classes),
    ignore_choices(mend_ids),
    ignore_choices(mend_quotes),
    ignore_choices(drop_deleted),
    ignore_choices(join_categories),
    take_categories,
    free_crowds,
    mend_images,
    convert_boxes,
    ignore_choices(fill_bboxes),  # Those are xywh in pixels already.
    ignore_choices(straighten_boxes),
    mend_few,
    ignore_choices(mend_segmentations),
)
