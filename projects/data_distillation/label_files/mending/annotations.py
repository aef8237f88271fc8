"""Mendings of annotations, one by one, that can be done in one way only."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...arguments import is_number
from ..coco.box_checks import ANOTHER_FORMAT, map_image_sizes
from ..coco.checks import check_file
from ..coco.schema import is_bbox
from ..coco.tables import CocoFile
from ..segmentations.areas import measure_segmentation
from .entries import Mended, iterate_free_ids


@dataclass(frozen=True)
class Context:
    """What a mending needs to know about the rest of the file.

    Args:
        sizes_wh: Image id -> width and height, pixels; see `map_image_sizes`.
        free_ids: Yields annotation ids that no annotation has, each once.
    """

    sizes_wh: dict[int, tuple[float, float]]
    free_ids: Iterator[int]

    @classmethod
    def of(cls, file: CocoFile) -> 'Context':
        """Collect the sizes and the free ids of a file.

        Args:
            file: The file.

        Returns:
            The sizes of its images, and ids that are free in it.
        """
        ids = set(file.annotations.column('id')) - {None}
        return cls(map_image_sizes(file), iterate_free_ids(ids))


def drop_annotation(annotation: dict, context: Context) -> None:
    """Leave an annotation out, by returning None as `Mending.apply` may do.

    Args:
        annotation: It is not used.
        context: It is not used.
    """


def renumber_annotation(annotation: dict, context: Context) -> dict:
    """Give an annotation an id that is free.

    Args:
        annotation: The annotation; it is not changed.
        context: What yields free ids; the next one is taken.

    Returns:
        A copy with the new id.
    """
    return dict(annotation, id=next(context.free_ids))


def clip_annotation(annotation: dict, context: Context) -> dict:
    """Clip the box of an annotation to its image.

    An area that is w * h of the box is that of the clipped box afterwards. A
    segmentation stays.

    Args:
        annotation: The annotation, with a valid `bbox` that is in part inside
            the image; it is not changed.
        context: What knows the size of its image, which must have one.

    Returns:
        A copy with the clipped box, xywh in pixels, see `clip_side`.
    """
    x, y, w, h = annotation['bbox']
    width, height = context.sizes_wh[annotation['image_id']]
    (x, clipped_w), (y, clipped_h) = (
        clip_side(x, w, width),
        clip_side(y, h, height),
    )
    clipped = dict(annotation, bbox=[x, y, clipped_w, clipped_h])
    area = annotation.get('area')
    # Another area is that of a mask, which stays as it is.
    if is_number(area) and math.isclose(area, w * h):
        clipped['area'] = clipped_w * clipped_h
    return clipped


def clip_side(start: float, length: float, size: float) -> tuple[float, float]:
    """Clip one side of a box to the image.

    Args:
        start: The left or top edge, pixels.
        length: The width or height, pixels.
        size: The width or height of the image, pixels.

    Returns:
        The new start, and the new length, rounded to 1/100 pixel; both are
        unchanged if the side lies in the image. The length is 0 or less if
        nothing is inside.
    """
    if start >= 0 and start + length <= size:
        return start, length
    # Rounding removes the noise of the subtraction.
    return max(start, 0), round(min(start + length, size) - max(start, 0), 2)


def fill_area(annotation: dict, context: Context) -> dict:
    """Write the area of an annotation.

    Args:
        annotation: The annotation; it is not changed.
        context: It is not used.

    Returns:
        A copy with the number of pixels of the mask, or w * h (not rounded)
        without a mask that can be drawn; the annotation itself if it has no
        box of four numbers.
    """
    if not is_bbox(annotation.get('bbox')):
        return annotation
    area = measure_segmentation(annotation.get('segmentation'))
    w, h = annotation['bbox'][2:]
    return dict(annotation, area=area or w * h)


def fill_iscrowd(annotation: dict, context: Context) -> dict:
    """Make an annotation that of a single object, not of a region to ignore.

    Args:
        annotation: The annotation; it is not changed.
        context: It is not used.

    Returns:
        A copy with `iscrowd` 0.
    """
    return dict(annotation, iscrowd=0)


@dataclass(frozen=True)
class Mending:
    """The mending of problems of one kind.

    Args:
        done: What was done, in words that follow the number of annotations.
        apply: Returns the mended annotation; None leaves it out, and the
            same object means that it could not be mended.
        loses: What is lost if it is done to many annotations, because the
            file is another than it seems: `'boxes'`, `'images'` or
            `'categories'`; `''` if nothing is.
    """

    done: str
    apply: Callable[[dict, Context], dict | None]
    loses: str = ''


# Kind of problem -> mending, in the order in which the mendings are done: an
# annotation that is dropped is not mended as well, and an area is filled in
# from the clipped box.
MENDINGS = {
    'repeated annotation': Mending(
        'repeated annotations dropped', drop_annotation
    ),
    'repeated object': Mending('repeated objects dropped', drop_annotation),
    'unknown image': Mending(
        'annotations of unknown images dropped', drop_annotation, 'images'
    ),
    'unknown category': Mending(
        'annotations of unknown categories dropped',
        drop_annotation,
        'categories',
    ),
    'bbox not finite': Mending(
        'boxes that are not finite dropped', drop_annotation, 'boxes'
    ),
    'bbox empty': Mending('empty boxes dropped', drop_annotation, 'boxes'),
    'bbox thin': Mending(
        'boxes thinner than 1 pixel dropped', drop_annotation, 'boxes'
    ),
    'bbox away': Mending(
        'boxes outside their image dropped', drop_annotation, 'boxes'
    ),
    'bbox nearly away': Mending(
        'boxes with less than 1 pixel inside their image dropped',
        drop_annotation,
        'boxes',
    ),
    'repeated annotation id': Mending(
        'repeated ids renumbered', renumber_annotation
    ),
    'annotation id 0': Mending(
        'annotations of id 0 renumbered', renumber_annotation
    ),
    'missing id': Mending('missing ids given', renumber_annotation),
    'bbox outside': Mending('boxes clipped', clip_annotation, 'boxes'),
    'missing area': Mending('missing areas filled in', fill_area),
    'area not positive': Mending('areas not positive filled in', fill_area),
    'missing iscrowd': Mending('missing iscrowd filled in', fill_iscrowd),
}
# Mendings that would be wrong as long as the bboxes are corners, for example.
WRONG_IN_OTHER_FORMATS = {'missing area', 'area not positive'}


def mend_annotations(file: CocoFile) -> Mended:
    """Mend every problem of annotations that can be solved in one way only.

    Repeated images are dropped as well. What is mended may make other problems
    visible, so that this is done until nothing changes.

    Args:
        file: The file, read with its polygons. It is not changed.

    Returns:
        The content of the mended file, in which everything else is as it
        was, and how often each mending was done: `Mending.done`, or `'repeated
        images dropped'`, -> number above 0.
    """
    counts: Counter = Counter()
    while True:
        content, done = mend_once(file)
        counts += done
        # What changes nothing now would change nothing the next time.
        if not done.total() or content == file.content:
            return content, counts
        # Without the dropped boxes, the others may no longer seem to be
        # corners.
        file = file.with_content(content)


def mend_once(file: CocoFile) -> Mended:
    """Mend the problems that the file has as it is; see `mend_annotations`.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how often each mending was done, see
        `mend_annotations`.
    """
    kinds, repeated_images = find_mendable(file)
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
        content['annotations'] = list(mend_each(file, kinds, counts))
    return content, counts


def find_mendable(
    file: CocoFile,
) -> tuple[dict[int, set[str]], set[int]]:
    """Find the problems that can be mended.

    Args:
        file: The file.

    Returns:
        Index of an annotation -> the kinds of its problems, keys of
        `MENDINGS`, of which there may be none; and the indices of repeated
        images. If the boxes seem to be of another format,
        `WRONG_IN_OTHER_FORMATS` are left out.
    """
    kinds: dict[int, set[str]] = defaultdict(set)
    images, wrong_mendings = set(), set()
    for problem in check_file(file):
        if problem.kind == ANOTHER_FORMAT:
            wrong_mendings = WRONG_IN_OTHER_FORMATS
        elif problem.index is None:  # It concerns the whole file.
            continue
        elif problem.kind == 'repeated image':
            images.add(problem.index)
        elif problem.kind in MENDINGS and problem.is_fixable:
            kinds[problem.index].add(problem.kind)
    kept = {index: found - wrong_mendings for index, found in kinds.items()}
    return kept, images


def mend_each(
    file: CocoFile, kinds: dict[int, set[str]], counts: Counter
) -> Iterator[dict]:
    """Mend annotations one by one, each in the order of `MENDINGS`.

    Args:
        file: The file.
        kinds: Index of an annotation -> the kinds of its problems; others stay
            as they are.
        counts: `Mending.done` -> number; the mendings are added to it.

    Yields:
        The annotations that are not dropped, in the file's order; the same
        object if nothing is mended in it.
    """
    context = Context.of(file)
    for index, annotation in enumerate(file.content['annotations']):
        mended = annotation
        for kind in (k for k in MENDINGS if k in kinds.get(index, ())):
            before, mended = mended, MENDINGS[kind].apply(mended, context)
            counts[MENDINGS[kind].done] += mended is not before
            if mended is None:
                break
        # Not reached after `break`: a dropped one is not yielded.
        else:
            yield mended
