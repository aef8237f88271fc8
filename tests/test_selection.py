"""Selection against brute force over all scores."""

import math

import numpy as np
import pytest

from projects.data_distillation import FixedSelector, MatchedSelector
from projects.data_distillation.selection import LabeledCounts

LABELED = LabeledCounts(5, np.array([20, 3, 0, 7]))


def detections(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    # Few digits, so that there are ties.
    scores = random.uniform(0, 1, n).round(2).astype(np.float32)
    return scores, random.integers(0, 4, n)


def brute_force(scores: np.ndarray, wanted: int, floor: float) -> float:
    """The highest score with at least that many at or above it."""
    if wanted == 0:
        return math.inf
    enough = [s for s in scores if (scores >= s).sum() >= wanted]
    return max(floor, max(enough, default=floor))


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('num_images', [1, 7, 20, 1000])
def test_each_class_is_matched_as_brute_force_does(seed, num_images):
    scores, labels = detections(seed)

    found = MatchedSelector(floor=0.05).choose(
        scores, labels, num_images, LABELED
    )

    expected = [
        brute_force(
            scores[labels == label],
            round(num_images * int(count) / 5),
            np.float32(0.05),
        )
        for label, count in enumerate(LABELED.num_instances)
    ]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_exactly_the_wanted_number_is_selected_without_ties():
    scores = np.random.default_rng(0).permutation(400).astype(np.float32) / 400
    labels = np.arange(400) % 4

    found = MatchedSelector(floor=0).choose(scores, labels, 10, LABELED)

    selected = labels[scores >= found[labels]]
    # 10 images of 20/5, 3/5, 0/5 and 7/5 instances.
    assert np.bincount(selected, minlength=4).tolist() == [40, 6, 0, 14]


def test_global_matching_has_one_min_score_and_the_total():
    scores = np.random.default_rng(0).permutation(400).astype(np.float32) / 400
    labels = np.arange(400) % 4

    found = MatchedSelector(per_class=False, floor=0).choose(
        scores, labels, 10, LABELED
    )

    assert len(set(found.tolist())) == 1
    assert (scores >= found[0]).sum() == 60


def test_all_detections_at_the_limit_are_selected():
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.2], np.float32)
    labeled = LabeledCounts(1, np.array([2]))

    found = MatchedSelector().choose(scores, np.zeros(5, int), 1, labeled)

    assert (scores >= found[0]).sum() == 4


def test_too_few_detections_give_the_floor():
    scores = np.array([0.9, 0.05], np.float32)
    labeled = LabeledCounts(1, np.array([5]))

    found = MatchedSelector(floor=0.1).choose(
        scores, np.zeros(2, int), 1, labeled
    )

    assert found.tolist() == [np.float32(0.1)]


def test_score_below_the_floor_is_never_enough():
    scores = np.array([0.9, 0.05, 0.04], np.float32)
    labeled = LabeledCounts(1, np.array([2]))

    found = MatchedSelector(floor=0.1).choose(
        scores, np.zeros(3, int), 1, labeled
    )

    assert found.tolist() == [np.float32(0.1)]


def test_no_detection_and_no_image_give_no_error():
    nothing = np.zeros(0, np.float32), np.zeros(0, int)

    found = MatchedSelector().choose(*nothing, 0, LABELED)

    assert found.tolist() == [math.inf] * 4


def test_fixed_score_is_the_same_for_every_class():
    scores, labels = detections(0)

    found = FixedSelector(0.5).choose(scores, labels, 9, LABELED)

    assert found.tolist() == [0.5] * 4


@pytest.mark.parametrize('score', [-0.1, 1.5, 50])
def test_score_out_of_range_is_refused(score):
    with pytest.raises(ValueError, match=f'min_score must be .* got {score}'):
        FixedSelector(score)
    with pytest.raises(ValueError, match=f'floor must be .* got {score}'):
        MatchedSelector(floor=score)
