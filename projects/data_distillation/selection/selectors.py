"""Selectors: the score from which a detection becomes a pseudo label.

A selector gives one `min_score` per class; a detection is selected if its
score is at least the `min_score` of its class.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from mmdet.registry import TASK_UTILS

from ..arguments import check_score
from ..coco.matching import ClassMatches
from ..coco.reading import count_instances


@dataclass(frozen=True)
class LabeledCounts:
    """What the labeled file holds.

    Args:
        num_images: Its images, also those without instances.
        num_instances: Shape (number of classes,), its instances per class.
        classes: The names of the classes.
    """

    num_images: int
    num_instances: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(cls, coco: dict) -> 'LabeledCounts':
        """Count a labeled file, crowds left out.

        Args:
            coco: Its content, with images, annotations and categories.
        """
        categories = coco['categories']
        return cls(
            len(coco['images']),
            count_instances(coco['annotations'], categories),
            tuple(category['name'] for category in categories),
        )


@dataclass(frozen=True)
class Candidates:
    """The detections that may become pseudo labels.

    Args:
        scores: Shape (n,), float32, in [0, 1].
        labels: Shape (n,), the class of each.
        num_images: How many unlabeled images were read.
    """

    scores: np.ndarray
    labels: np.ndarray
    num_images: int

    def by_class(self, num_classes: int) -> list[np.ndarray]:
        """Return the scores of each class."""
        in_order = self.scores[np.argsort(self.labels, kind='stable')]
        counts = np.bincount(self.labels, minlength=num_classes)
        return np.split(in_order, np.cumsum(counts)[:-1])


class Selector(Protocol):
    """Chooses `min_score` from all detections of the unlabeled images."""

    def choose(
        self,
        found: Candidates,
        labeled: LabeledCounts,
        validation: Sequence[ClassMatches] | None = None,
    ) -> np.ndarray:
        """Choose the `min_score` of each class.

        Args:
            found: The detections to choose from.
            labeled: The counts of the labeled file.
            validation: Of each class, the detections of labeled validation
                images beside their truth; None if there are none.

        Returns:
            Shape (number of classes,), float32; infinite for a class of which
            nothing shall be selected.
        """
        ...


@TASK_UTILS.register_module()
class MatchedSelector:
    """As many pseudo instances per image as the labeled set has.

    For k wanted instances `min_score` is the k-th highest score: exactly k
    are selected, more only if others have that same score. If there are fewer
    than k detections, or the k-th is below `floor`, it is `floor`; if it is
    above `ceiling`, `ceiling`. For k = 0 it is infinite, and nothing is
    selected. k is rounded half to even.

    Args:
        per_class: Match the instances of every class on its own; else those
            of all classes together, with one `min_score` for all.
        floor: The lowest score that may become a label, in [0, 1].
        ceiling: The score from which a detection is a label, though more than
            k have it, in [floor, 1]. 1: no such score.
        smoothing: How many labeled instances the rate of all classes is worth
            beside a class's own, see `smoothed`. 0: nothing. For classes of
            which few instances are labeled.

    Raises:
        ValueError: If an argument is out of range, or `smoothing` comes
            without `per_class`.

    Source:
        Paper, section 4, selecting predictions: "the average number of
        annotated instances per unlabeled image" is made equal to that per
        labeled image. It leaves open whether per class; re-implementations
        match per class, and look for scores from 0.1.
    """

    def __init__(
        self,
        per_class: bool = True,
        floor: float = 0.1,
        ceiling: float = 1.0,
        smoothing: float = 0.0,
    ) -> None:
        check_score('floor', floor)
        check_score('ceiling', ceiling)
        if floor > ceiling:
            raise ValueError(
                f'floor must not be above ceiling, got {floor} and {ceiling}'
            )
        if not smoothing >= 0 or (smoothing and not per_class):
            raise ValueError(
                'smoothing must be at least 0, and 0 without per_class, got '
                f'smoothing={smoothing}, per_class={per_class}'
            )
        self.per_class = per_class
        self.floor, self.ceiling = np.float32(floor), np.float32(ceiling)
        self.smoothing = smoothing

    def choose(
        self,
        found: Candidates,
        labeled: LabeledCounts,
        validation: Sequence[ClassMatches] | None = None,
    ) -> np.ndarray:
        """Choose the `min_score` of each class, see `Selector.choose`."""
        num_classes = len(labeled.num_instances)
        per_image = found.num_images / labeled.num_images
        wanted = labeled.num_instances * per_image
        if not self.per_class:
            one = self._choose_one(found.scores, wanted.sum())
            return np.full(num_classes, one, np.float32)
        by_class = found.by_class(num_classes)
        if self.smoothing:
            usable = [(scores >= self.floor).sum() for scores in by_class]
            wanted = per_image * smoothed(
                labeled.num_instances,
                np.array(usable) / per_image,
                self.smoothing,
            )
        return np.array(
            list(map(self._choose_one, by_class, wanted)), np.float32
        )

    def _choose_one(self, scores: np.ndarray, wanted: float) -> float:
        k = round(wanted)
        if k == 0:
            return math.inf
        if k > len(scores):
            return float(self.floor)
        kth_highest = np.partition(scores, len(scores) - k)[len(scores) - k]
        return float(min(max(kth_highest, self.floor), self.ceiling))


def smoothed(
    num_instances: np.ndarray, num_found: np.ndarray, strength: float
) -> np.ndarray:
    """Draw the counts of rarely labeled classes to the rate of all classes.

    The rate of a class is its labeled instances over its detections. A count
    is taken as Poisson with that rate, whose prior, a gamma distribution, has
    the rate of all classes together as its mean and weighs as much as
    `strength` instances. The result is the posterior mean: the count itself
    where it is much larger than `strength`.

    Args:
        num_instances: Shape (c,), labeled instances.
        num_found: Shape (c,), detections on as many images.
        strength: Above 0.

    Returns:
        Shape (c,), float64; of a class without detections its own count.
    """
    total = num_instances.sum()
    if not total or not num_found.sum():
        return num_instances.astype(float)
    prior = strength * num_found.sum() / total
    posterior = num_found * (num_instances + strength) / (num_found + prior)
    return np.where(num_found > 0, posterior, num_instances)


@TASK_UTILS.register_module()
class FixedSelector:
    """Given scores, whatever was found.

    Args:
        min_score: One for all classes, or one for each by its name; in
            [0, 1]. None for a class of which nothing shall be selected.

    Raises:
        ValueError: If one is out of range.
    """

    def __init__(self, min_score: float | Mapping[str, float | None]) -> None:
        if not isinstance(min_score, Mapping):
            check_score('min_score', min_score)
        else:
            for name, score in min_score.items():
                if score is not None:
                    check_score(f'min_score {name}', score)
        self.min_score = min_score

    def choose(
        self,
        found: Candidates,
        labeled: LabeledCounts,
        validation: Sequence[ClassMatches] | None = None,
    ) -> np.ndarray:
        """Return the given scores, see `Selector.choose`.

        Raises:
            ValueError: If the names given are not those of the classes.
        """
        classes = labeled.classes
        if not isinstance(self.min_score, Mapping):
            return np.full(len(classes), self.min_score, np.float32)
        differing = sorted(self.min_score.keys() ^ set(classes))
        if differing:
            raise ValueError(
                f'min_score must name each class of {list(classes)}, got '
                f'{list(self.min_score)}: missing or unknown are {differing}'
            )
        scores = (self.min_score[name] for name in classes)
        return np.array(
            [math.inf if score is None else score for score in scores],
            np.float32,
        )


@TASK_UTILS.register_module()
class PrecisionSelector:
    """The lowest score from which labels are as precise as wanted.

    Per class, judged by labeled validation images that went through the same
    views and merger: of their detections with at least that score, `target`
    are right. If no score reaches it, it is infinite, and the class gets no
    label. A class with few validation instances has a poor estimate.

    Args:
        target: The share of labels that shall be right, in (0, 1].
        floor: The lowest score that may become a label, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, target: float, floor: float = 0.0) -> None:
        check_score('floor', floor)
        if not 0 < target <= 1:
            raise ValueError(
                f'target must be above 0 and at most 1, got {target}'
            )
        self.target, self.floor = target, np.float32(floor)

    def choose(
        self,
        found: Candidates,
        labeled: LabeledCounts,
        validation: Sequence[ClassMatches] | None = None,
    ) -> np.ndarray:
        """Choose the `min_score` of each class, see `Selector.choose`.

        Raises:
            ValueError: If there is no validation.
        """
        if validation is None:
            raise ValueError(
                'selection by precision needs the detections of labeled '
                'validation images and their truth (docs/selection.md), got '
                'none'
            )
        return np.array(list(map(self._choose_one, validation)), np.float32)

    def _choose_one(self, matches: ClassMatches) -> float:
        scores = matches.scores
        num_found = np.arange(1, len(scores) + 1)
        # Equal scores are selected together.
        is_last_of_score = np.append(scores[1:] < scores[:-1], True)
        # A hair less, since 0.55 * 100 comes out above 55.
        wanted = self.target * num_found - 1e-9
        is_enough = np.cumsum(matches.is_right) >= wanted
        is_allowed = is_last_of_score[: len(scores)] & (scores >= self.floor)
        ends = np.flatnonzero(is_enough & is_allowed)
        return scores[ends[-1]] if len(ends) else math.inf
