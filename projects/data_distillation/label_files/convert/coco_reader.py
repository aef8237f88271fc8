"""Reads COCO files that are to be written in another format."""

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from ...arguments import is_number
from ..coco.entry_checks import is_deleted, read_rotation
from ..coco.reading import Categories, read_convertible
from ..coco.schema import find_repeated
from .labels import (
    Box,
    FormatError,
    IssueCounter,
    LabeledImage,
    fit_to_image,
    strip_suffix,
)
from .polygon_masks import read_polygon


def read_coco_labels(
    path: Path, folder: Path, issues: IssueCounter, boxes_only: bool
) -> tuple[list[LabeledImage], Categories]:
    """Read a COCO file that is to be written in another format.

    Args:
        path: The path of the file; it may lack `annotations`.
        folder: The image folder, in which all images must be. They are not
            opened: their sizes are those in the file.
        issues: Counts the boxes that do not fit (see `fit_to_image`), that are
            not finite, or whose image is not in the file, the scores that are
            not numbers, and what `choose_annotations` leaves out.
        boxes_only: Whether segmentations are left out, and counted.

    Returns:
        The images and the categories, in the file's order. File names are in
        their shortest form. Boxes are xywh in pixels of the image, clipped to
        it and rounded to 1/100; an image without any has an empty list. Crowds
        have no polygon.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it is no JSON object in UTF-8, a list is missing, or an
            entry is broken.
        FormatError: If two images would have the same label file, a name of a
            class occurs twice, a name cannot be written, an image is missing,
            a box is rotated, or a segmentation is broken or of another size
            than its image.
        OSError: If it cannot be found out whether an image is there.
    """
    coco = dict(annotations=[]) | read_convertible(path)
    check_exportable(coco, folder, path)
    sizes = {
        i['id']: (int(i['width']), int(i['height'])) for i in coco['images']
    }
    annotations = choose_annotations(coco, issues, path)
    polygons = {} if boxes_only else read_polygons(annotations, sizes, path)
    boxes = collect_boxes(coco, annotations, polygons, issues)
    if boxes_only:
        count_masks(annotations, issues)
    images = []
    for image in coco['images']:
        size_wh = sizes[image['id']]
        name = posixpath.normpath(image['file_name'])
        fitting = fit_to_image(boxes[image['id']], size_wh, name, issues)
        images.append(LabeledImage(name, size_wh, list(fitting)))
    return images, coco['categories']


def choose_annotations(
    coco: dict, issues: IssueCounter, source: Path
) -> dict[int, dict]:
    """Choose the annotations that are labels, and leave out the others.

    Args:
        coco: The COCO object, after `reading.check_convertible`.
        issues: Counts what is left out: what its tool has marked as deleted,
            and what has `ignore`, which CocoDataset leaves out too.
        source: The file, for the message.

    Returns:
        Index of an annotation -> the annotation, in order.

    Raises:
        FormatError: If the box of one is rotated.
    """
    chosen = {}
    for index, annotation in enumerate(coco['annotations']):
        where = f'annotations[{index}]'
        if is_deleted(annotation):
            issues.add('boxes left out: marked as deleted', where)
        elif annotation.get('ignore'):
            issues.add('boxes left out: they have `ignore`', where)
        elif turn := read_rotation(annotation.get('attributes')):
            raise FormatError(
                f'{source}: {where} has a box that is rotated by {turn} '
                'degrees: tools/check_coco.py --fix makes it upright'
            )
        else:
            chosen[index] = annotation
    return chosen


def read_polygons(
    annotations: Mapping[int, dict],
    sizes: Mapping[int, tuple[int, int]],
    source: Path,
) -> dict[int, list[float] | None]:
    """Read the segmentations of annotations, but not those of crowds.

    Args:
        annotations: Index of an annotation -> the annotation.
        sizes: Image id -> the width and height of the image.
        source: The file, for the messages.

    Returns:
        Index of the annotation -> what `read_polygon` returns, in order.
        Crowds, and annotations of images that are not in `sizes`, are left
        out.

    Raises:
        FormatError: If a segmentation is broken, or a mask of another size
            than its image.
    """
    return {
        index: read_polygon(
            annotation.get('segmentation'),
            sizes[annotation['image_id']],
            f'{source}: annotations[{index}]',
        )
        for index, annotation in annotations.items()
        if annotation['image_id'] in sizes and not annotation.get('iscrowd')
    }


def count_masks(annotations: Mapping[int, dict], issues: IssueCounter) -> None:
    """Count the annotations of which only the box is written.

    Args:
        annotations: Index of an annotation -> the annotation.
        issues: Counts those that have a segmentation which is not empty, also
            crowds.
    """
    for index, annotation in annotations.items():
        if annotation.get('segmentation'):
            kind = 'masks left out: only their boxes are written'
            issues.add(kind, f'annotations[{index}]')


def collect_boxes(
    coco: dict,
    annotations: Mapping[int, dict],
    polygons: Mapping[int, list[float] | None],
    issues: IssueCounter,
) -> dict[int, list[Box]]:
    """Collect the boxes of each image of a COCO object.

    Args:
        coco: The object, after the checks of `reading.check_convertible`.
        annotations: Index of an annotation -> the annotation, of those that
            are labels.
        polygons: Index of the annotation -> its polygon, if it has one.
        issues: Counts the boxes that are not finite or whose image is not in
            the file, and the scores that are not numbers. These are left out.

    Returns:
        Image id -> its boxes, both in the file's order, xywh as they are
        written; empty for an image without any.
    """
    names = {c['id']: c['name'] for c in coco['categories']}
    boxes: dict[int, list[Box]] = {i['id']: [] for i in coco['images']}
    for index, annotation in annotations.items():
        where = f'annotations[{index}]'
        if annotation['image_id'] not in boxes:
            issues.add('boxes left out: their image is not in the file', where)
        elif not all(map(is_number, annotation['bbox'])):
            issues.add('boxes left out: not finite', where)
        else:
            score = annotation.get('score')
            if score is not None and not is_number(score):
                issues.add('scores left out: not a number', where)
                score = None
            box = Box(
                names[annotation['category_id']],
                annotation['bbox'],
                bool(annotation.get('iscrowd', 0)),
                score,
                polygons.get(index),
            )
            boxes[annotation['image_id']].append(box)
    return boxes


# Characters that XML cannot hold, or that end a line in lists of names.
UNWRITABLE = re.compile('[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]')


def check_exportable(coco: dict, folder: Path, source: Path) -> None:
    """Check that each image and each class can have a place of its own.

    Args:
        coco: A COCO object, after the checks of `reading.check_convertible`.
        folder: The image folder.
        source: The COCO file, for the messages.

    Raises:
        FormatError: If two images would have the same label file, a name of a
            class occurs twice, a name has control characters or spaces around
            it, or an image is missing.
        OSError: If it cannot be found out whether an image is there.
    """
    classes = [category['name'] for category in coco['categories']]
    files = [posixpath.normpath(i['file_name']) for i in coco['images']]
    for name in (*classes, *files):
        if UNWRITABLE.search(name) or name != name.strip():
            raise FormatError(
                f'{source}: the name {name!r} has control characters or '
                'spaces around it, which lists of names cannot hold: rename it'
            )
    # Label files are named as their images are, but for the suffix.
    for kind, keys in (
        ('category names', classes),
        ('image names without suffix', [strip_suffix(file) for file in files]),
    ):
        twice = find_repeated(keys)
        if twice:
            raise FormatError(
                f'{source}: {len(twice)} {kind} occur more than once, the '
                f'first is {twice[0]!r}: rename, so that each has labels of '
                'its own'
            )
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise FormatError(
            f'{len(missing)} of {len(files)} images of {source} are not in '
            f'{folder}, the first is {missing[0]}: correct --images'
        )
