"""How good are the pseudo labels? Compared with the truth, where known."""

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .coco import CocoError, read_coco, xyxy_to_xywh

METRICS = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75')


def pseudo_label_quality(
    pseudo_file: str | Path, truth_file: str | Path, iou: float = 0.5
) -> dict:
    """Match pseudo labels with the truth by COCO's rules and count.

    Highest score first, each pseudo label takes the free object of its class
    that it overlaps most, by at least `iou`. Pseudo labels on crowd regions
    count neither way.

    Args:
        pseudo_file: COCO file with scores.
        truth_file: COCO file with the same category ids and, by file name,
            the same images; objects on others count as not found.
        iou: Overlap from which a label is right, in (0, 1].

    Returns:
        `images`, `instances` (pseudo labels), `precision` and `recall`; these
        are None if there is nothing to divide by.

    Raises:
        FileNotFoundError: If a file is not there.
        CocoError: If the truth lacks an image of the pseudo labels.
    """
    truth = read_coco(truth_file, 'images', 'categories')
    pseudo = with_image_ids_of(truth, read_coco(pseudo_file, 'images'))
    num_matched, num_pseudo, num_truth = count_matches(
        index(truth), index(pseudo), iou
    )
    return dict(
        images=len(pseudo['images']),
        instances=len(pseudo['annotations']),
        precision=num_matched / num_pseudo if num_pseudo else None,
        recall=num_matched / num_truth if num_truth else None,
    )


def detection_metrics(
    rows: Iterable[Mapping], truth_file: str | Path
) -> dict[str, float]:
    """Evaluate detections, before any selection, by COCO's rules.

    Args:
        rows: One for each image to evaluate, with the names and values of
            `detections.SCHEMA`; labels number the truth's categories.
        truth_file: COCO file of the true objects.

    Returns:
        `bbox_mAP`, `bbox_mAP_50` and `bbox_mAP_75`, from 0 to 1; -1 if these
        images have no object.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the truth lacks an image.
    """
    truth = read_coco(truth_file, 'images', 'categories', 'annotations')
    ids = {image['file_name']: image['id'] for image in truth['images']}
    rows = list(rows)
    unknown = [row['file_name'] for row in rows if row['file_name'] not in ids]
    if unknown:
        raise CocoError(
            f'{truth_file} lacks {len(unknown)} of {len(rows)} images, the '
            f'first is {unknown[0]}'
        )
    category_ids = [category['id'] for category in truth['categories']]
    results = [
        dict(
            image_id=ids[row['file_name']],
            category_id=category_ids[label],
            bbox=bbox_xywh,
            score=float(score),
        )
        for row in rows
        for bbox_xywh, score, label in boxes_of(row)
    ]
    if not results:
        return dict.fromkeys(METRICS, 0.0)
    return coco_metrics(
        truth, results, [ids[row['file_name']] for row in rows]
    )


def boxes_of(row: Mapping) -> Iterator[tuple]:
    """Yield box (x, y, w, h; clipped), score and label of each detection."""
    bboxes_xyxy = np.asarray(row['bboxes_xyxy'], np.float64).reshape(-1, 4)
    sizes_wh = np.tile([row['width'], row['height']], (len(bboxes_xyxy), 1))
    bboxes_xywh = xyxy_to_xywh(bboxes_xyxy, sizes_wh).tolist()
    yield from zip(bboxes_xywh, row['scores'], row['labels'], strict=True)


def coco_metrics(
    truth: dict, results: list[dict], image_ids: list[int]
) -> dict[str, float]:
    """Let pycocotools evaluate detections in COCO's format.

    Args:
        truth: The true objects.
        results: At least one detection.
        image_ids: The images to evaluate.
    """
    indexed = index(truth)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(indexed, indexed.loadRes(results), 'bbox')
        evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(METRICS, evaluation.stats.tolist(), strict=False))


def with_image_ids_of(truth: dict, pseudo: dict) -> dict:
    """Return pseudo labels whose images have the truth's ids.

    Images of a folder were given ids of their own.

    Raises:
        CocoError: If an image is not in the truth.
    """
    true_ids = {image['file_name']: image['id'] for image in truth['images']}
    names = {image['id']: image['file_name'] for image in pseudo['images']}
    unknown = sorted(set(names.values()) - true_ids.keys())
    if unknown:
        raise CocoError(
            f'{len(unknown)} pseudo-labeled images are not in the truth, the '
            f'first is {unknown[0]}'
        )
    return dict(
        pseudo,
        annotations=[
            dict(label, image_id=true_ids[names[label['image_id']]])
            for label in pseudo['annotations']
        ],
    )


def index(content: dict) -> COCO:
    """Return pycocotools' index of a COCO object."""
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        coco.createIndex()
    return coco


def count_matches(
    truth: COCO, pseudo: COCO, iou: float
) -> tuple[int, int, int]:
    """Count matched objects, all pseudo labels, and all objects.

    Args:
        truth: The true annotations.
        pseudo: Annotations with scores and ids above 0.
        iou: Overlap from which a label is right.

    Returns:
        The three counts; ignored ones (crowds) are left out.
    """
    evaluation = COCOeval(truth, pseudo, 'bbox')
    evaluation.params.iouThrs = np.array([iou])
    evaluation.params.areaRng = [[0, 1e10]]
    evaluation.params.areaRngLbl = ['all']
    evaluation.params.maxDets = [max(len(pseudo.anns), 1)]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    num_matched = num_pseudo = num_truth = 0
    for found in filter(None, evaluation.evalImgs):
        counts = ~found['gtIgnore'].astype(bool)
        # Not `dtMatches`: it holds the truth's ids, of which 0 may be one.
        num_matched += int((counts & (found['gtMatches'][0] > 0)).sum())
        num_truth += int(counts.sum())
        num_pseudo += int((~found['dtIgnore'][0].astype(bool)).sum())
    return num_matched, num_pseudo, num_truth
