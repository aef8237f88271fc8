"""Compares the labels of a report with the truth, by image and by score."""

import numpy as np
import pyarrow as pa

from ..label_files.coco.matching import (
    RIGHT_IOU,
    find_image_ids,
    make_results,
    match_images,
)
from ..pseudo_labels.quality.label_quality import Quality
from .shown_labels import GRID, StoredLabels, choose_judged


def count_wrong(labels: StoredLabels, truth: dict, source: str) -> np.ndarray:
    """Count the wrong labels and the missed objects of each image.

    Args:
        labels: The detections and their `min_score` values.
        truth: A COCO object with the true objects of these images, and with
            the classes of the labels in the same order.
        source: The file of the truth, for messages.

    Returns:
        Shape (number of images,), float. It is NaN where nothing is wrong, and
        for images that `choose_judged` leaves out. A label is right at an IoU
        of `RIGHT_IOU`, as pycocotools matches.

    Raises:
        CocoError: If the truth lacks an image or the class of a label.
        ValueError: If the truth has another number of classes.
    """
    chosen = choose_judged(len(labels.table))
    rows = list(labels.rules.filter_rows(labels.table.take(pa.array(chosen))))
    image_ids = find_image_ids(rows, truth, source)
    # A class without a `min_score` has no labels. Others are compared as they
    # are stored, in single precision, in which 0.3 is another number.
    lowest = {
        category['id']: np.inf if score is None else np.float32(score)
        for category, score in zip(
            truth['categories'], labels.min_scores.values(), strict=True
        )
    }
    selected = [
        one
        for one in make_results(rows, truth, source)
        if np.float32(one['score']) >= lowest[one['category_id']]
    ]
    matches = match_images(truth, selected, image_ids, [RIGHT_IOU])
    num = len(image_ids)
    is_right = matches.is_right[:, 0]
    num_right = np.bincount(matches.image_index[is_right], minlength=num)
    num_labels = np.bincount(matches.image_index, minlength=num)
    # Labels that are not right, plus objects that no label has found: a right
    # label is one of each.
    by_id = num_labels + matches.num_truth.sum(axis=1) - 2 * num_right
    wrong = np.full(len(labels.table), np.nan)
    # The matches are ordered by the ids of the images.
    wrong[chosen[np.argsort(image_ids)]] = by_id
    # NaN keeps an image out of the group of the gallery.
    wrong[wrong == 0] = np.nan
    return wrong


def count_right_on_grid(quality: Quality) -> list[dict]:
    """Count the right labels of each class from each score of `GRID`.

    Args:
        quality: The labels, matched with the truth.

    Returns:
        For each class, in order, `truth` (the number of objects), `right` and
        `found` (the numbers of right labels and of all labels from each score
        on), and `chosen` (both numbers at `min_score`).
    """
    counted = []
    for one in quality.classes.values():
        right, found = zip(*map(one.matches.count_from, GRID), strict=True)
        at = one.counts
        counted.append(
            dict(
                truth=at.num_truth,
                right=right,
                found=found,
                chosen=(at.num_right, at.num_labels),
            )
        )
    return counted
