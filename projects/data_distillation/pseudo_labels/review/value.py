"""What a label of an image would bring: the errors to expect in its labels."""

from dataclasses import dataclass

import numpy as np

from ...text import isolate
from .signals import Signals

# A class is confused if another one has at least this share of its score.
CONFUSED = 0.5
# Views disagree on a label that less than this share of them found.
FEW_VIEWS = 0.5
# More than this spread, a share of the side of the box, is far apart.
FAR_APART = 0.1
# A class is rare if its error counts at least so much.
RARE = 1.5


@dataclass(frozen=True)
class ImageValues:
    """What is expected of m images, if they are labeled as they are now.

    Args:
        wrong: Shape (m, number of classes), float64, how many labels of each
            class are expected to be wrong.
        missed: The same, how many objects have a detection but no label.
        few_views: Shape (m,), int, the number of labels that few views found.
        far_apart: Shape (m,), int, the number of labels on whose box the views
            disagree.
        confused: Shape (k, 3), int, image, class and other class: on which
            image a label of a class may be of another one. Sorted by these,
            each once.
        weights: Shape (number of classes,), what an error of each class
            counts.
    """

    wrong: np.ndarray
    missed: np.ndarray
    few_views: np.ndarray
    far_apart: np.ndarray
    confused: np.ndarray
    weights: np.ndarray

    def errors_of(self, row: int) -> np.ndarray:
        """Return the expected number of errors in an image.

        Args:
            row: The number of the image.

        Returns:
            Shape (number of classes,), float64.
        """
        return self.wrong[row] + self.missed[row]

    @property
    def values(self) -> np.ndarray:
        """What each image counts, shape (m,)."""
        # Not their sum, which would be another large matrix.
        return self.wrong @ self.weights + self.missed @ self.weights


def value_images(
    image_index: np.ndarray,
    signals: Signals,
    chances: np.ndarray,
    is_label: np.ndarray,
    num_images: int,
    weights: np.ndarray,
) -> ImageValues:
    """Sum up what is expected of each image.

    A label is wrong with the chance that its detection is, and a detection
    that became no label is a missed object with the chance that it is right.

    Args:
        image_index: Shape (n,), the image of each detection.
        signals: What is known of the detections.
        chances: Shape (n,), how likely each is right.
        is_label: Shape (n,), bool, whether each became a pseudo label.
        num_images: The number of images.
        weights: Shape (number of classes,), what an error of each class
            counts, see `ImageValues`.

    Returns:
        Columns with one row for each image, in order; zeros for an image
        without detections.
    """
    shape = num_images, len(weights)
    wrong, missed = np.zeros((2, *shape))
    places = image_index, signals.labels
    # An image may have several of a class, which `+=` would count once.
    np.add.at(wrong, places, np.where(is_label, 1 - chances, 0))
    np.add.at(missed, places, np.where(is_label, 0, chances))
    rivaled = is_label & (signals.rival_scores >= CONFUSED * signals.scores)
    # Of score 0, a label without a rival has passed the line above.
    rivaled &= signals.rival_labels >= 0
    pairs = image_index, signals.labels, signals.rival_labels
    # With many images and classes, a matrix of all would not fit in memory.
    confused = np.unique(np.column_stack(pairs)[rivaled], axis=0)
    few, far = (
        np.bincount(image_index[is_label & mask], minlength=num_images)
        for mask in (signals.support < FEW_VIEWS, signals.spread > FAR_APART)
    )
    return ImageValues(wrong, missed, few, far, confused, weights)


def weigh_classes(num_instances: np.ndarray) -> np.ndarray:
    """Weigh the classes, rare ones more.

    Args:
        num_instances: Shape (number of classes,), how many labeled instances
            each has.

    Returns:
        Shape (number of classes,), float64: 1 for a class with as many
        instances as the mean class, 2 for one with a quarter of them, and so
        on. A class without instances counts as one with a single instance.
    """
    counts = np.maximum(num_instances, 1).astype(np.float64)
    return np.sqrt(counts.mean() / counts)


def explain_image(values: ImageValues, row: int, classes: list[str]) -> str:
    """Say in words why an image was chosen.

    Args:
        values: The values of all images.
        row: The number of the image.
        classes: The names of the classes, at least one.

    Returns:
        Reasons on one line, without a full stop; at most three pairs of
        classes that are in doubt.
    """
    classes = list(map(isolate, classes))
    wrong, missed = values.wrong[row].sum(), values.missed[row].sum()
    parts = [
        f'{wrong + missed:.1f} errors expected: {wrong:.1f} wrong labels, '
        f'{missed:.1f} missed objects'
    ]
    if few := values.few_views[row]:
        parts.append(f'few views found {few} of the labels')
    if far := values.far_apart[row]:
        parts.append(f'views disagree on the box of {far}')
    # Its columns are the image, a class and the other class.
    confused = values.confused[values.confused[:, 0] == row]
    if len(confused):
        pairs = (f'{classes[a]} or {classes[b]}' for _, a, b in confused[:3])
        parts.append(f'in doubt: {", ".join(pairs)}')
    weighted = values.errors_of(row) * values.weights
    rare = int(weighted.argmax())
    if values.weights[rare] >= RARE:
        parts.append(f'{classes[rare]} is rare among the labels')
    return '; '.join(parts)
