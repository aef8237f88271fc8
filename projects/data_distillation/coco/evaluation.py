"""How good are detections and pseudo labels, where the truth is known?

The functions give one figure for all classes; `quality/label_quality.py` gives
the figures of each class.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from pycocotools.cocoeval import COCOeval

from .matching import (
    find_image_ids,
    index_annotations,
    make_results,
    match_boxes,
)
from .reading import CocoError, read_coco

METRICS = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75')


def pseudo_label_quality(
    pseudo_file: str | Path, truth_file: str | Path, iou: float = 0.5
) -> dict:
    """Match pseudo labels with the truth by COCO's rules and count them.

    `matching.py` says how they are matched. Crowds in the file of pseudo
    labels are regions that the student ignores. They are not labels and count
    nowhere.

    Args:
        pseudo_file: The COCO file of the pseudo labels, with scores.
        truth_file: A COCO file with the same category ids and with the same
            images by file name. Objects on other images count as not found.
        iou: The least IoU at which a pseudo label is right, in (0, 1].

    Returns:
        `images`, `instances` (all pseudo labels, also those on crowd regions
        of the truth), `precision` and `recall`, both in [0, 1] or None if
        there is nothing to divide by.

    Raises:
        FileNotFoundError: If a file does not exist.
        CocoError: If the truth lacks an image of the pseudo labels.
        ValueError: If `iou` is out of range.
    """
    truth = read_coco(truth_file, 'images', 'categories')
    pseudo = adopt_image_ids(truth, read_coco(pseudo_file, 'images'))
    labels = [a for a in pseudo['annotations'] if not a.get('iscrowd', 0)]
    image_ids = [image['id'] for image in truth['images']]
    matches = match_boxes(truth, labels, image_ids, iou)
    num_right = sum(int(m.is_right.sum()) for m in matches)
    num_found = sum(len(m.scores) for m in matches)
    num_truth = sum(m.num_truth for m in matches)
    return dict(
        images=len(pseudo['images']),
        instances=len(labels),
        precision=num_right / num_found if num_found else None,
        recall=num_right / num_truth if num_truth else None,
    )


def adopt_image_ids(truth: dict, pseudo: dict) -> dict:
    """Return the pseudo labels with the truth's ids of their images.

    The images of a folder were given ids of their own when they were
    annotated.

    Args:
        truth: A COCO object with the true objects.
        pseudo: A COCO object with pseudo labels. It is not changed.

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


def detection_metrics(
    rows: Iterable[Mapping], truth_file: str | Path
) -> dict[str, float]:
    """Evaluate detections, before any selection, by COCO's rules.

    Args:
        rows: One row for each image to evaluate, with the names and values of
            `shards.SCHEMA`; labels number the truth's categories.
        truth_file: The COCO file of the true objects.

    Returns:
        `bbox_mAP`, `bbox_mAP_50` and `bbox_mAP_75`, from 0 to 1; -1 if these
        images have no object.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the truth lacks an image or the class of a label.
    """
    truth = read_coco(truth_file, 'images', 'categories', 'annotations')
    rows = list(rows)
    return coco_metrics(
        truth,
        make_results(rows, truth, truth_file),
        find_image_ids(rows, truth, truth_file),
    )


def coco_metrics(
    truth: dict, results: list[dict], image_ids: list[int]
) -> dict[str, float]:
    """Let pycocotools evaluate detections in COCO's format.

    Args:
        truth: A COCO object with the true objects.
        results: The detections; see `matching.make_results`.
        image_ids: The ids of the images to evaluate.

    Returns:
        See `detection_metrics`; all 0 if there are objects and no detection.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # It prints.
        objects = index_annotations(truth['categories'], truth['annotations'])
        found = index_annotations(truth['categories'], results)
        evaluation = COCOeval(objects, found, 'bbox')
        evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(METRICS, evaluation.stats.tolist(), strict=False))
