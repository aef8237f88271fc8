"""Repairs what `coco_checks` finds and what can be mended in one way only."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .box_checks import image_sizes
from .checks import check_file
from .problems import CocoFile
from .schema import LARGEST_ID, is_bbox, is_number


@dataclass(frozen=True)
class Context:
    """What a repair needs to know of the rest of the file.

    Args:
        sizes_wh: Image id -> width and height.
        free_ids: Annotation ids that no annotation has.
    """

    sizes_wh: dict[int, tuple[float, float]]
    free_ids: Iterator[int]

    @classmethod
    def of(cls, file: CocoFile) -> 'Context':
        """Collect it."""
        ids = {0, *file.annotations.columns['id']} - {None}
        above = range(max(ids) + 1, LARGEST_ID + 1)
        candidates = itertools.chain(above, itertools.count(1))
        free_ids = (i for i in candidates if i not in ids)
        return cls(image_sizes(file), free_ids)


def drop(annotation: dict, context: Context) -> None:
    """Leave the annotation out."""


def renumber(annotation: dict, context: Context) -> dict:
    """Give the annotation an id that is free."""
    return dict(annotation, id=next(context.free_ids))


def clip(annotation: dict, context: Context) -> dict:
    """Cut off what is outside the image; an area of w * h is kept so."""
    x, y, w, h = annotation['bbox']
    width, height = context.sizes_wh[annotation['image_id']]
    (x, clipped_w), (y, clipped_h) = (
        clip_side(x, w, width),
        clip_side(y, h, height),
    )
    clipped = dict(annotation, bbox=[x, y, clipped_w, clipped_h])
    area = annotation.get('area')
    if is_number(area) and math.isclose(area, w * h):
        clipped['area'] = clipped_w * clipped_h
    return clipped


def clip_side(start: float, length: float, size: float) -> tuple[float, float]:
    """Clip start and length to an image's side; what is inside stays."""
    if start >= 0 and start + length <= size:
        return start, length
    # Without the noise of the subtraction.
    return max(start, 0), round(min(start + length, size) - max(start, 0), 2)


def fill_area(annotation: dict, context: Context) -> dict:
    """Make the area that of the box, if there is one."""
    if not is_bbox(annotation.get('bbox')):
        return annotation
    return dict(annotation, area=annotation['bbox'][2] * annotation['bbox'][3])


def fill_iscrowd(annotation: dict, context: Context) -> dict:
    """Call the annotation a single object."""
    return dict(annotation, iscrowd=0)


@dataclass(frozen=True)
class Repair:
    """How problems of one kind are mended.

    Args:
        done: What was done, after the number of annotations.
        apply: Makes an annotation of an annotation; None leaves it out, and
            the same object says that nothing could be done.
    """

    done: str
    apply: Callable[[dict, Context], dict | None]


# By kind of problem, in the order in which they are done: what is dropped
# first is not mended, and an area is filled in from a box that was clipped.
REPAIRS = {
    'repeated annotation': Repair('repeated annotations dropped', drop),
    'unknown image': Repair('annotations of unknown images dropped', drop),
    'unknown category': Repair(
        'annotations of unknown categories dropped', drop
    ),
    'bbox not finite': Repair('boxes that are not finite dropped', drop),
    'bbox empty': Repair('empty boxes dropped', drop),
    'bbox thin': Repair('boxes thinner than 1 pixel dropped', drop),
    'bbox away': Repair('boxes outside their image dropped', drop),
    'bbox nearly away': Repair(
        'boxes with less than 1 pixel inside their image dropped', drop
    ),
    'repeated annotation id': Repair('repeated ids renumbered', renumber),
    'annotation id 0': Repair('annotations of id 0 renumbered', renumber),
    'bbox outside': Repair('boxes clipped', clip),
    'missing area': Repair('missing areas filled in', fill_area),
    'area not positive': Repair('areas not positive filled in', fill_area),
    'missing iscrowd': Repair('missing iscrowd filled in', fill_iscrowd),
}
# What would be wrong as long as the bboxes are corners.
NOT_OF_CORNERS = {'missing area', 'area not positive'}


def repair(file: CocoFile) -> tuple[dict, Counter]:
    """Mend what can be mended in one way only.

    Args:
        file: Read with its polygons. It is not changed.

    Returns:
        The content of the mended file, in which all that is not broken is as
        it was, and how often what was done.
    """
    counts: Counter = Counter()
    while True:
        content, done = mend(file)
        counts += done
        if not done.total():
            return content, counts
        # Without what was dropped, the boxes may no longer be corners.
        file = CocoFile.of(file.path, content)


def mend(file: CocoFile) -> tuple[dict, Counter]:
    """Mend what is found in the file as it is; see `repair`."""
    kinds, repeated_images = repairable_problems(file)
    counts: Counter = Counter()
    content = dict(file.content)
    if repeated_images:
        counts['repeated images dropped'] = len(repeated_images)
        content['images'] = [
            image
            for index, image in enumerate(content['images'])
            if index not in repeated_images
        ]
    if kinds:
        content['annotations'] = list(mended_annotations(file, kinds, counts))
    return content, counts


def repairable_problems(
    file: CocoFile,
) -> tuple[dict[int, set[str]], set[int]]:
    """Find what can be mended.

    Returns:
        The kinds of problems of each annotation that has some, by its index,
        and the indices of repeated images.
    """
    kinds: dict[int, set[str]] = defaultdict(set)
    images, left = set(), set()
    for problem in check_file(file):
        if problem.kind == 'bboxes are corners':
            left = NOT_OF_CORNERS
        elif problem.index is None:  # Of the whole file.
            continue
        elif problem.kind == 'repeated image':
            images.add(problem.index)
        elif problem.kind in REPAIRS:
            kinds[problem.index].add(problem.kind)
    return {index: found - left for index, found in kinds.items()}, images


def mended_annotations(
    file: CocoFile, kinds: dict[int, set[str]], counts: Counter
) -> Iterator[dict]:
    """Yield the annotations that stay, and count what is done."""
    context = Context.of(file)
    for index, annotation in enumerate(file.content['annotations']):
        mended = annotation
        for kind in (k for k in REPAIRS if k in kinds.get(index, ())):
            before, mended = mended, REPAIRS[kind].apply(mended, context)
            counts[REPAIRS[kind].done] += mended is not before
            if mended is None:
                break
        else:
            yield mended
