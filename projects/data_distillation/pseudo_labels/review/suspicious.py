"""Which labels look wrong to a detector that was not trained on them?

```
detections ──► chance to be right ─┐
labels ────────────────────────────┴─► for each image: what disagrees, and why
```
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .signals import SAME_PLACE, compute_pairwise_ious_xywh

# From this overlap on, a detection may mean the object of a label whose box is
# off.
NEAR = 0.1
# The share of labels that is taken to be wrong before anything is looked at.
SHARE_WRONG = 0.05
# A detection that no label confirms is less likely right than it was on
# average: its odds count this much less. Chosen on splits of which the results
# are not reported.
ODDS_UNCONFIRMED = 0.3
KINDS = {
    'missing': 'an object without a label',
    'class': 'another class',
    'box': 'a box that is off',
    'extra': 'a label without an object',
}


@dataclass(frozen=True)
class Suspicion:
    """Something about the labels of an image that looks wrong.

    Args:
        image: The number of the image.
        kind: One of `KINDS`.
        chance: How likely it is wrong, 0 to 1. All kinds are ranked together
            by it.
        label: The number of the label; None if there is none.
        detection: The number of the detection that says otherwise; None if
            there is none.
    """

    image: int
    kind: str
    chance: float
    label: int | None
    detection: int | None


@dataclass(frozen=True)
class BoxColumns:
    """Labels or detections as columns, ordered by image.

    Args:
        image_index: Shape (n,), int, the number of the image of each,
            ascending.
        bbox_xywh: Shape (n, 4), pixels.
        labels: Shape (n,), int, the classes.
        chances: Shape (n,), how likely each is right; detections only.
    """

    image_index: np.ndarray
    bbox_xywh: np.ndarray
    labels: np.ndarray
    chances: np.ndarray

    def find_on_image(self, image: int) -> np.ndarray:
        """Find those on an image.

        Args:
            image: The number of the image.

        Returns:
            Their numbers, shape (k,), ascending; k may be 0.
        """
        bounds = np.searchsorted(self.image_index, [image, image + 1])
        return np.arange(*bounds)


@dataclass(frozen=True)
class Supports:
    """What supports each of n labels.

    Args:
        detection: Shape (n,), the number of the detection of its class that
            fits it best; -1 if none does.
        chance: Shape (n,), its chance to be right; 0 if there is none.
        iou: Shape (n,), their IoU; 0 if there is none.
    """

    detection: np.ndarray
    chance: np.ndarray
    iou: np.ndarray


def find_suspicions(
    labels: BoxColumns, found: BoxColumns, num_images: int
) -> list[Suspicion]:
    """Rank what looks wrong in labels.

    Args:
        labels: The labels.
        found: The detections, by descending score within an image.
        num_images: The number of images.

    Returns:
        The suspicions, the most likely first: at most one for each label (of
        equal ones the kind `box`, then `extra`), and one for each detection of
        an object without a label.
    """
    supports, is_taken = support_labels(labels, found, num_images)
    suspicions = [
        *judge_boxes(labels, supports),
        *judge_extra_labels(labels, found, num_images),
        *judge_detections(labels, found, supports, is_taken, num_images),
    ]
    return keep_best(suspicions)


def support_labels(
    labels: BoxColumns, found: BoxColumns, num_images: int
) -> tuple[Supports, np.ndarray]:
    """Let each detection support the free label that it overlaps most.

    Both are of one class, and their IoU is at least `SAME_PLACE`. In an image,
    the first detection chooses first; of equal overlaps it takes the first
    label.

    Args:
        labels: The labels.
        found: The detections, by descending score within an image.
        num_images: The number of images.

    Returns:
        The supports, and whether each detection supports a label, shape
        (number of detections,), bool.
    """
    detection = np.full(len(labels.labels), -1)
    chance, iou = np.zeros((2, len(labels.labels)))
    is_taken = np.zeros(len(found.labels), bool)
    for image in range(num_images):
        mine, theirs = labels.find_on_image(image), found.find_on_image(image)
        ious = compute_pairwise_ious_xywh(
            found.bbox_xywh[theirs], labels.bbox_xywh[mine]
        )
        # (detections, labels): 0 where the classes differ.
        ious *= found.labels[theirs][:, None] == labels.labels[mine]
        for row, number in enumerate(theirs):
            free = np.where(detection[mine] < 0, ious[row], 0)
            # An image may have no label: `max` of nothing is 0.
            if free.max(initial=0) >= SAME_PLACE:
                label = mine[free.argmax()]
                detection[label], is_taken[number] = number, True
                chance[label] = found.chances[number]
                iou[label] = free.max()
    return Supports(detection, chance, iou), is_taken


def judge_boxes(labels: BoxColumns, supports: Supports) -> Iterator[Suspicion]:
    """Suspect boxes that fit their detections less than those of others.

    Of the labels, `SHARE_WRONG` are taken to have a box that is off. So the
    label with the worst fit of 100 is far more suspicious than the tenth.

    Args:
        labels: The labels.
        supports: What supports each label.

    Yields:
        A suspicion for each label that a detection supports.
    """
    supported = np.flatnonzero(supports.detection >= 0)
    worse = measure_share_not_higher(
        supports.iou[supported], labels.labels[supported]
    )
    chances = weigh_shares(worse) * supports.chance[supported]
    for label, chance in zip(supported.tolist(), chances, strict=True):
        detection = int(supports.detection[label])
        image = int(labels.image_index[label])
        yield Suspicion(image, 'box', float(chance), label, detection)


def judge_extra_labels(
    labels: BoxColumns, found: BoxColumns, num_images: int
) -> Iterator[Suspicion]:
    """Suspect labels where the detector finds least.

    What it finds is the highest chance of a detection, of any class, whose IoU
    with the label is at least `SAME_PLACE`.

    Args:
        labels: The labels.
        found: The detections, with their chances.
        num_images: The number of images.

    Yields:
        A suspicion for each label, in their order.
    """
    best = np.zeros(len(labels.labels))
    for image in range(num_images):
        mine, theirs = labels.find_on_image(image), found.find_on_image(image)
        ious = compute_pairwise_ious_xywh(
            labels.bbox_xywh[mine], found.bbox_xywh[theirs]
        )
        there = np.where(ious >= SAME_PLACE, found.chances[theirs], 0)
        best[mine] = there.max(axis=1, initial=0)
    chances = weigh_shares(measure_share_not_higher(best, labels.labels)) * (
        1 - best
    )
    for label, chance in enumerate(chances):
        image = int(labels.image_index[label])
        yield Suspicion(image, 'extra', float(chance), label, None)


def judge_detections(
    labels: BoxColumns,
    found: BoxColumns,
    supports: Supports,
    is_taken: np.ndarray,
    num_images: int,
) -> Iterator[Suspicion]:
    """Suspect that detections without a label are right.

    A detection on a label of another class speaks against the class of the
    label, as far as nothing supports that class. One that is near a label of
    its class, and likelier right than what supports the label, speaks against
    the box. Any other is an object without a label.

    Args:
        labels: The labels.
        found: The detections, with their chances.
        supports: What supports each label.
        is_taken: Shape (number of detections,), bool, whether each supports a
            label.
        num_images: The number of images.

    Yields:
        A suspicion for each detection that supports no label, image by image.
    """
    for image in range(num_images):
        mine, theirs = labels.find_on_image(image), found.find_on_image(image)
        ious = compute_pairwise_ious_xywh(
            found.bbox_xywh[theirs], labels.bbox_xywh[mine]
        )
        for row, number in enumerate(theirs.tolist()):
            if is_taken[number]:
                continue
            same = labels.labels[mine] == found.labels[number]
            chance = float(found.chances[number])
            others = np.where(same, 0, ious[row])
            near = np.where(same, ious[row], 0)
            kind, label = 'missing', None
            if others.max(initial=0) >= SAME_PLACE:
                kind, label = 'class', int(mine[others.argmax()])
            elif near.max(initial=0) >= NEAR:
                best = int(mine[near.argmax()])
                # A label that a surer detection supports is right as it is.
                if supports.chance[best] < chance:
                    kind, label = 'box', best
            if label is None:
                chance = reduce_odds(chance)
            else:
                chance *= 1 - float(supports.chance[label])
            yield Suspicion(image, kind, chance, label, number)


def measure_share_not_higher(
    values: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Return the share of the values of each group that are not higher.

    Args:
        values: Shape (n,).
        groups: Shape (n,), the group of each value.

    Returns:
        Shape (n,), above 0 and up to 1; the share counts the value itself.
    """
    shares = np.ones(len(values))
    for group in np.unique(groups):
        mine = groups == group
        ordered = np.sort(values[mine])
        ranks = np.searchsorted(ordered, values[mine], 'right')
        shares[mine] = ranks / len(ordered)
    return shares


def weigh_shares(shares: np.ndarray) -> np.ndarray:
    """Compute how likely a label is wrong, if only a share looks so bad.

    Args:
        shares: Shape (n,), from 0 to 1, the share that looks worse.

    Returns:
        Shape (n,), from `SHARE_WRONG` to 1.
    """
    # Bayes: all wrong labels look so bad, of the right ones only a share.
    return SHARE_WRONG / (SHARE_WRONG + (1 - SHARE_WRONG) * shares)


def reduce_odds(chance: float) -> float:
    """Lower a chance to `ODDS_UNCONFIRMED` times the odds.

    Args:
        chance: The chance, from 0 to 1.

    Returns:
        The lower chance.
    """
    odds = ODDS_UNCONFIRMED * chance
    # This does not divide by 1 - chance, which may be 0.
    return odds / (odds + 1 - chance)


def keep_best(suspicions: Sequence[Suspicion]) -> list[Suspicion]:
    """Keep the most likely suspicion of each label.

    Args:
        suspicions: The suspicions, in any order.

    Returns:
        By descending chance; ties keep their order. Those of no label all
        stay.
    """
    kept, seen = [], set()
    for one in sorted(suspicions, key=lambda s: -s.chance):
        if one.label is None or one.label not in seen:
            kept.append(one)
            seen.add(one.label)
    return kept
