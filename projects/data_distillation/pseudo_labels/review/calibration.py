"""How likely is a detection right? A logistic regression on labeled images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...label_files.coco.contents import check_classes
from ...label_files.coco.matching import find_image_ids, make_results
from ...label_files.coco.reading import UNCHECKED, read_truth
from ...label_files.column_matching.greedy import match_columns
from ...label_files.column_matching.numbering import Numbering
from ..detections.columns import flatten_table, keep_listed, keep_readable
from ..detections.store import DetectionStore
from .signals import SAME_PLACE, Signals, read_signals

# The weight of the penalty on coefficients. It keeps them finite if a class
# has only right detections. The features have the standard deviation 1, for
# which scikit-learn's logistic regression has this weight too (C = 1).
PENALTY = 1.0
# Newton steps: a few suffice, and a step below the tolerance changes no digit
# that is shown.
MAX_STEPS = 50
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Calibration:
    """Turns the signals of detections into probabilities.

    Args:
        mean: Shape (k,), the mean of each feature.
        scale: Shape (k,), its standard deviation.
        weights: Shape (1 + k + number of classes,), the coefficients: of 1, of
            the features and of the classes.
        num_images: The number of images that it was fitted on.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    num_images: int

    def __call__(self, signals: Signals) -> np.ndarray:
        """Compute how likely each detection is right.

        Args:
            signals: The signals of n detections. A class that was not known
                at the fit counts as none.

        Returns:
            Shape (n,), float64, from 0 to 1.
        """
        features = (signals.compute_features() - self.mean) / self.scale
        first, of_features, of_classes = np.split(
            self.weights, [1, 1 + len(self.mean)]
        )
        # Looked up: a column for each class would take 8 bytes times the
        # number of classes for each of millions of detections.
        of_classes = np.append(of_classes, 0)  # The last is of no known class.
        labels = np.minimum(signals.labels, len(of_classes) - 1)
        return compute_sigmoid(
            first + features @ of_features + of_classes[labels]
        )


def fit_calibration(
    signals: Signals, is_right: np.ndarray, num_classes: int, num_images: int
) -> Calibration:
    """Fit how likely detections are right.

    Args:
        signals: The signals of n detections.
        is_right: Shape (n,), bool, which of them are right.
        num_classes: The number of classes.
        num_images: The number of images that they are on.

    Returns:
        The calibration; fitted on no detection, it gives every one the chance
        0.5.
    """
    features = signals.compute_features()
    mean = features.mean(axis=0) if len(features) else np.zeros(5)
    scale = features.std(axis=0) if len(features) else np.ones(5)
    # A feature that never varies would be divided by 0.
    scale = np.where(scale > 0, scale, 1)
    columns = make_columns(signals, mean, scale, num_classes)
    weights = fit_logistic(columns, is_right.astype(np.float64))
    return Calibration(mean, scale, weights, num_images)


def make_columns(
    signals: Signals, mean: np.ndarray, scale: np.ndarray, num_classes: int
) -> np.ndarray:
    """Make the columns of the regression; see `Calibration.weights`.

    Args:
        signals: The signals of n detections.
        mean: Shape (5,), the mean of each feature.
        scale: Shape (5,), the standard deviation of each, above 0.
        num_classes: The number of classes, c.

    Returns:
        Shape (n, 6 + c): 1, the features, and 1 for the class.
    """
    features = (signals.compute_features() - mean) / scale
    classes = signals.labels[:, None] == np.arange(num_classes)  # (n, c)
    return np.column_stack([np.ones(len(features)), features, classes])


def fit_logistic(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fit a logistic regression by Newton's method.

    Args:
        columns: Shape (n, k). The first column, of ones, is hardly penalized.
        target: Shape (n,), 0 or 1.

    Returns:
        The coefficients, shape (k,), after at most `MAX_STEPS` steps; zeros
        for n = 0.
    """
    weights = np.zeros(columns.shape[1])
    penalty = np.full(len(weights), PENALTY)
    # The intercept is free. A little keeps the matrix regular.
    penalty[0] = 1e-6
    for _ in range(MAX_STEPS):
        chance = compute_sigmoid(columns @ weights)
        gradient = columns.T @ (target - chance) - penalty * weights
        # Rows are scaled, for which no (n, n) matrix of weights is needed.
        curvature = (columns * (chance * (1 - chance))[:, None]).T @ columns
        step = np.linalg.solve(curvature + np.diag(penalty), gradient)
        # A full step from far away may overshoot.
        step *= min(1, 5 / max(np.abs(step).max(), TOLERANCE))
        weights += step
        if np.abs(step).max() < TOLERANCE:
            break
    return weights


def compute_sigmoid(values: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + exp(-x)), without overflow.

    Args:
        values: Any shape.

    Returns:
        The same shape, from 0 to 1.
    """
    return 0.5 * (1 + np.tanh(values / 2))


def calibrate_scores(
    detections: Path, truth_file: str | Path, provenance: dict
) -> Calibration:
    """Calibrate on labeled images that the teacher was not trained on.

    Args:
        detections: The folder of their detections.
        truth_file: The COCO file with their objects. Its categories must be
            the classes of the detections, in their order.
        provenance: The provenance of the detections to judge later.

    Returns:
        How likely detections of this teacher are right.

    Raises:
        StoreError: If there are no detections, or damaged ones, or another
            teacher, other views or another merger made them.
        CocoError: If the truth cannot be used, has other classes than the
            detections (if these say theirs), or lacks an image or the class
            of a detection.
        FileNotFoundError: If there is no truth.
    """
    store = DetectionStore(detections)
    store.check_same_teacher(provenance)
    truth = read_truth(truth_file)
    if classes := store.require_provenance().get('classes'):
        check_classes(classes, truth['categories'], truth_file)
    table = keep_listed(keep_readable(store.read()), truth)
    signals = read_signals(flatten_table(table), count_views(provenance))
    is_right = judge_rows(table.to_pylist(), truth, truth_file)
    num_classes = len(truth['categories'])
    return fit_calibration(signals, is_right, num_classes, len(table))


def count_views(provenance: dict) -> int | None:
    """Count the views that can support a detection.

    Args:
        provenance: The provenance of the detections.

    Returns:
        The views of all teachers together; None if their number is not known,
        because the pipeline made them.
    """
    views = provenance.get('views')
    teachers = 1 + len(provenance.get('other_teachers') or ())
    return len(views) * teachers if isinstance(views, list) else None


def judge_rows(
    rows: Sequence[dict], truth: dict, source: str | Path
) -> np.ndarray:
    """Find out which detections are right.

    Args:
        rows: One row for each image, see `shards.SCHEMA`.
        truth: A COCO object with the true objects.
        source: The file of the truth, for messages.

    Returns:
        Whether each detection took an object or a crowd, shape (n,), bool, in
        the order of the rows.

    Raises:
        CocoError: If the truth lacks an image or a class.
    """
    ids = find_image_ids(rows, truth, source)
    numbering = Numbering.of(ids, truth['categories'])
    found = numbering.collect_found(make_results(rows, truth, source))
    objects = numbering.collect_objects(list(repeat_unchecked(truth)))
    matched = match_columns(objects, found, [SAME_PLACE])
    is_right = np.zeros(len(found.scores), bool)
    is_right[matched.order] = matched.is_matched[:, 0]
    return is_right


def repeat_unchecked(truth: dict) -> Iterator[dict]:
    """Repeat the regions that nobody has checked for each class.

    Such a region names one class, and means all of them.

    Args:
        truth: A COCO object.

    Yields:
        Its annotations in order, and after each region the same one of every
        other class.
    """
    for one in truth['annotations']:
        yield one
        if one.get(UNCHECKED):
            for category in truth['categories']:
                if category['id'] != one['category_id']:
                    yield dict(one, category_id=category['id'])
