"""Which detections are right? They are matched with the truth by COCO's rules.

The detections of each image and class are looked at by descending score. Each
takes the free object that it overlaps most, if their IoU is at least `iou`. A
detection that takes no object and lies on a crowd region is neither right nor
wrong.

pycocotools does the matching. What a detection takes depends only on the
detections with higher scores, so one matching serves all score thresholds.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..arguments import check_iou
from .boxes import xyxy_to_xywh
from .reading import Categories, CocoError, read_coco


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
        is_found = self.scores >= np.float32(min_score)
        return int(self.is_right[is_found].sum()), int(is_found.sum())


@dataclass(frozen=True)
class ImageMatches:
    """The detections on m images of c classes, matched at t IoUs.

    Detections on crowd regions, by the lowest IoU, are left out. They are
    ordered by class, then by image, and then by descending score.

    Args:
        image_index: Shape (n,), int, the image of each detection.
        labels: Shape (n,), int, its class.
        scores: Shape (n,), float32.
        is_right: Shape (n, t), bool, whether it took an object.
        num_truth: Shape (m, c), int, the number of objects, without crowds.
    """

    image_index: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    is_right: np.ndarray
    num_truth: np.ndarray

    def by_class(self, iou_index: int = 0) -> list[ClassMatches]:
        """Return the matches of each class.

        Args:
            iou_index: The number of the IoU.
        """
        classes = []
        for label, num_truth in enumerate(self.num_truth.sum(axis=0)):
            of_class = np.flatnonzero(self.labels == label)
            order = np.argsort(-self.scores[of_class], kind='stable')
            best_first = of_class[order]
            classes.append(
                ClassMatches(
                    self.scores[best_first],
                    self.is_right[best_first, iou_index],
                    int(num_truth),
                )
            )
        return classes


def match_detections(
    rows: Iterable[Mapping], truth: str | Path, iou: float = 0.5
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
        CocoError: If the truth lacks an image or the class of a label.
        ValueError: If `iou` is out of range.
    """
    content = read_coco(truth, 'images', 'categories')
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
        ValueError: If `iou` is out of range.
    """
    return match_images(truth, found, image_ids, [iou]).by_class()


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
        ious: The IoUs from which on a detection is right, each in (0, 1],
            ascending.

    Returns:
        The matches. Their images are those of `image_ids`, by ascending id.

    Raises:
        ValueError: If an IoU is out of range.
    """
    for iou in ious:
        check_iou(iou)
    categories = truth['categories']
    objects = index_annotations(categories, truth.get('annotations', ()))
    detections = index_annotations(categories, found)
    evaluation = COCOeval(objects, detections, 'bbox')
    evaluation.params.imgIds = image_ids
    evaluation.params.iouThrs = np.array(ious)
    evaluation.params.areaRng = [[0, np.inf]]
    evaluation.params.maxDets = [max(len(detections.anns), 1)]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        evaluation.evaluate()
    indices = {id: i for i, id in enumerate(sorted(set(image_ids)))}
    labels = {category['id']: n for n, category in enumerate(categories)}
    # By category, and then by image.
    parts = [
        (indices[one['image_id']], labels[one['category_id']], one)
        for one in filter(None, evaluation.evalImgs)
    ]
    return join_matches(parts, (len(indices), len(labels)), len(ious))


def join_matches(
    parts: Sequence[tuple[int, int, dict]],
    shape: tuple[int, int],
    num_ious: int,
) -> ImageMatches:
    """Join pycocotools' matches of single images and classes.

    Args:
        parts: The image, the class and the matches of each part; these are
            elements of `COCOeval.evalImgs`.
        shape: The numbers of images and of classes.
        num_ious: The number of IoU thresholds.

    Returns:
        The matches, in the order of the parts.
    """
    num_truth = np.zeros(shape, int)
    # Empty arrays give matches without any part the right types.
    columns: list[tuple] = [
        (
            np.empty(0, int),
            np.empty(0, int),
            np.empty(0, np.float32),
            np.empty((0, num_ious), bool),
        )
    ]
    for index, label, one in parts:
        num_truth[index, label] = (one['gtIgnore'] == 0).sum()
        counts = ~one['dtIgnore'][0].astype(bool)
        places = [np.full(counts.sum(), n) for n in (index, label)]
        scores = np.array(one['dtScores'], np.float32)[counts]
        columns.append((*places, scores, one['dtMatches'].T[counts] > 0))
    index, labels, all_scores, is_right = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    return ImageMatches(index, labels, all_scores, is_right, num_truth)


def index_annotations(
    categories: Categories, annotations: Iterable[dict]
) -> COCO:
    """Return pycocotools' index of annotations.

    The annotations are numbered again from 1, because pycocotools takes an
    object or a detection of id 0 for one that is not matched.

    Args:
        categories: The categories to evaluate.
        annotations: Annotations with `image_id`, `category_id` and `bbox`.
            They are crowds only if `iscrowd` says so. They are not changed.
    """
    coco = COCO()
    coco.dataset = dict(
        categories=categories,
        annotations=[
            dict(
                annotation,
                id=number,
                area=annotation['bbox'][2] * annotation['bbox'][3],
                iscrowd=annotation.get('iscrowd', 0),
            )
            for number, annotation in enumerate(annotations, 1)
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):  # It prints.
        coco.createIndex()
    return coco


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
    ids = {image['file_name']: image['id'] for image in truth['images']}
    unknown = [row['file_name'] for row in rows if row['file_name'] not in ids]
    if unknown:
        raise CocoError(
            f'{source} lacks {len(unknown)} of {len(rows)} images, the '
            f'first is {unknown[0]}'
        )
    return [ids[row['file_name']] for row in rows]


def make_results(
    rows: Sequence[Mapping], truth: dict, source: str | Path
) -> list[dict]:
    """Make COCO's results of detections, with the truth's ids.

    Args:
        rows: One row for each image; see `match_detections`.
        truth: A COCO object.
        source: The file of the truth, for the message.

    Returns:
        `image_id`, `category_id`, `bbox` and `score` of each detection, in the
        order of the rows.

    Raises:
        CocoError: If the truth lacks an image or the class of a label.
    """
    category_ids = dict(enumerate(c['id'] for c in truth['categories']))
    image_ids = find_image_ids(rows, truth, source)
    labels = {label for row in rows for label in row['labels']}
    if labels.difference(category_ids):
        raise CocoError(
            f'{source} has {len(category_ids)} categories, so labels must be '
            f'from 0 to {len(category_ids) - 1}, got '
            f'{max(labels, key=abs)}: it is not the truth of these detections'
        )
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


def iter_boxes(row: Mapping) -> Iterator[tuple]:
    """Yield the detections of one row, with boxes in COCO's format.

    Args:
        row: The detections of an image; see `match_detections`.

    Yields:
        Box (left, top, width and height in pixels, clipped to the image),
        score and label of each detection, in the order of the row.
    """
    bboxes_xyxy = np.asarray(row['bboxes_xyxy'], np.float64).reshape(-1, 4)
    sizes_wh = np.tile([row['width'], row['height']], (len(bboxes_xyxy), 1))
    bboxes_xywh = xyxy_to_xywh(bboxes_xyxy, sizes_wh).tolist()
    yield from zip(bboxes_xywh, row['scores'], row['labels'], strict=True)
