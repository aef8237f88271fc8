"""Selection: the score from which a detection becomes a pseudo label.

A selector gives one `min_score` per class; a detection is selected if its
score is at least the `min_score` of its class.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from mmdet.registry import TASK_UTILS


@dataclass(frozen=True)
class LabeledCounts:
    """What the labeled file holds.

    Args:
        num_images: Its images, also those without instances.
        num_instances: Shape (number of classes,), its instances per class.
    """

    num_images: int
    num_instances: np.ndarray


class Selector(Protocol):
    """Chooses `min_score` from all detections of the unlabeled images."""

    def choose(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        num_images: int,
        labeled: LabeledCounts,
    ) -> np.ndarray:
        """Choose the `min_score` of each class.

        Args:
            scores: Shape (n,), float32, in [0, 1].
            labels: Shape (n,), the class of each detection.
            num_images: How many unlabeled images were read.
            labeled: The counts of the labeled file.

        Returns:
            Shape (number of classes,), float32.
        """
        ...


@TASK_UTILS.register_module()
class MatchedSelector:
    """As many pseudo instances per image as the labeled set has.

    For k wanted instances `min_score` is the k-th highest score: exactly k
    are selected, more only if others have that same score. If there are fewer
    than k detections, or the k-th is below `floor`, it is `floor`. For k = 0
    it is infinite, and nothing is selected. k is rounded half to even.

    Args:
        per_class: Match the instances of every class on its own; else those
            of all classes together, with one `min_score` for all.
        floor: The lowest score that may become a label, in [0, 1].

    Raises:
        ValueError: If `floor` is out of range.

    Source:
        Paper, section 4, selecting predictions: "the average number of
        annotated instances per unlabeled image" is made equal to that per
        labeled image. It leaves open whether per class; re-implementations
        match per class, and look for scores from 0.1.
    """

    def __init__(self, per_class: bool = True, floor: float = 0.1) -> None:
        check_score('floor', floor)
        self.per_class = per_class
        self.floor = np.float32(floor)

    def choose(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        num_images: int,
        labeled: LabeledCounts,
    ) -> np.ndarray:
        """Choose the `min_score` of each class, see `Selector.choose`."""
        per_image = num_images / labeled.num_images
        if self.per_class:
            min_scores = [
                self._choose_one(scores[labels == label], count * per_image)
                for label, count in enumerate(labeled.num_instances)
            ]
        else:
            wanted = labeled.num_instances.sum() * per_image
            one = self._choose_one(scores, wanted)
            min_scores = [one] * len(labeled.num_instances)
        return np.array(min_scores, np.float32)

    def _choose_one(self, scores: np.ndarray, wanted: float) -> float:
        k = round(wanted)
        if k == 0:
            return math.inf
        if k > len(scores):
            return self.floor
        kth_highest = np.partition(scores, len(scores) - k)[len(scores) - k]
        return max(kth_highest, self.floor)


@TASK_UTILS.register_module()
class FixedSelector:
    """One given `min_score` for all classes.

    Args:
        min_score: In [0, 1].

    Raises:
        ValueError: If it is out of range.
    """

    def __init__(self, min_score: float) -> None:
        check_score('min_score', min_score)
        self.min_score = min_score

    def choose(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        num_images: int,
        labeled: LabeledCounts,
    ) -> np.ndarray:
        """Return the given score for each class, see `Selector.choose`."""
        return np.full(len(labeled.num_instances), self.min_score, np.float32)


def check_score(name: str, score: float) -> None:
    """Check that a score of the config is one.

    Raises:
        ValueError: If it is not in [0, 1].
    """
    if not 0 <= score <= 1:
        raise ValueError(f'{name} must be between 0 and 1, got {score}')
