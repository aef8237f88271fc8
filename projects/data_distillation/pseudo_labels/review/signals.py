"""What speaks for and against a detection, as columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..detections.columns import Detections

# From this overlap on, two boxes show the same object.
SAME_PLACE = 0.5
# Scores of 0 and 1 have no finite logit.
MARGIN = 1e-4


@dataclass(frozen=True)
class Signals:
    """What is known of n detections besides their boxes.

    Args:
        scores: Shape (n,), float64, in [0, 1].
        labels: Shape (n,), int64, their classes.
        support: Shape (n,), the share of the views that support each, in
            [0, 1].
        spread: Shape (n,), how far the boxes of the views are apart, see
            `merging.boxes.corner_spread`.
        rival_labels: Shape (n,), int64, the class of the best detection of
            another class at the same place; -1 if there is none.
        rival_scores: Shape (n,), its score; 0 if there is none.
        overlap: Shape (n,), the IoU with the detection of the same class that
            has a higher score and overlaps it most; 0 if there is none.
    """

    scores: np.ndarray
    labels: np.ndarray
    support: np.ndarray
    spread: np.ndarray
    rival_labels: np.ndarray
    rival_scores: np.ndarray
    overlap: np.ndarray

    def compute_features(self) -> np.ndarray:
        """Compute what a calibration looks at.

        Returns:
            Shape (n, 5), float64: the logit of the score, the share of the
            views, the spread (at most 1), the rival's score as a part of the
            own, and the overlap with better ones.
        """
        clipped = np.clip(self.scores, MARGIN, 1 - MARGIN)
        return np.column_stack(
            [
                np.log(clipped / (1 - clipped)),
                self.support,
                np.minimum(self.spread, 1),
                self.rival_scores / np.maximum(self.scores, MARGIN),
                self.overlap,
            ]
        )


def read_signals(detections: Detections, num_views: int | None) -> Signals:
    """Compute the signals of detections.

    Args:
        detections: The detections, ordered by image, and of each image by
            descending score.
        num_views: The number of views of the annotation; None if it is not
            known. Then the most views that support a detection count as all.

    Returns:
        Columns with one element for each detection, in order.
    """
    most = num_views or detections.num_views.max(initial=1)
    rival_labels = np.full(len(detections), -1)
    rival_scores, overlap = np.zeros((2, len(detections)))
    scores = detections.scores.astype(np.float64)
    labels = detections.labels.astype(np.int64)
    for part in iter_images(detections.image_index):
        ious = compute_pairwise_ious_xywh(
            detections.bbox_xywh[part], detections.bbox_xywh[part]
        )
        same = labels[part][:, None] == labels[part]
        # (d, d): for each detection, a row with the scores of its rivals.
        rivals = np.where(~same & (ious >= SAME_PLACE), scores[part], 0)
        best = rivals.argmax(axis=1)
        rival_scores[part] = rivals.max(axis=1)
        found = rival_scores[part] > 0
        rival_labels[part] = np.where(found, labels[part][best], -1)
        # The detections of an image are ordered by their scores.
        better = np.tril(np.ones_like(same), -1)
        overlap[part] = np.where(same & better, ious, 0).max(axis=1)
    return Signals(
        scores,
        labels,
        np.minimum(detections.num_views / most, 1),
        detections.corner_spread.astype(np.float64),
        rival_labels,
        rival_scores,
        overlap,
    )


def iter_images(image_index: np.ndarray) -> Iterator[slice]:
    """Find the part of each image that has elements.

    Args:
        image_index: Shape (n,), the image of each element, ascending.

    Yields:
        A slice for each such image, in order; nothing without elements.
    """
    # -1 is no image, so that the first detection starts one too.
    starts = np.flatnonzero(np.diff(image_index, prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(image_index)]):
        yield slice(start, stop)


def compute_pairwise_ious_xywh(
    one: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """Measure the IoU of each box with each other box.

    Args:
        one: Shape (n, 4), left, top, width and height in pixels.
        other: Shape (m, 4), in the same form.

    Returns:
        Shape (n, m), float64, in [0, 1]; 0 where both boxes have no area, or
        only touch.
    """
    # (n, 1, 4) against (1, m, 4)
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    sides = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    sides = np.maximum(sides - np.maximum(a[..., :2], b[..., :2]), 0)
    common = sides.prod(axis=-1)
    areas = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1)
    whole = areas - common
    # `where` leaves out 0 / 0, and `out` fills these places.
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
