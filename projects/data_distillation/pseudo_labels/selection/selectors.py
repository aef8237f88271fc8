"""Selectors: the lowest score of a pseudo label, class by class.

A selector chooses one `min_score` for each class. A detection is selected if
its score is at least the `min_score` of its class.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from mmdet.registry import TASK_UTILS

from ...arguments import check_score
from ...label_files.coco.matching import ClassMatches
from .labeled_counts import LabeledCounts


@dataclass(frozen=True)
class Candidates:
    """The n detections that may become pseudo labels.

    Args:
        scores: The scores, shape (n,), float32, in [0, 1].
        labels: The class of each detection, shape (n,).
        num_images: The number of unlabeled images that were read.
    """

    scores: np.ndarray
    labels: np.ndarray
    num_images: int

    def by_class(self, num_classes: int) -> list[np.ndarray]:
        """Divide the scores by class.

        Args:
            num_classes: The number of classes; every label is below it.

        Returns:
            For each class its scores, shape (number of them,), float32, in
            their order; empty for a class without any.
        """
        in_order = self.scores[np.argsort(self.labels, kind='stable')]
        counts = np.bincount(self.labels, minlength=num_classes)
        return np.split(in_order, np.cumsum(counts)[:-1])


class Selector(Protocol):
    """Chooses the lowest score of a pseudo label of each class."""

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
            validation: The detections of each class on labeled validation
                images, matched with their truth; None if there are none.

        Returns:
            The `min_score` of each class, shape (number of classes,),
            float32; infinite for a class of which nothing shall be selected.

        Raises:
            ValueError: If the selector lacks something that it needs.
        """
        ...


@TASK_UTILS.register_module()
class MatchedSelector:
    """Selects as many instances per image as the labeled set has.

    If k instances are wanted, `min_score` is the k-th highest score, but at
    least `floor` and at most `ceiling`; with fewer than k detections, it is
    `floor`. So k detections are selected, or more if others have the same
    score; fewer where `floor` binds, and more where `ceiling` does. If k is 0,
    `min_score` is infinite, and nothing is selected. k is rounded half to
    even.

    Args:
        per_class: Whether to match the instances of each class on its own. If
            False, those of all classes together are matched, with one
            `min_score` for all classes.
        floor: The lowest score that a label may have, in [0, 1].
        ceiling: A score that is enough for a label even if more than k
            detections have it, unless k is 0; in [floor, 1]. 1 has no effect.
        smoothing: The weight of the rate of all classes, in labeled instances
            of the class, at least 0; see `smooth_counts`. It helps classes of
            which few instances are labeled. 0 leaves the counts as they are.

    Raises:
        ValueError: If an argument is out of range, or `smoothing` is given
            without `per_class`.

    Source:
        Paper, section 4, selecting predictions: "the average number of
        annotated instances per unlabeled image" is made equal to that per
        labeled image. As far as known, the paper leaves open whether this is
        done per class. Re-implementations match per class, and try scores of
        at least 0.1.
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
                f'floor must be at most ceiling, got floor={floor}, '
                f'ceiling={ceiling}'
            )
        if not smoothing >= 0 or (smoothing and not per_class):
            raise ValueError(
                'smoothing must be at least 0, and it must be 0 without '
                f'per_class, got smoothing={smoothing}, per_class={per_class}'
            )
        self.per_class = per_class
        # Like the scores: 0.1 as a float32 is another number than as a
        # float64.
        self.floor, self.ceiling = np.float32(floor), np.float32(ceiling)
        self.smoothing = smoothing

    def choose(
        self,
        found: Candidates,
        labeled: LabeledCounts,
        validation: Sequence[ClassMatches] | None = None,
    ) -> np.ndarray:
        """Choose the `min_score` of each class, as `Selector.choose` says.

        Args:
            found: The detections to choose from.
            labeled: The counts of the labeled file.
            validation: It is not used.

        Returns:
            Shape (number of classes,), float32; infinite where nothing is
            wanted.

        Raises:
            ValueError: If there is no labeled image.
        """
        if not labeled.num_images:
            raise ValueError(
                'MatchedSelector selects as many as are labeled, but there is '
                'no labeled image: use CountSelector (--method count) or '
                'FixedSelector (--method fixed)'
            )
        num_classes = len(labeled.num_instances)
        per_image = found.num_images / labeled.num_images
        wanted = labeled.num_instances * per_image
        if not self.per_class:
            one = self._choose_one(found.scores, wanted.sum())
            return np.full(num_classes, one, np.float32)
        by_class = found.by_class(num_classes)
        # Without an image, nothing is wanted, and there is no rate.
        if self.smoothing and per_image:
            usable = [(scores >= self.floor).sum() for scores in by_class]
            wanted = per_image * smooth_counts(
                labeled.num_instances,
                np.array(usable) / per_image,  # on as many images
                self.smoothing,
            )
        return np.array(
            list(map(self._choose_one, by_class, wanted)), np.float32
        )

    def _choose_one(self, scores: np.ndarray, wanted: float) -> float:
        # The k-th highest score by partition: a file can have 10 million
        # detections, and nothing else needs them sorted.
        k = round(wanted)
        if k == 0:
            return math.inf
        if k > len(scores):
            return float(self.floor)
        kth_highest = np.partition(scores, len(scores) - k)[len(scores) - k]
        return float(min(max(kth_highest, self.floor), self.ceiling))


def smooth_counts(
    num_instances: np.ndarray, num_found: np.ndarray, strength: float
) -> np.ndarray:
    """Pull the counts of rarely labeled classes towards the common rate.

    The rate of a class is the number of its labeled instances divided by the
    number of its detections. Each count is modeled as a Poisson variable with
    this rate. The prior of the rate is a gamma distribution whose mean is the
    rate of all classes together and whose weight is `strength` instances. The
    result is the mean of the posterior. It is close to the count itself if
    that is much larger than `strength`.

    Args:
        num_instances: The labeled instances of each class, shape (c,).
        num_found: The detections of each class, scaled to as many images,
            shape (c,).
        strength: The weight of the prior, in instances, above 0.

    Returns:
        The smoothed counts, shape (c,), float64. A class without detections
        keeps its count. All counts stay if there is no detection or no
        instance at all.
    """
    total = num_instances.sum()
    if not total or not num_found.sum():
        return num_instances.astype(float)
    # Gamma-Poisson: `strength` more instances are added at the common rate of
    # instances per detection.
    prior = strength * num_found.sum() / total
    posterior = num_found * (num_instances + strength) / (num_found + prior)
    return np.where(num_found > 0, posterior, num_instances)


@TASK_UTILS.register_module()
class FixedSelector:
    """Selects with given scores, whatever was found.

    Args:
        min_score: One score for all classes, or class name -> score, in
            [0, 1]. None for a class of which nothing shall be selected.

    Raises:
        ValueError: If a score is out of range.
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
        """Return the given scores, as `Selector.choose` says.

        Args:
            found: It is not used.
            labeled: The counts of the labeled file, for the names of the
                classes.
            validation: It is not used.

        Returns:
            Shape (number of classes,), float32; infinite where None was given.

        Raises:
            ValueError: If the given names are not those of the classes.
        """
        classes = labeled.classes
        if not isinstance(self.min_score, Mapping):
            return np.full(len(classes), self.min_score, np.float32)
        differing = sorted(self.min_score.keys() ^ set(classes))
        if differing:
            raise ValueError(
                f'min_score must name each class of {list(classes)}, got '
                f'{list(self.min_score)}: {differing} are missing or unknown'
            )
        scores = (self.min_score[name] for name in classes)
        return np.array(
            [math.inf if score is None else score for score in scores],
            np.float32,
        )


@TASK_UTILS.register_module()
class PrecisionSelector:
    """Selects with the lowest score that gives the wanted precision.

    The precision of each class is estimated on labeled validation images that
    went through the same teacher, views and merger: of the detections there
    with at least the chosen score, a share of `target` or more is right. If no
    score of theirs from `floor` on reaches the target, `min_score` is
    infinite, and the class gets no label.
    The estimate is rough for a class with few validation instances.

    Args:
        target: The share of labels that shall be right, in (0, 1].
        floor: The lowest score that a label may have, in [0, 1].

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
        """Choose the `min_score` of each class, as `Selector.choose` says.

        Args:
            found: It is not used.
            labeled: It is not used.
            validation: The matched detections of each class on validation
                images; None is refused.

        Returns:
            Shape (number of classes,), float32; infinite where no score from
            `floor` on reaches the target.

        Raises:
            ValueError: If `validation` is missing.
        """
        if validation is None:
            raise ValueError(
                'selection by precision needs the detections of labeled '
                'validation images and their truth, got none: see '
                'docs/selection.md'
            )
        return np.array(list(map(self._choose_one, validation)), np.float32)

    def _choose_one(self, matches: ClassMatches) -> float:
        scores = matches.scores
        num_found = np.arange(1, len(scores) + 1)
        # Equal scores are selected together.
        is_last_of_score = np.append(scores[1:] < scores[:-1], True)
        # The small deduction is needed because 0.55 * 100 gives more than 55
        # in floating point.
        wanted = self.target * num_found - 1e-9
        is_enough = np.cumsum(matches.is_right) >= wanted
        # Without a detection, `append` gives one element too many.
        is_allowed = is_last_of_score[: len(scores)] & (scores >= self.floor)
        ends = np.flatnonzero(is_enough & is_allowed)
        return scores[ends[-1]] if len(ends) else math.inf
