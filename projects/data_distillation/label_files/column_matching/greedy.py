"""COCO's matching of all images and classes at once, in NumPy.

It gives what `COCOeval.evaluate` gives, which looks at one image and class
after the other in Python: each detection, by descending score, takes the free
object that it overlaps most. Here the best detections of all images and
classes choose first, then all second ones, and so on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...arguments import check_ious
from .mask_ious import measure_mask_overlaps

# About so many pairs of a detection and an object are compared at once.
PAIRS_AT_ONCE = 1_000_000
# pycocotools lowers an IoU of 1 by this, because IoUs are rounded.
ROUNDING = 1e-10


@dataclass(frozen=True)
class Objects:
    """True objects as columns.

    Args:
        image_index: Shape (n,), int64, the number of the image of each object,
            from 0.
        labels: Shape (n,), int64, its class, from 0.
        bbox_xywh: Shape (n, 4), float64, pixels of the image.
        is_crowd: Shape (n,), bool.
        masks: Shape (n,), compressed RLE; None to compare boxes.
    """

    image_index: np.ndarray
    labels: np.ndarray
    bbox_xywh: np.ndarray
    is_crowd: np.ndarray
    masks: np.ndarray | None = None

    def __getitem__(self, chosen: np.ndarray | slice) -> 'Objects':
        """Return the objects that a mask, indices or a slice choose."""
        return Objects(**take_rows(vars(self), chosen))


@dataclass(frozen=True)
class DetectionColumns:
    """Detections as columns.

    Args:
        image_index: Shape (n,), int64, the number of the image of each
            detection, from 0.
        labels: Shape (n,), int64, its class, from 0.
        bbox_xywh: Shape (n, 4), float64, pixels of the image.
        scores: Shape (n,), float32 or float64.
        masks: Shape (n,), compressed RLE; None to compare boxes.
    """

    image_index: np.ndarray
    labels: np.ndarray
    bbox_xywh: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None

    def __getitem__(self, chosen: np.ndarray | slice) -> 'DetectionColumns':
        """Return the detections that a mask, indices or a slice choose."""
        return DetectionColumns(**take_rows(vars(self), chosen))


def take_rows(
    columns: Mapping[str, np.ndarray | None], chosen: np.ndarray | slice
) -> dict[str, Any]:
    """Take rows of columns.

    Args:
        columns: Name -> column, shape (n, ...); None for one that is not
            there.
        chosen: A mask (shape (n,), bool), indices (shape (m,), int) or a
            slice.

    Returns:
        The columns with the chosen rows, in the order of indices; None stays
        None.
    """
    return {
        name: None if column is None else column[chosen]
        for name, column in columns.items()
    }


@dataclass(frozen=True)
class Limits:
    """What COCO does not look at.

    Args:
        max_dets: How many of the best detections of an image and class count;
            None for all.
        max_area: Larger objects, and larger detections that take no object,
            are neither right nor wrong; pixels squared, w * h of the box also
            where masks are compared or COCO has another `area`.
    """

    max_dets: int | None = None
    max_area: float = np.inf

    def exceeds(self, bbox_xywh: np.ndarray) -> np.ndarray:
        """Find the boxes that are larger than `max_area`.

        Args:
            bbox_xywh: Shape (n, 4), pixels.

        Returns:
            Shape (n,), bool, True for those.
        """
        return bbox_xywh[:, 2] * bbox_xywh[:, 3] > self.max_area

    def ignores(self, objects: Objects) -> np.ndarray:
        """Find the objects that need not be found: crowds, and large ones.

        Args:
            objects: n objects.

        Returns:
            Shape (n,), bool, True for those.
        """
        return objects.is_crowd | self.exceeds(objects.bbox_xywh)

    def count(self, objects: Objects, num_classes: int) -> np.ndarray:
        """Count the objects of each class that are to be found.

        Args:
            objects: The objects.
            num_classes: The number of classes; every label is below it.

        Returns:
            Shape (num_classes,), int64, in the order of the labels; 0 for a
            class without such objects.
        """
        to_find = objects.labels[~self.ignores(objects)]
        return np.bincount(to_find, minlength=num_classes)


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Matched:
    """What n detections took at t IoUs.

    Args:
        order: Shape (n,), int64, the indices of these detections among all
            that were given: by class, then by image and then by descending
            score.
        is_matched: Shape (n, t), bool, whether each took an object or a
            region that is ignored.
        is_ignored: Shape (n, t), bool, whether each is neither right nor
            wrong.
        taken: Shape (n,), int32, the index (in the objects as they were given)
            of the object or region that each took at the lowest IoU; -1 for
            none.
    """

    order: np.ndarray
    is_matched: np.ndarray
    is_ignored: np.ndarray
    taken: np.ndarray


def match_columns(
    objects: Objects,
    found: DetectionColumns,
    ious: Sequence[float],
    limits: Limits = NO_LIMITS,
) -> Matched:
    """Match all detections with the objects of their image and class.

    The rules are those of `COCOeval.evaluateImg`. An object that is ignored is
    taken only if no other is left that overlaps enough. Detections may share a
    crowd. Masks are compared if both have them, otherwise boxes.

    Args:
        objects: The objects. Of equal overlaps the later one is taken.
        found: The detections. Of equal scores the earlier one is first.
        ious: The t least IoUs, at least one, each in (0, 1], ascending.
        limits: What does not count.

    Returns:
        The detections that count, by class, then image, then descending score,
        and what each took at each IoU; shape (0,) without detections.

    Raises:
        ValueError: If an IoU is out of range, or below the one before it.
    """
    check_ious(ious)
    num_images = 1 + max(
        objects.image_index.max(initial=0), found.image_index.max(initial=0)
    )
    # One key for each class and image: the groups in which COCO matches.
    true_keys = objects.labels * num_images + objects.image_index
    in_groups = np.argsort(true_keys, kind='stable')
    true_keys, objects = true_keys[in_groups], objects[in_groups]
    keys = found.labels * num_images + found.image_index
    # The last key counts first. It is stable: equal scores keep their order.
    order = np.lexsort((-found.scores, keys))
    ranks = rank_in_groups(keys[order])
    if limits.max_dets is not None:
        order = order[ranks < limits.max_dets]
        ranks = ranks[ranks < limits.max_dets]
    keys = keys[order]
    # The objects of a group are those from `starts` on, `counts` of them.
    starts = np.searchsorted(true_keys, keys)
    counts = np.searchsorted(true_keys, keys, 'right') - starts
    is_matched = np.zeros((len(order), len(ious)), bool)
    # Of one IoU only: this column has 4 bytes, where the others have one.
    first = np.full(len(order), -1, np.int32)
    is_ignored = np.repeat(
        limits.exceeds(found.bbox_xywh[order])[:, None], len(ious), axis=1
    )
    passive = limits.ignores(objects)
    thresholds = np.minimum(ious, 1 - ROUNDING)
    # The others have no object in their group, and take none.
    with_objects = np.flatnonzero(counts)
    for part in split_groups(keys[with_objects], counts[with_objects]):
        chosen = with_objects[part]
        taken = Offers(
            objects, passive, found[order[chosen]], thresholds
        ).take(ranks[chosen], starts[chosen], counts[chosen])
        took = taken >= 0
        is_matched[chosen] = took
        first[chosen] = np.where(took[:, 0], in_groups[taken[:, 0]], -1)
        is_ignored[chosen] = np.where(took, passive[taken], is_ignored[chosen])
    return Matched(order, is_matched, is_ignored, first)


@dataclass(frozen=True)
class Offers:
    """The objects that some detections may take.

    Args:
        objects: All m objects, ordered by class and image.
        passive: Shape (m,), bool, whether each object is ignored.
        found: The n detections. If these and the objects have masks, masks are
            compared, otherwise boxes.
        thresholds: Shape (t,), float64, the least IoUs, ascending.
    """

    objects: Objects
    passive: np.ndarray
    found: DetectionColumns
    thresholds: np.ndarray

    def take(
        self, ranks: np.ndarray, starts: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """Let each detection take an object, those of lower rank first.

        Args:
            ranks: Shape (n,), int, the place of each detection by score in its
                image and class, from 0; no two there have the same.
            starts: Shape (n,), int, the index of the first object in its image
                and class.
            counts: Shape (n,), int, the number of these objects.

        Returns:
            Shape (n, t), int64, the index in `objects` of the object that was
            taken; -1 for none.
        """
        taken = np.full((len(ranks), len(self.thresholds)), -1)
        is_free = np.ones((len(self.passive), len(self.thresholds)), bool)
        owners, targets, overlaps = self._pair(ranks, starts, counts)
        # In round k, the k-th best detection of every group takes its object.
        # Within a round, no two detections want the same one.
        rounds = np.flatnonzero(np.diff(ranks[owners], prepend=-1))
        for start, stop in pairwise([*rounds, len(owners)]):
            owner, target = owners[start:stop], targets[start:stop]
            # (pairs, t); a crowd is never used up.
            fits = is_free[target] | self.objects.is_crowd[target][:, None]
            fits &= overlaps[start:stop, None] >= self.thresholds
            # The pairs of a detection are ordered: the first that fits counts.
            places = np.where(fits, np.arange(len(owner))[:, None], len(owner))
            # Where the pairs of another detection begin.
            firsts = np.flatnonzero(np.diff(owner, prepend=-1))
            best = np.minimum.reduceat(places, firsts, axis=0)
            row, column = np.nonzero(best < len(owner))
            chosen = target[best[row, column]]
            taken[owner[firsts][row], column] = chosen
            is_free[chosen, column] = False
        return taken

    def _pair(
        self, ranks: np.ndarray, starts: np.ndarray, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pair the detections with the objects that they overlap enough.

        Returns:
            The detection, the object and the IoU of each pair: the best
            detections first, and for each the objects that it would rather
            take first.
        """
        # Every detection with every object of its group, one after the other.
        owners = np.repeat(np.arange(len(counts)), counts)
        firsts = counts.cumsum() - counts
        targets = np.arange(len(owners)) + np.repeat(starts - firsts, counts)
        overlaps = self._measure(owners, targets)
        # Below the lowest threshold, a pair fits at none.
        enough = np.flatnonzero(overlaps >= self.thresholds[0])
        owners, targets, overlaps = (
            column[enough] for column in (owners, targets, overlaps)
        )
        # `lexsort` takes the last key first. Of equal overlaps, the later one
        # wins: pycocotools passes over an object only if it is worse.
        preference = (-targets, -overlaps, self.passive[targets])
        order = np.lexsort((*preference, owners, ranks[owners]))
        return owners[order], targets[order], overlaps[order]

    def _measure(self, owners: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Measure overlaps by masks if both have them, otherwise by boxes."""
        true, found = self.objects, self.found
        if true.masks is not None and found.masks is not None:
            return measure_mask_overlaps(
                found.masks, true.masks, owners, targets, true.is_crowd
            )
        return measure_overlaps(
            found.bbox_xywh[owners],
            true.bbox_xywh[targets],
            true.is_crowd[targets],
        )


def measure_overlaps(
    found_xywh: np.ndarray, true_xywh: np.ndarray, is_crowd: np.ndarray
) -> np.ndarray:
    """Measure the overlap of each detection with the object in its row.

    The operations are those of pycocotools, in the same order, so that the
    results are equal to the last bit.

    Args:
        found_xywh: Shape (n, 4), float64, pixels of the image.
        true_xywh: Shape (n, 4), float64, pixels of the image.
        is_crowd: Shape (n,), bool, whether the object is a crowd.

    Returns:
        Shape (n,), float64, the IoU; for a crowd, the share of the detection
        on it. It is 0 for boxes that only touch, and for empty ones.
    """
    found, true = found_xywh.T, true_xywh.T
    width = np.fmin(found[2] + found[0], true[2] + true[0])
    width -= np.fmax(found[0], true[0])
    height = np.fmin(found[3] + found[1], true[3] + true[1])
    height -= np.fmax(found[1], true[1])
    common = width * height
    area = found[2] * found[3]
    whole = np.where(is_crowd, area, area + true[2] * true[3] - common)
    overlaps = np.zeros(len(common))
    # Of boxes apart in both directions, width * height is above 0.
    is_there = (width > 0) & (height > 0)
    return np.divide(common, whole, out=overlaps, where=is_there)


def rank_in_groups(keys: np.ndarray) -> np.ndarray:
    """Number the elements among those with the same key.

    Args:
        keys: Shape (n,), int64, 0 or more, ascending.

    Returns:
        Shape (n,), int64, from 0 in each group, in the order given.
    """
    # No key is -1, so that the first element begins a group.
    firsts = np.flatnonzero(np.diff(keys, prepend=-1))
    sizes = np.diff(firsts, append=len(keys))
    return np.arange(len(keys)) - np.repeat(firsts, sizes)


def split_groups(keys: np.ndarray, counts: np.ndarray) -> Iterator[slice]:
    """Split detections into parts of about `PAIRS_AT_ONCE` pairs.

    Args:
        keys: Shape (n,), int64, the image and class of each detection, 0 or
            more, ascending.
        counts: Shape (n,), int64, the number of pairs that each is in.

    Yields:
        The rows of consecutive parts; none without detections. The detections
        of one image and class stay together, be they in more pairs.
    """
    firsts = np.flatnonzero(np.diff(keys, prepend=-1))
    # Ascending: a part begins at the group where the number goes up.
    part = counts.cumsum()[firsts] // PAIRS_AT_ONCE
    cuts = firsts[np.flatnonzero(np.diff(part, prepend=-1))]
    for start, stop in pairwise([*cuts, len(keys)]):
        yield slice(start, stop)
