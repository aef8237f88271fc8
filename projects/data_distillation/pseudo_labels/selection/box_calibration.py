"""Calibrates boxes: mends what is wrong alike with all boxes of a class.

A teacher that has seen few objects of a class draws their boxes too wide, for
example, or too low. Views and fusion cannot help there, because the mistake is
the same in all views. The true boxes of the validation images tell how large
it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ...label_files.coco.matching import RIGHT_IOU, find_images_by_name
from ...label_files.column_matching.greedy import (
    DetectionColumns,
    Objects,
    measure_overlaps,
)
from ...label_files.column_matching.numbering import Numbering
from ..detections.columns import Detections

# The calibration is as if so many more objects had been right as they were, so
# that a few objects change little. 5 and 20 were as good (docs/results.md).
NUM_PRIOR = 10
# With fewer objects of a class, more of the calibration would be guessed than
# measured: they would weigh less than those of the prior.
MIN_OBJECTS = NUM_PRIOR
# As many classes as fit a line of the log.
MAX_NAMED = 6


@dataclass(frozen=True)
class BoxCalibration:
    """The calibration of the boxes of c classes.

    The error of a box is relative to its size: the shift of its center in
    widths and heights, and the logarithm of the ratios of width and height.
    For each class it is a linear function of the logarithms of width and
    height (ridge regression).

    Args:
        num_objects: Shape (c,), int64, the number of objects that show how far
            the boxes are off; with less than `MIN_OBJECTS`, there is no
            calibration.
        log_sizes: Shape (c, 2), float64, the mean logarithms of width and
            height of these detections, in pixels.
        ranges: Shape (c, 2, 2), their lowest and highest ones. Other boxes are
            calibrated like those at the end of the range.
        errors: Shape (c, 4), the error at the mean size: center x, center y,
            width, height.
        slopes: Shape (c, 2, 4), how it changes with the size.
    """

    num_objects: np.ndarray
    log_sizes: np.ndarray
    ranges: np.ndarray
    errors: np.ndarray
    slopes: np.ndarray

    @classmethod
    def fit(
        cls, found: DetectionColumns, objects: Objects, num_classes: int
    ) -> 'BoxCalibration':
        """Learn how to calibrate boxes.

        Args:
            found: The detections that would be labels, of images with truth.
            objects: The true objects of these images. Crowds are left out.
            num_classes: The number of classes, at least 1; every label is
                below it.

        Returns:
            The calibration. A class with less than `MIN_OBJECTS` detections
            that show an object stays as it is.
        """
        owners, targets = pair_boxes(found, objects)
        bbox_xywh = found.bbox_xywh[owners]
        true_xywh = objects.bbox_xywh[targets]
        errors = measure_errors(bbox_xywh, true_xywh)
        log_sizes = np.log(bbox_xywh[:, 2:])
        labels = found.labels[owners]
        parts = [
            fit_class(log_sizes[labels == label], errors[labels == label])
            for label in range(num_classes)
        ]
        counts = np.bincount(labels, minlength=num_classes)
        return cls(counts, *map(np.array, zip(*parts, strict=True)))

    def apply(
        self, bbox_xywh: np.ndarray, labels: np.ndarray, sizes_wh: np.ndarray
    ) -> np.ndarray:
        """Correct boxes.

        Args:
            bbox_xywh: Shape (n, 4), pixels of the original image; width and
                height are positive.
            labels: Shape (n,), int, the class of each box.
            sizes_wh: Shape (n, 2), width and height of the image of each, in
                pixels.

        Returns:
            Shape (n, 4), float32, a new array of xywh in pixels, clipped to
            the image and rounded to 1/100 like stored boxes. A box of which
            less than a pixel would be left within its image stays as it is.
        """
        bbox_xywh = bbox_xywh.astype(np.float64)
        sides = bbox_xywh[:, 2:]
        # Beyond the sizes that were seen, the calibration is that of the
        # nearest.
        low, high = self.ranges[labels, 0], self.ranges[labels, 1]
        offsets = np.clip(np.log(sides), low, high) - self.log_sizes[labels]
        errors = self.errors[labels]
        # (n, 2) times (n, 2, 4): each box has the slopes of its class.
        errors = errors + np.einsum('ni,nij->nj', offsets, self.slopes[labels])
        centers = bbox_xywh[:, :2] + sides / 2 + errors[:, :2] * sides
        halves = sides * np.exp(errors[:, 2:]) / 2
        start = np.clip(centers - halves, 0, sizes_wh)
        stop = np.clip(centers + halves, 0, sizes_wh)
        start, stop = np.round(start, 2), np.round(stop, 2)
        # A box that would become too thin for a label stays as it was.
        fits = ((stop - start) >= 1).all(axis=1, keepdims=True)
        calibrated = np.hstack([start, np.round(stop - start, 2)])
        return np.where(fits, calibrated, bbox_xywh).astype(np.float32)

    def describe(self, classes: Sequence[str]) -> str:
        """Say how much the boxes of each class change, for the user.

        Args:
            classes: The names of the classes.

        Returns:
            A line with the factors of width and height at the mean size of a
            class, those that change most first, and a line with the classes
            that have too few objects, each if there are such classes. Either
            names at most `MAX_NAMED` classes, and counts the others.
        """
        factors = np.exp(self.errors[:, 2:])
        changed = np.abs(self.errors[:, 2:]).max(axis=1)
        order = np.argsort(-changed, kind='stable')
        is_known = self.num_objects >= MIN_OBJECTS
        if not is_known.any():
            return self._describe_unknown(classes)
        known = [n for n in order if is_known[n]]
        parts = [
            f'{classes[n]} {factors[n][0]:.2f} x {factors[n][1]:.2f}'
            for n in known[:MAX_NAMED]
        ]
        more = len(known) - len(parts)
        lines = [
            f'boxes calibrated by {self.num_objects[is_known].sum():,} '
            'objects of the validation images (width x height): '
            f'{", ".join(parts)}{f" and {more} more" * bool(more)}'
        ]
        if not is_known.all():
            lines.append(self._describe_unknown(classes))
        return '\n'.join(lines)

    def _describe_unknown(self, classes: Sequence[str]) -> str:
        """Say which boxes stay as they are, since too few objects show it."""
        few = np.flatnonzero(self.num_objects < MIN_OBJECTS)
        parts = [f'{classes[n]} {self.num_objects[n]}' for n in few]
        more = len(parts) - MAX_NAMED
        return (
            f'boxes not calibrated, since fewer than {MIN_OBJECTS} objects '
            f'were found: {", ".join(parts[:MAX_NAMED])}'
            + (f' and {more} more' if more > 0 else '')
        )


def fit_boxes(
    names: Sequence[str], detections: Detections, truth: dict, source: str
) -> BoxCalibration:
    """Learn a calibration from images with truth.

    Args:
        names: The file names of the m images.
        detections: Those that would be labels; their `image_index` numbers
            the images.
        truth: The COCO object of the images; labels number its categories.
        source: The file of the truth, for messages.

    Returns:
        The calibration of all its categories.

    Raises:
        CocoError: If the truth lacks an image.
    """
    ids = find_images_by_name(names, truth, source)
    numbering = Numbering.of(ids, truth['categories'])
    numbers = np.array([numbering.images[id] for id in ids], int)
    found = DetectionColumns(
        numbers[detections.image_index],
        detections.labels.astype(int),
        detections.bbox_xywh.astype(float),
        detections.scores,
    )
    objects = numbering.collect_objects(truth['annotations'])
    return BoxCalibration.fit(found, objects, len(numbering.labels))


def calibrate_chosen(
    detections: Detections,
    is_chosen: np.ndarray,
    table: pa.Table,
    calibration: BoxCalibration,
) -> Detections:
    """Calibrate the boxes of some detections.

    Args:
        detections: The detections of all rows.
        is_chosen: Shape (number of detections,), bool, which of them; their
            boxes have an area. The others may be most of millions.
        table: The rows of the detection store.
        calibration: The calibration.

    Returns:
        New detections with other boxes where they are chosen, in the same
        order; the other columns are shared.
    """
    sizes = [table[name].to_numpy() for name in ('width', 'height')]
    sizes_wh = np.column_stack(sizes)[detections.image_index[is_chosen]]
    bbox_xywh = detections.bbox_xywh.copy()
    bbox_xywh[is_chosen] = calibration.apply(
        bbox_xywh[is_chosen], detections.labels[is_chosen], sizes_wh
    )
    return replace(detections, bbox_xywh=bbox_xywh)


def pair_boxes(
    found: DetectionColumns, objects: Objects
) -> tuple[np.ndarray, np.ndarray]:
    """Pair each detection with the object that it shows.

    They are of one image and class, overlap by at least `RIGHT_IOU`, and
    neither overlaps any other more.

    Args:
        found: n detections.
        objects: The true objects. Crowds are left out.

    Returns:
        The indices of the detections, ascending, and those of their objects;
        both of shape (number of pairs,), int64. Only if several overlap
        equally may one be in several pairs.
    """
    owners, targets = list_pairs(found, objects)
    overlaps = measure_overlaps(
        found.bbox_xywh[owners],
        objects.bbox_xywh[targets],
        np.zeros(len(owners), bool),
    )
    enough = overlaps >= RIGHT_IOU
    owners, targets, overlaps = (
        column[enough] for column in (owners, targets, overlaps)
    )
    # Both must overlap each other most: then no order matters, and neither has
    # two partners that overlap it differently.
    is_best = np.ones(len(owners), bool)
    for sides in (owners, targets):
        best = np.zeros(sides.max(initial=-1) + 1)
        np.maximum.at(best, sides, overlaps)
        is_best &= overlaps == best[sides]
    return owners[is_best], targets[is_best]


def list_pairs(
    found: DetectionColumns, objects: Objects
) -> tuple[np.ndarray, np.ndarray]:
    """List all pairs of a detection and an object of its image and class.

    Args:
        found: n detections.
        objects: The true objects. Crowds are left out.

    Returns:
        The indices of the detections, ascending, and those of the objects,
        ascending for each detection; both of shape (number of pairs,), int64.
    """
    num_images = 1 + max(
        objects.image_index.max(initial=0), found.image_index.max(initial=0)
    )
    true_keys = objects.labels * num_images + objects.image_index
    # No detection has a negative key, so that crowds have no pair.
    true_keys = np.where(objects.is_crowd, -1, true_keys)
    order = np.argsort(true_keys, kind='stable')
    keys = found.labels * num_images + found.image_index
    starts = np.searchsorted(true_keys[order], keys)
    counts = np.searchsorted(true_keys[order], keys, 'right') - starts
    # Each detection stands once for each object of its key. The places of
    # these in `order` count up from where the objects of the key start.
    owners = np.repeat(np.arange(len(keys)), counts)
    places = np.arange(len(owners)) - np.repeat(
        counts.cumsum() - counts - starts, counts
    )
    return owners, order[places]


def measure_errors(bbox_xywh: np.ndarray, true_xywh: np.ndarray) -> np.ndarray:
    """Measure how boxes differ from the true ones.

    Args:
        bbox_xywh: Shape (n, 4), pixels of the image; every box has an area.
        true_xywh: Shape (n, 4), the true boxes in the same order and frame;
            every one has an area.

    Returns:
        Shape (n, 4), float64: the shift of the center to the true one, x in
        widths and y in heights of the box, and the logarithms of true by found
        width and height; see `BoxCalibration`. 0 where the boxes are equal.
    """
    sides, true_sides = bbox_xywh[:, 2:], true_xywh[:, 2:]
    centers = bbox_xywh[:, :2] + sides / 2
    true_centers = true_xywh[:, :2] + true_sides / 2
    shifts = (true_centers - centers) / sides
    return np.hstack([shifts, np.log(true_sides / sides)])


def fit_class(
    log_sizes: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Learn the calibration of one class.

    Args:
        log_sizes: Shape (n, 2), the logarithms of width and height in pixels.
        errors: Shape (n, 4), see `measure_errors`.

    Returns:
        The fields of `BoxCalibration` from `log_sizes` on, of this class, of
        the shapes (2,), (2, 2), (4,) and (2, 4); all zeros with too few
        objects.
    """
    num_objects = len(errors)
    if num_objects < MIN_OBJECTS:
        return (
            np.zeros(2), np.zeros((2, 2)), np.zeros(4), np.zeros((2, 4))
        )  # fmt: skip
    mean = log_sizes.mean(axis=0)
    ends = np.stack([log_sizes.min(axis=0), log_sizes.max(axis=0)])
    at_mean = errors.sum(axis=0) / (num_objects + NUM_PRIOR)
    offsets = log_sizes - mean
    # Ridge regression, which pulls the slopes towards 0.
    slopes = np.linalg.solve(
        offsets.T @ offsets + NUM_PRIOR * np.eye(2),
        offsets.T @ (errors - at_mean),
    )
    return mean, ends, at_mean, slopes


def check_box_calibration(is_wanted: bool, validation: dict | None) -> None:
    """Check that there is something to calibrate boxes by.

    Args:
        is_wanted: Whether boxes are to be calibrated.
        validation: The detections on the validation images and their truth;
            None if there are none.

    Raises:
        ValueError: If there is not, but it is wanted.
    """
    if is_wanted and not validation:
        raise ValueError(
            'calibrates_boxes needs the detections on the validation '
            'images and their truth, got validation=None'
        )


def refuse_masks(calibrates: bool, has_masks: bool) -> None:
    """Check that boxes of masks are not to be calibrated.

    Args:
        calibrates: Whether boxes are to be calibrated.
        has_masks: Whether the detections have masks.

    Raises:
        ValueError: If they have, and boxes are to be calibrated.
    """
    if calibrates and has_masks:
        raise ValueError(
            'calibrates_boxes concerns boxes alone, but these detections have '
            'masks, whose boxes follow from them: set it to False, or leave '
            'out --calibrate-boxes'
        )
