"""Which detections are right? They are matched with the truth by COCO's rules.

The detections of each image and class are looked at by descending score. Each
takes the free object that it overlaps most, if their IoU is at least `iou`. A
detection that takes no object and lies on a crowd region is neither right nor
wrong.

`column_matching/greedy.py` does the work. What a detection takes depends only
on those with higher scores, so one matching serves all values of `min_score`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..column_matching.greedy import (
    NO_LIMITS,
    DetectionColumns,
    Objects,
    match_columns,
)
from ..column_matching.numbering import Numbering
from .box_formats import xyxy_to_xywh
from .reading import CocoError, read_boxes

# A detection is right from this IoU with an object on, unless a user wants
# another: the lowest of COCO's IoUs, at which it is at the right object.
RIGHT_IOU = 0.5


@dataclass(frozen=True)
class ClassMatches:
    """The detections of one class, by descending score.

    Detections on crowd regions are left out. Equal scores are in the order of
    the truth's image ids, and within an image in the order of its row.

    Args:
        scores: Shape (n,), float32.
        is_right: Shape (n,), bool: whether each detection took an object.
        num_truth: The number of objects to find, without crowds.
    """

    scores: np.ndarray
    is_right: np.ndarray
    num_truth: int

    def precision(self) -> np.ndarray:
        """Return the share of right ones among the first 1, 2, ..., n.

        Returns:
            Shape (n,), float64, in [0, 1].
        """
        return self.is_right.cumsum() / np.arange(1, len(self.scores) + 1)

    def recall(self) -> np.ndarray:
        """Return the share of the objects that the first 1, 2, ..., n took.

        Returns:
            Shape (n,), float64, in [0, 1]; NaN if there is no object.
        """
        return self.is_right.cumsum() / (self.num_truth or np.nan)

    def count_from(self, min_score: float) -> tuple[int, int]:
        """Count the detections whose score is at least `min_score`.

        Args:
            min_score: The least score, compared as float32, as selection does;
                infinity for no detection.

        Returns:
            The number of right ones, and the number of all.
        """
        # The scores are float32. Compared as float64, one that was chosen as
        # `min_score` could lie below itself.
        is_found = self.scores >= np.float32(min_score)
        return int(self.is_right[is_found].sum()), int(is_found.sum())


@dataclass(frozen=True)
class ImageMatches:
    """The detections on m images of c classes, matched at t IoUs.

    They are ordered by class, then by image, and then by descending score.
    Detections that lie on a crowd region at every IoU are left out.

    Args:
        image_index: Shape (n,), int, the number of the image, from 0.
        labels: Shape (n,), int, its class.
        scores: Shape (n,), float32.
        is_right: Shape (n, t), bool, whether it took an object.
        is_counted: Shape (n, t), bool, whether it is right or wrong, and not
            on a crowd region.
        num_truth: Shape (m, c), int, the number of objects, without crowds.
    """

    image_index: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    is_right: np.ndarray
    is_counted: np.ndarray
    num_truth: np.ndarray

    def by_class(self, iou_index: int = 0) -> list[ClassMatches]:
        """Split the matches by class.

        Args:
            iou_index: The number of the IoU, from 0.

        Returns:
            The matches of each class, by descending score.
        """
        counted = self.is_counted[:, iou_index]
        return split_classes(
            self.labels[counted],
            self.scores[counted],
            self.is_right[counted, iou_index],
            self.num_truth.sum(axis=0),
        )


def match_detections(
    rows: Iterable[Mapping], truth: str | Path, iou: float
) -> list[ClassMatches]:
    """Match detections with the true objects of their images.

    Args:
        rows: One row for each image, with the names and values of
            `shards.SCHEMA`; labels number the truth's categories. Boxes are
            clipped and rounded like those of pseudo labels.
        truth: The COCO file of the true objects. Objects of other images do
            not count.
        iou: The least IoU at which a detection is right, in (0, 1].

    Returns:
        The matches of each category, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the truth cannot be used, or lacks an image or the class
            of a label.
        ValueError: If `iou` is out of range.
    """
    content = read_boxes(truth)
    rows = list(rows)
    image_ids = find_image_ids(rows, content, truth)
    results = make_results(rows, content, truth)
    return match_boxes(content, results, image_ids, iou)


def match_boxes(
    truth: dict, found: Iterable[dict], image_ids: Sequence[int], iou: float
) -> list[ClassMatches]:
    """Match boxes in COCO's format.

    Args:
        truth: A COCO object with the true objects.
        found: The detections as COCO annotations with scores.
        image_ids: The ids of the images to look at.
        iou: The least IoU at which a detection is right, in (0, 1].

    Returns:
        The matches of each category, in the order of `truth`.

    Raises:
        KeyError: If an object or a detection lacks a key.
        ValueError: If `iou` is out of range.
    """
    numbering = Numbering.of(image_ids, truth['categories'])
    return match_classes(
        numbering.collect_objects(truth.get('annotations', ())),
        numbering.collect_found(found),
        len(numbering.labels),
        iou,
    )


def match_classes(
    objects: Objects, found: DetectionColumns, num_classes: int, iou: float
) -> list[ClassMatches]:
    """Match boxes in columns, or masks if both have them.

    Args:
        objects: The true objects.
        found: The detections.
        num_classes: The number of classes; every label is below it.
        iou: The least IoU at which a detection is right, in (0, 1].

    Returns:
        The matches of each class, in the order of the labels.

    Raises:
        ValueError: If `iou` is out of range.
    """
    matched = match_columns(objects, found, [iou])
    # What took a crowd is neither right nor wrong, as in COCOeval.
    counts = ~matched.is_ignored[:, 0]
    order = matched.order[counts]
    return split_classes(
        found.labels[order],
        found.scores[order].astype(np.float32),
        matched.is_matched[counts, 0],
        NO_LIMITS.count(objects, num_classes),
    )


def match_images(
    truth: dict,
    found: Iterable[dict],
    image_ids: Sequence[int],
    ious: Sequence[float],
) -> ImageMatches:
    """Match boxes in COCO's format, and tell the images apart.

    Args:
        truth: A COCO object with the true objects.
        found: The detections as COCO annotations with scores.
        image_ids: The ids of the images to look at.
        ious: The t least IoUs, at least one, each in (0, 1], ascending.

    Returns:
        The matches. Their images are those of `image_ids`, by ascending id.

    Raises:
        KeyError: If an object or a detection lacks a key.
        ValueError: If an IoU is out of range, or below the one before it.
    """
    numbering = Numbering.of(image_ids, truth['categories'])
    objects = numbering.collect_objects(truth.get('annotations', ()))
    columns = numbering.collect_found(found)
    matched = match_columns(objects, columns, ious)
    counted = ~matched.is_ignored
    counts = counted.any(axis=1)  # (n, t) -> (n,)
    order = matched.order[counts]
    num_truth = np.zeros(numbering.shape, int)
    is_to_find = ~objects.is_crowd
    np.add.at(  # Unlike `+=`, it counts an index as often as it occurs.
        num_truth,
        (objects.image_index[is_to_find], objects.labels[is_to_find]),
        1,
    )
    return ImageMatches(
        columns.image_index[order],
        columns.labels[order],
        columns.scores[order].astype(np.float32),
        (matched.is_matched & counted)[counts],
        counted[counts],
        num_truth,
    )


def split_classes(
    labels: np.ndarray,
    scores: np.ndarray,
    is_right: np.ndarray,
    num_truth: np.ndarray,
) -> list[ClassMatches]:
    """Split matches by class.

    Args:
        labels: Shape (n,), the class of each detection, ascending.
        scores: Shape (n,), float32.
        is_right: Shape (n,), bool, whether it took an object.
        num_truth: Shape (c,), the number of objects of each class.

    Returns:
        The matches of each class, by descending score; equal scores stay in
        order. A class without detections has empty columns.
    """
    classes = []
    # The matches are ordered by class, then by image.
    bounds = np.searchsorted(labels, np.arange(len(num_truth) + 1))
    for start, stop, num in zip(
        bounds[:-1], bounds[1:], num_truth.tolist(), strict=True
    ):
        order = start + np.argsort(-scores[start:stop], kind='stable')
        classes.append(ClassMatches(scores[order], is_right[order], num))
    return classes


def find_image_ids(
    rows: Sequence[Mapping], truth: dict, source: str | Path
) -> list[int]:
    """Find the truth's image of each row by its name.

    Args:
        rows: One row for each image, with `file_name`.
        truth: A COCO object.
        source: The file of the truth, for the message.

    Returns:
        The ids of the images, in the order of the rows.

    Raises:
        CocoError: If the truth lacks an image.
    """
    return find_images_by_name(
        [row['file_name'] for row in rows], truth, source
    )


def find_images_by_name(
    names: Sequence[str], truth: dict, source: str | Path
) -> list[int]:
    """Find images of the truth by their names; see `find_image_ids`.

    Args:
        names: The file names of the images, relative to their folder.
        truth: The content of the file with the true objects.
        source: The path of that file, for the message.

    Returns:
        The id of each image, in order.

    Raises:
        CocoError: If the truth lacks an image.
    """
    ids = {image['file_name']: image['id'] for image in truth['images']}
    unknown = [name for name in names if name not in ids]
    if unknown:
        raise CocoError(
            f'{source} lacks {len(unknown)} of {len(names)} images, the '
            f'first is {unknown[0]}'
        )
    return [ids[name] for name in names]


def make_results(
    rows: Sequence[Mapping], truth: dict, source: str | Path
) -> list[dict]:
    """Make COCO's results of detections, with the truth's ids.

    Args:
        rows: One row for each image; see `match_detections`.
        truth: A COCO object.
        source: The file of the truth, for the message.

    Returns:
        `image_id`, `category_id`, `bbox` (see `iter_boxes`) and `score` of
        each detection, in the order of the rows.

    Raises:
        CocoError: If the truth lacks an image or the class of a label.
    """
    category_ids = dict(enumerate(c['id'] for c in truth['categories']))
    image_ids = find_image_ids(rows, truth, source)
    labels = {label for row in rows for label in row['labels']}
    check_labels(labels, len(category_ids), source)
    return [
        dict(
            image_id=image_id,
            category_id=category_ids[label],
            bbox=bbox_xywh,
            score=float(score),
        )
        for row, image_id in zip(rows, image_ids, strict=True)
        for bbox_xywh, score, label in iter_boxes(row)
    ]


def check_labels(
    labels: set[int], num_classes: int, source: str | Path
) -> None:
    """Check that labels are of classes of the truth.

    Args:
        labels: The labels.
        num_classes: The number of its categories.
        source: The file of the truth, for the message.

    Raises:
        CocoError: If there is another label.
    """
    wrong = labels.difference(range(num_classes))
    if wrong:
        raise CocoError(
            f'{source} has {num_classes} categories, so labels must be '
            f'from 0 to {num_classes - 1}, got {max(wrong, key=abs)}: it is '
            'not the truth of these detections'
        )


def iter_boxes(row: Mapping) -> Iterator[tuple]:
    """Yield the detections of a row with boxes in COCO's format.

    Args:
        row: The detections of an image; see `match_detections`.

    Yields:
        Box (left, top, width and height in pixels, clipped to the image and
        rounded to 1/100), score and label of each, in the order of the row.
    """
    bboxes_xyxy = np.asarray(row['bboxes_xyxy'], np.float64).reshape(-1, 4)
    sizes_wh = np.tile([row['width'], row['height']], (len(bboxes_xyxy), 1))
    bboxes_xywh = xyxy_to_xywh(bboxes_xyxy, sizes_wh).tolist()
    yield from zip(bboxes_xywh, row['scores'], row['labels'], strict=True)
