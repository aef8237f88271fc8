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
    check_iou(iou)
    categories = truth['categories']
    objects = index_annotations(categories, truth.get('annotations', ()))
    detections = index_annotations(categories, found)
    evaluation = COCOeval(objects, detections, 'bbox')
    evaluation.params.imgIds = image_ids
    evaluation.params.iouThrs = np.array([iou])
    evaluation.params.areaRng = [[0, np.inf]]
    evaluation.params.maxDets = [max(len(detections.anns), 1)]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        evaluation.evaluate()
    matched: dict = {category['id']: [] for category in categories}
    for one in filter(None, evaluation.evalImgs):
        matched[one['category_id']].append(one)
    return [join_matches(images) for images in matched.values()]


def join_matches(images: Sequence[dict]) -> ClassMatches:
    """Join pycocotools' matches of one class on several images.

    Args:
        images: Elements of `COCOeval.evalImgs`, with one IoU threshold.

    Returns:
        The matches, by descending score; no detection and no object if there
        is no image.
    """
    # An empty array gives a class that is on no image the right type.
    scores = [np.empty(0, np.float32)]
    is_right = [np.empty(0, bool)]
    for image in images:
        counts = ~image['dtIgnore'][0].astype(bool)
        scores.append(np.array(image['dtScores'], np.float32)[counts])
        is_right.append(image['dtMatches'][0][counts] > 0)
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind='stable')
    return ClassMatches(
        all_scores[order],
        np.concatenate(is_right)[order],
        sum(int((image['gtIgnore'] == 0).sum()) for image in images),
    )


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
