"""Which errors does a detector make, and of which kind?

The kinds are those of TIDE (Bolya et al., "TIDE: A General Toolbox for
Identifying Object Detection Errors", ECCV 2020), with its two thresholds. If
several kinds fit a detection, the first counts: duplicate, class, box, both.
A detection at the place of an object thus means that object, whatever else it
touches.

```
detections ──► matched by COCO's rules ──► right
                        │ not matched
                        └──► which object is nearest? ──► class, box, both,
                                                          duplicate, background
objects that neither is near to ─────────────────────────► missed
```
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...label_files.column_matching.greedy import (
    DetectionColumns,
    Objects,
    match_columns,
    measure_overlaps,
)

# From this IoU on, a detection has the place of an object; as in mAP_50.
SAME_PLACE = 0.5
# Below this IoU, a detection has nothing to do with an object; as in TIDE.
NEAR = 0.1
# Of a wrong detection, the number of its kind is its place here.
KINDS = {
    'class': 'the box fits an object, but the class is another',
    'box': 'the class is right, but the box is off (IoU 0.1 to 0.5)',
    'both': 'the box is off, and the class is another',
    'duplicate': 'a better detection has found the object already',
    'background': 'no object is there (IoU below 0.1)',
    'missed': 'an object that no detection finds, not even with a wrong '
    'class or box',
}
CLASS, BOX, BOTH, DUPLICATE, BACKGROUND, MISSED = range(len(KINDS))
# Where small and medium boxes end, in pixels squared, and in words. COCO's mAP
# by size has the same limits.
SIZES = {
    'small': (32**2, 'below 32²'),
    'medium': (96**2, 'below 96²'),
    'large': (np.inf, 'from 96²'),
}
# What is no error. What lies on a crowd is neither right nor wrong.
RIGHT, ON_CROWD = -1, -2


@dataclass(frozen=True)
class Judged:
    """The detections of a model, and what each is.

    Whether a detection is right, and which kind of error it is, depends only
    on the objects and on detections with higher scores. So one judgment serves
    all scores from which on detections are looked at.

    Args:
        objects: The m true objects.
        found: The n detections.
        kinds: Shape (n,), int: `RIGHT`, `ON_CROWD`, or the number of a kind of
            `KINDS`.
        targets: Shape (n,), int, the number of the object that each has found,
            or to which it is nearest; -1 on the background and on a crowd.
    """

    objects: Objects
    found: DetectionColumns
    kinds: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, objects: Objects, found: DetectionColumns) -> 'Judged':
        """Judge detections.

        Args:
            objects: The true objects.
            found: The detections. Of equal scores, the earlier one is first.

        Returns:
            The judgment, in the order of the detections. Of objects that a
            detection overlaps equally, the later one is found, but the first
            is nearest to a wrong detection.
        """
        matched = match_columns(objects, found, [SAME_PLACE])
        kinds = np.full(len(found.labels), BACKGROUND)
        targets = np.full(len(found.labels), -1)
        targets[matched.order] = matched.taken
        kinds[targets >= 0] = RIGHT
        on_crowd = matched.order[matched.is_ignored[:, 0]]
        kinds[on_crowd], targets[on_crowd] = ON_CROWD, -1
        wrong = np.flatnonzero(kinds == BACKGROUND)
        to_find = np.flatnonzero(~objects.is_crowd)
        for mine, true in pair_images(
            found.image_index[wrong], objects.image_index[to_find]
        ):
            chosen, near = wrong[mine], to_find[true]
            kinds[chosen], nearest = judge_wrong(objects[near], found[chosen])
            # Where `nearest` is -1, `near[-1]` is computed but not used.
            targets[chosen] = np.where(nearest >= 0, near[nearest], -1)
        return cls(objects, found, kinds, targets)

    def find_shown(self, min_score: float) -> np.ndarray:
        """Find the detections from a score on.

        Args:
            min_score: The least score, compared as float32.

        Returns:
            Shape (n,), bool; an equal score is enough.
        """
        return self.found.scores.astype(np.float32) >= np.float32(min_score)

    def find_missed(self, is_shown: np.ndarray) -> np.ndarray:
        """Find the objects that are missed.

        Args:
            is_shown: Shape (n,), bool, the detections that count.

        Returns:
            Shape (m,), bool: whether nothing has found the object, and no
            error of class or box is nearest to it. Crowds need not be found.
        """
        points = is_shown & np.isin(self.kinds, (RIGHT, CLASS, BOX))
        is_missed = ~self.objects.is_crowd
        is_missed[self.targets[points]] = False
        return is_missed

    def count_errors(
        self,
        is_shown: np.ndarray,
        groups: np.ndarray,
        groups_of_objects: np.ndarray,
        num_groups: int,
    ) -> np.ndarray:
        """Count the errors of each kind, in groups.

        Args:
            is_shown: Shape (n,), bool, the detections that count.
            groups: Shape (n,), int, the group of each detection.
            groups_of_objects: Shape (m,), int, the group of each object, in
                which it is counted if it is missed.
            num_groups: The number of groups, g.

        Returns:
            Shape (g, number of `KINDS`), int.
        """
        counts = np.zeros((num_groups, len(KINDS)), int)
        wrong = is_shown & (self.kinds >= 0)
        np.add.at(counts, (groups[wrong], self.kinds[wrong]), 1)
        missed = groups_of_objects[self.find_missed(is_shown)]
        np.add.at(counts, (missed, MISSED), 1)
        return counts

    def find_sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Find the sizes by which detections and objects are counted.

        Returns:
            The places in `SIZES` of the detections, shape (n,), and of the
            objects, shape (m,), int. A detection has the size of the object
            that it has found or to which it is nearest; without one, its own.
        """
        own = find_sizes(self.found.bbox_xywh)
        of_objects = find_sizes(self.objects.bbox_xywh)
        has_target = self.targets >= 0
        own[has_target] = of_objects[self.targets[has_target]]
        return own, of_objects

    def count_from(self, min_scores: np.ndarray) -> np.ndarray:
        """Count the right and all detections from each of some scores on.

        Args:
            min_scores: Shape (k,), the scores, compared as float32.

        Returns:
            Shape (k, 2), int: the right ones, and all but those on crowds.
        """
        scores = self.found.scores.astype(np.float32)
        columns = [
            np.sort(scores[chosen])
            for chosen in (self.kinds == RIGHT, self.kinds != ON_CROWD)
        ]
        lowest = np.asarray(min_scores, np.float32)
        # Sorted once, each count is a binary search.
        return np.stack(
            [len(one) - np.searchsorted(one, lowest) for one in columns], 1
        )

    def choose_min_score(self, min_scores: np.ndarray) -> float:
        """Choose the score from which on the detections have the best F1.

        Args:
            min_scores: Shape (k,), the scores to choose from, ascending; at
                least one.

        Returns:
            One of them; of equally good ones, the highest.
        """
        right, found = self.count_from(min_scores).T
        num_objects = np.count_nonzero(~self.objects.is_crowd)
        f1 = 2 * right / np.maximum(found + num_objects, 1)
        return float(min_scores[np.flatnonzero(f1 == f1.max())[-1]])

    def confuse(self, is_shown: np.ndarray, num_classes: int) -> np.ndarray:
        """Count which classes are taken for which.

        First, the right detections have their objects. Each error of class
        then takes the object to which it is nearest, if that is still free;
        the highest score chooses first. All other detections have the
        background, and so have the objects that are left.

        Args:
            is_shown: Shape (n,), bool, the detections that count.
            num_classes: The number of classes, c.

        Returns:
            Shape (c + 1, c + 1), int: rows are true classes, columns those of
            the detections, and the last of both is the background. The sum of
            the row of a class is its number of objects without crowds, that of
            its column the number of its detections that count and lie on no
            crowd.
        """
        counts = np.zeros((num_classes + 1, num_classes + 1), int)
        true_labels = np.where(self.objects.is_crowd, -1, self.objects.labels)
        is_free = ~self.objects.is_crowd
        order = np.argsort(-self.found.scores, kind='stable')
        order = order[is_shown[order] & (self.kinds[order] != ON_CROWD)]
        # False sorts before True, so the right ones are first.
        order = order[np.argsort(self.kinds[order] != RIGHT, kind='stable')]
        # One after another, since each may take an object away.
        for one in order:
            row, target = num_classes, self.targets[one]
            if self.kinds[one] in (RIGHT, CLASS) and is_free[target]:
                row, is_free[target] = true_labels[target], False
            counts[row, self.found.labels[one]] += 1
        np.add.at(counts, (true_labels[is_free], num_classes), 1)
        return counts


def pair_images(
    found: np.ndarray, true: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find the images that have both detections and objects.

    Args:
        found: Shape (n,), int, the image of each detection.
        true: Shape (m,), int, the image of each object.

    Yields:
        For each image, ascending, the indices of its detections and those of
        its objects, two arrays of int in ascending order.
    """
    images = np.intersect1d(found, true)
    parts = []
    for column in (found, true):
        # Sorted, the detections or objects of an image are a slice.
        order = np.argsort(column, kind='stable')
        starts = np.searchsorted(column[order], images)
        stops = np.searchsorted(column[order], images, 'right')
        places = zip(starts, stops, strict=True)
        parts.append([order[start:stop] for start, stop in places])
    yield from zip(*parts, strict=True)


def judge_wrong(
    objects: Objects, found: DetectionColumns
) -> tuple[np.ndarray, np.ndarray]:
    """Judge the wrong detections of an image.

    Args:
        objects: The m objects of the image, at least one.
        found: The n detections that are not right, at least one.

    Returns:
        The number of the kind of each, and that of the object to which it is
        nearest, -1 for the background; both of shape (n,), int. Of objects
        that are equally near, it is the first.
    """
    num_found, num_objects = len(found.labels), len(objects.labels)
    overlaps = measure_overlaps(
        # Each detection with all objects, then the next: row by row.
        np.repeat(found.bbox_xywh, num_objects, axis=0),
        np.tile(objects.bbox_xywh, (num_found, 1)),
        np.zeros(num_found * num_objects, bool),
    ).reshape(num_found, num_objects)
    is_same = found.labels[:, None] == objects.labels
    nearest, ious = [], []
    for allowed in (is_same, ~is_same):
        # -1 is below any threshold, for a detection without such an object.
        theirs = np.where(allowed, overlaps, -1)
        nearest.append(theirs.argmax(axis=1))
        ious.append(theirs.max(axis=1))
    same, other = ious
    # An object of the class that overlaps so much and was not taken by this
    # detection was taken by a better one.
    fits = [
        same >= SAME_PLACE,
        other >= SAME_PLACE,
        same >= NEAR,
        other >= NEAR,
    ]
    # `select` takes the first that fits.
    kinds = np.select(fits, [DUPLICATE, CLASS, BOX, BOTH], BACKGROUND)
    targets = np.select(fits, [nearest[0], nearest[1]] * 2, -1)
    return kinds, targets


def find_sizes(bbox_xywh: np.ndarray) -> np.ndarray:
    """Find the sizes of boxes.

    Args:
        bbox_xywh: Shape (n, 4), pixels.

    Returns:
        Shape (n,), int, the place of each in `SIZES`.
    """
    ends = [end for end, _ in SIZES.values()]
    areas = bbox_xywh[:, 2] * bbox_xywh[:, 3]
    # An area of exactly 32² is medium, as `SIZES` says.
    return np.searchsorted(ends, areas, 'right')


def group_rare(
    counts: np.ndarray, num_named: int
) -> tuple[np.ndarray, list[int]]:
    """Join the classes of a confusion matrix that are seldom confused.

    Args:
        counts: Shape (c + 1, c + 1), the matrix with the background, see
            `Judged.confuse`.
        num_named: The number of classes that are kept, k.

    Returns:
        The matrix, and the classes that are kept, ascending: those that are
        confused with others most often, of equal ones the first. If there are
        more than k classes, all others together follow them, then the
        background, and the shape is (k + 2, k + 2). Otherwise it is the same
        matrix.
    """
    num_classes = len(counts) - 1
    if num_classes <= num_named:
        return counts, list(range(num_classes))
    wrong = counts[:-1, :-1] * (1 - np.eye(num_classes, dtype=int))
    confused = wrong.sum(axis=0) + wrong.sum(axis=1)
    named = np.sort(np.argsort(-confused, kind='stable')[:num_named])
    place = np.full(num_classes + 1, num_named)
    place[named] = np.arange(num_named)
    place[-1] = num_named + 1
    joined = np.zeros((num_named + 2, num_named + 2), int)
    np.add.at(joined, (place[:, None], place[None]), counts)
    return joined, named.tolist()
