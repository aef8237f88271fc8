"""Joins what looks wrong in the labels of several folds to one list."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..experiment.stages.folds import Fold
from ..pseudo_labels.detections.columns import join_detections
from ..pseudo_labels.review.suspicious import Suspicion
from .suspicious_labels import LabelReview, review_labels


def review_folds(
    folds: Sequence[Fold], images: Path | None = None
) -> LabelReview:
    """Look for labels that the detections of their folds speak against.

    The chances of each fold are calibrated by its own labels, since each has
    another teacher.

    Args:
        folds: The folds, at least one.
        images: The folder of the images; None for where they were annotated.

    Returns:
        One review of all folds, with the suspicions of all ranked together.

    Raises:
        FileNotFoundError: If a file is missing.
        StoreError: If detections cannot be read.
        CocoError: If labels cannot be used, see `review_labels`.
        KeyError: If the provenance of detections names no classes.
        IndexError: If there are no folds.
    """
    return join_reviews(
        [review_labels(one.detections, one.labels, images) for one in folds]
    )


def join_reviews(reviews: Sequence[LabelReview]) -> LabelReview:
    """Join the reviews of different images.

    Args:
        reviews: The reviews, at least one. Their images are in one folder, and
            have ids of one file.

    Returns:
        One review, whose suspicions are sorted by their chance, the highest
        first; equal ones stay in the order of the reviews. Its folder, and all
        of the COCO file but images and annotations, are those of the first.

    Raises:
        IndexError: If there are no reviews.
    """
    rows: list[dict] = []
    annotations: list[dict] = []
    suspicions: list[Suspicion] = []
    num_detections = 0
    for review in reviews:
        starts = len(rows), len(annotations), num_detections
        suspicions += [
            replace(
                one,
                image=one.image + starts[0],
                label=shift(one.label, starts[1]),
                detection=shift(one.detection, starts[2]),
            )
            for one in review.suspicions
        ]
        rows += review.rows
        annotations += review.annotations
        num_detections += len(review.detections)
    parts = [(r.detections, len(r.rows)) for r in reviews]
    coco = dict(
        reviews[0].coco,
        images=[i for r in reviews for i in r.coco['images']],
        annotations=[a for r in reviews for a in r.coco['annotations']],
    )
    return LabelReview(
        coco,
        rows,
        annotations,
        join_detections(parts),
        sorted(suspicions, key=lambda one: -one.chance),
        reviews[0].folder,
        [note for review in reviews for note in review.notes],
    )


def shift(number: int | None, start: int) -> int | None:
    """Number a part of a review anew.

    Args:
        number: The number in its own review; None if there is none.
        start: How many come before, in other reviews.

    Returns:
        The number in the joined review; None as before.
    """
    return None if number is None else number + start
