"""Compare rules of selection by the labels that they give.

The teachers are those of `label_campaign.py`, which trains them if they are
not there yet. Their detections, with the views and the merger that
`init_experiment.py` writes, become labels by several rules, which are compared
with the truth. The figures are in docs/results.md.

Example:
    python tools/campaigns/selection_campaign.py --data data --splits 0 1 2
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from label_campaign import (
    MERGERS,
    VIEWS,
    Split,
    count,
    format_shares,
    measure_labels,
    number_views,
    run_all,
)

from projects.data_distillation.label_files.coco.matching import ImageMatches
from projects.data_distillation.pseudo_labels.selection.selectors import (
    Candidates,
    LabeledCounts,
    MatchedSelector,
)
from projects.data_distillation.pseudo_labels.tuning.judge import Choice, Judge

VIEWS_OF_NEW = '6 views: 1, 9/8, 5/4'
MERGER_OF_NEW = 'WBF 0.65'


def measure(split: Split) -> None:
    """Print a line for each rule.

    Args:
        split: The dataset and the split.

    Raises:
        OSError: If a file in the folder of the split cannot be written.
    """
    split.prepare()
    choice = Choice(number_views(*VIEWS[VIEWS_OF_NEW]), MERGER_OF_NEW)
    found, known = (
        Judge(split.detect(stage), truth, MERGERS).try_choice(choice).matches
        for stage, truth in (
            ('annotate', split.truth),
            ('validate', split.val),
        )
    )
    labeled, val = count(split.folder / 'labeled.json'), count(split.val)
    for name, min_scores in choose_all(found, known, labeled, val):
        figures = format_shares(measure_labels(found, min_scores))
        print(split.name, split.split, name, figures, sep=' | ')


def choose_all(
    found: ImageMatches,
    known: ImageMatches,
    labeled: LabeledCounts,
    val: LabeledCounts,
) -> Iterator[tuple[str, np.ndarray]]:
    """Choose the labels by each rule.

    Args:
        found: The detections on the unlabeled images. Their truth is for the
            rule that knows the true numbers alone.
        known: The detections on the validation images.
        labeled: The counts of the labeled images.
        val: The counts of the validation images.

    Yields:
        The name of each rule, and the `min_score` of each class.
    """
    num_images, num_classes = found.num_truth.shape
    true = replace(
        labeled, num_images=num_images, num_instances=found.num_truth.sum(0)
    )
    candidates = Candidates(found.scores, found.labels, num_images)
    for name, counts in (
        ('counts of the labeled images', labeled),
        ('and of the validation images', labeled + val),
        ('true counts', true),
    ):
        yield f'matched: {name}', MatchedSelector().choose(candidates, counts)
        fewer = replace(counts, num_instances=0.8 * counts.num_instances)
        yield f'{name}, 80 %', MatchedSelector().choose(candidates, fewer)
    for score in (0.3, 0.5):
        yield f'score {score}', np.full(num_classes, score, np.float32)
    wanted = labeled + val
    rates = wanted.num_instances / wanted.num_images
    for name, choose in (
        ('best F1 on validation', find_best_score),
        ('expected F1, calibrated on validation', find_calibrated_score),
    ):
        yield name, choose_by_class(choose, found, known, rates)


def choose_by_class(
    choose: Callable,
    found: ImageMatches,
    known: ImageMatches,
    rates: np.ndarray,
) -> np.ndarray:
    """Choose the `min_score` of each class by a rule for one class.

    Args:
        choose: The rule.
        found: The detections on the unlabeled images.
        known: The detections on the validation images.
        rates: The instances of each class per image.

    Returns:
        Shape (number of classes,), float32.
    """
    num_images, num_classes = found.num_truth.shape
    chosen = np.full(num_classes, np.inf, np.float32)
    for label in range(num_classes):
        of_class = known.labels == label
        scores, is_right = known.scores[of_class], known.is_right[of_class, 0]
        order = np.argsort(-scores, kind='stable')
        num_truth = known.num_truth[:, label].sum()
        if len(order):
            chosen[label] = choose(
                scores[order], is_right[order], num_truth,
                np.sort(found.scores[found.labels == label])[::-1],
                rates[label] * num_images,
            )  # fmt: skip
    return chosen


def find_best_score(
    scores: np.ndarray,
    is_right: np.ndarray,
    num_truth: int,
    new_scores: np.ndarray,
    num_expected: float,
) -> float:
    """Find the score with the best F1 on the validation images.

    Args:
        scores: The scores there, descending, at least one.
        is_right: Whether each of these detections is right at IoU 0.5.
        num_truth: The number of true objects there.
        new_scores: The scores on the unlabeled images, descending.
        num_expected: The number of true objects that are expected there.

    Returns:
        The score.
    """
    # F1 of the first k detections, for each k: 2 * right / (k + objects).
    f1 = 2 * is_right.cumsum() / (np.arange(1, len(scores) + 1) + num_truth)
    return float(scores[f1.argmax()])


def find_calibrated_score(
    scores: np.ndarray,
    is_right: np.ndarray,
    num_truth: int,
    new_scores: np.ndarray,
    num_expected: float,
) -> float:
    """Find the score with the best expected F1 on the unlabeled images.

    The probability that a detection is right rises with its score; it is the
    isotonic regression on the validation images. See `find_best_score`.

    Args:
        scores: The scores on the validation images, descending.
        is_right: Whether each of these detections is right at IoU 0.5.
        num_truth: The number of true objects there.
        new_scores: The scores on the unlabeled images, descending.
        num_expected: The number of objects to expect on the unlabeled images.

    Returns:
        The score; infinite if there is no detection.
    """
    if not len(new_scores):
        return np.inf
    # By ascending score, as `regress` and np.interp need them.
    probabilities = regress(is_right[::-1])
    expected = np.interp(new_scores, scores[::-1], probabilities)
    num_labels = np.arange(1, len(new_scores) + 1)
    f1 = 2 * expected.cumsum() / (num_labels + num_expected)
    return float(new_scores[f1.argmax()])


def regress(values: np.ndarray) -> np.ndarray:
    """Compute the isotonic regression of some values: it never falls.

    Pools adjacent violators.

    Args:
        values: Shape (n,), in order.

    Returns:
        Shape (n,).
    """
    means: list[float] = []
    sizes: list[int] = []
    for value in values:
        means.append(float(value))
        sizes.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            size = sizes.pop()
            mean = means.pop()
            total = size + sizes[-1]
            means[-1] += (mean - means[-1]) * size / total
            sizes[-1] = total
    return np.repeat(means, sizes)


if __name__ == '__main__':
    run_all(measure, __doc__)
