"""Which detections are right? Matched with the truth by COCO's rules.

Image by image and class by class, highest score first, each detection takes
the free object that it overlaps most, by at least `iou`. What overlaps no
free object but lies on a crowd region counts neither as right nor as wrong.

pycocotools does the matching. What a detection takes depends on those with
higher scores only: one matching serves all thresholds.
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

    Those on crowd regions are left out. Equal scores are in the order of the
    truth's image ids, then of the row.

    Args:
        scores: Shape (n,), float32.
        is_right: Shape (n,), bool, whether a detection took an object.
        num_truth: The objects to find, crowds left out.
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

    def at(self, min_score: float) -> tuple[int, int]:
        """Count the detections whose score is at least `min_score`.

        Args:
            min_score: Compared as float32, as selection does; infinity for
                none.

        Returns:
            `num_right` and `num_found`.
        """
        is_found = self.scores >= np.float32(min_score)
        return int(self.is_right[is_found].sum()), int(is_found.sum())


def match_detections(
    rows: Iterable[Mapping], truth: str | Path, iou: float = 0.5
) -> list[ClassMatches]:
    """Match detections with the true objects of their images.

    Args:
        rows: One for each image, with the names and values of
            `shards.SCHEMA`; labels number the truth's categories. Boxes
            are clipped and rounded as those of pseudo labels.
        truth: COCO file of the true objects; those of other images do not
            count.
        iou: Overlap from which a detection is right, in (0, 1].

    Returns:
        The matches of each category, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the truth lacks an image or the class of a label.
        ValueError: If `iou` is out of range.
    """
    content = read_coco(truth, 'images', 'categories')
    rows = list(rows)
    image_ids = find_images(rows, content, truth)
    return match(content, found_boxes(rows, content, truth), image_ids, iou)


def match(
    truth: dict, found: Iterable[dict], image_ids: Sequence[int], iou: float
) -> list[ClassMatches]:
    """Match boxes in COCO's format.

    Args:
        truth: A COCO object with the true objects.
        found: COCO annotations with scores.
        image_ids: The images to look at.
        iou: Overlap from which a detection is right, in (0, 1].

    Returns:
        The matches of each category, in the order of `truth`.

    Raises:
        ValueError: If `iou` is out of range.
    """
    check_iou(iou)
    categories = truth['categories']
    objects = index(categories, truth.get('annotations', ()))
    detections = index(categories, found)
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
    return [class_matches(images) for images in matched.values()]


def class_matches(images: Sequence[dict]) -> ClassMatches:
    """Join pycocotools' matches of one class on several images.

    Args:
        images: Of `COCOeval.evalImgs`, with one threshold of the overlap.
    """
    # An empty one of the type wanted, for a class that is on no image.
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


def index(categories: Categories, annotations: Iterable[dict]) -> COCO:
    """Return pycocotools' index of annotations.

    They are numbered anew from 1: to pycocotools an object or a detection
    whose id is 0 is not matched.

    Args:
        categories: Those to evaluate.
        annotations: With `image_id`, `category_id` and `bbox`; no crowd
            unless `iscrowd` says so. They are not changed.
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
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        coco.createIndex()
    return coco


def find_images(
    rows: Sequence[Mapping], truth: dict, source: str | Path
) -> list[int]:
    """Return the truth's id of each row's image, which is found by name.

    Args:
        rows: One for each image, with `file_name`.
        truth: A COCO object.
        source: Its file, for the message.

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


def found_boxes(
    rows: Sequence[Mapping], truth: dict, source: str | Path
) -> list[dict]:
    """Turn rows into COCO annotations with the truth's ids.

    Args:
        rows: One for each image, see `match_detections`.
        truth: A COCO object.
        source: Its file, for the message.

    Returns:
        `image_id`, `category_id`, `bbox` and `score` of each detection, by
        row.

    Raises:
        CocoError: If the truth lacks an image or the class of a label.
    """
    category_ids = dict(enumerate(c['id'] for c in truth['categories']))
    image_ids = find_images(rows, truth, source)
    labels = {label for row in rows for label in row['labels']}
    if labels.difference(category_ids):
        raise CocoError(
            f'{source} has {len(category_ids)} categories, labels must be '
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
        for bbox_xywh, score, label in boxes_of(row)
    ]


def boxes_of(row: Mapping) -> Iterator[tuple]:
    """Yield box (x, y, w, h; clipped), score and label of each detection."""
    bboxes_xyxy = np.asarray(row['bboxes_xyxy'], np.float64).reshape(-1, 4)
    sizes_wh = np.tile([row['width'], row['height']], (len(bboxes_xyxy), 1))
    bboxes_xywh = xyxy_to_xywh(bboxes_xyxy, sizes_wh).tolist()
    yield from zip(bboxes_xywh, row['scores'], row['labels'], strict=True)
