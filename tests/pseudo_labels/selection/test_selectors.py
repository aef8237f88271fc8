"""Selection against brute force over all scores."""

import math

import numpy as np
import pytest

from projects.data_distillation import (
    CountSelector,
    FixedSelector,
    MatchedSelector,
    PrecisionSelector,
)
from projects.data_distillation.label_files.coco.matching import ClassMatches
from projects.data_distillation.pseudo_labels.selection.selectors import (
    Candidates,
    LabeledCounts,
    smooth_counts,
)


def counts(num_images: int, *num_instances: int) -> LabeledCounts:
    classes = tuple('abcdefgh'[: len(num_instances)])
    return LabeledCounts(num_images, np.array(num_instances), classes)


LABELED = counts(5, 20, 3, 0, 7)


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


def test_images_that_are_checked_in_part_do_not_count():
    label = dict(category_id=1)
    coco = dict(
        images=[dict(id=n) for n in (1, 2, 3)],
        annotations=[
            dict(label, image_id=1),
            dict(label, image_id=2),
            dict(label, image_id=2, ignore=1),
            dict(label, image_id=2, iscrowd=1, unchecked=1),
            dict(label, image_id=4),  # Of no image of the file.
        ],
        categories=[dict(id=1, name='a')],
    )

    found = LabeledCounts.of(coco)

    assert (found.num_images, found.num_empty) == (2, 1)
    assert (found.num_instances.tolist(), found.num_ignored) == ([1], 0)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('num_images', [1, 7, 20, 1000])
def test_each_class_is_matched_as_brute_force_does(seed, num_images):
    scores, labels = detections(seed)

    found = MatchedSelector(floor=0.05).choose(
        Candidates(scores, labels, num_images), LABELED
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

    found = MatchedSelector(floor=0).choose(
        Candidates(scores, labels, 10), LABELED
    )

    selected = labels[scores >= found[labels]]
    # 10 images of 20/5, 3/5, 0/5 and 7/5 instances.
    assert np.bincount(selected, minlength=4).tolist() == [40, 6, 0, 14]


def test_global_matching_has_one_min_score_and_the_total():
    scores = np.random.default_rng(0).permutation(400).astype(np.float32) / 400
    labels = np.arange(400) % 4

    found = MatchedSelector(per_class=False, floor=0).choose(
        Candidates(scores, labels, 10), LABELED
    )

    assert len(set(found.tolist())) == 1
    assert (scores >= found[0]).sum() == 60


def test_all_detections_at_the_limit_are_selected():
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.2], np.float32)
    labeled = counts(1, 2)

    found = MatchedSelector().choose(
        Candidates(scores, np.zeros(5, int), 1), labeled
    )

    assert (scores >= found[0]).sum() == 4


def test_too_few_detections_give_the_floor():
    scores = np.array([0.9, 0.05], np.float32)
    labeled = counts(1, 5)

    found = MatchedSelector(floor=0.1).choose(
        Candidates(scores, np.zeros(2, int), 1), labeled
    )

    assert found.tolist() == [np.float32(0.1)]


def test_score_below_the_floor_is_never_enough():
    scores = np.array([0.9, 0.05, 0.04], np.float32)
    labeled = counts(1, 2)

    found = MatchedSelector(floor=0.1).choose(
        Candidates(scores, np.zeros(3, int), 1), labeled
    )

    assert found.tolist() == [np.float32(0.1)]


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('smoothing', [0, 2])
def test_no_detection_and_no_image_give_no_error(smoothing):
    nothing = np.zeros(0, np.float32), np.zeros(0, int)

    found = MatchedSelector(smoothing=smoothing).choose(
        Candidates(*nothing, 0), LABELED
    )

    assert found.tolist() == [math.inf] * 4


def test_fixed_score_is_the_same_for_every_class():
    scores, labels = detections(0)

    found = FixedSelector(0.5).choose(Candidates(scores, labels, 9), LABELED)

    assert found.tolist() == [0.5] * 4


@pytest.mark.parametrize('score', [-0.1, 1.5, 50])
def test_score_out_of_range_is_refused(score):
    with pytest.raises(ValueError, match=f'min_score must be .* got {score}'):
        FixedSelector(score)
    with pytest.raises(ValueError, match=f'min_score b must .* got {score}'):
        FixedSelector(dict(a=None, b=score))
    with pytest.raises(ValueError, match=f'floor must be .* got {score}'):
        PrecisionSelector(0.9, floor=score)
    with pytest.raises(ValueError, match=f'floor must be .* got {score}'):
        MatchedSelector(floor=score)


def test_scores_are_shared_out_by_class():
    scores = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    found = Candidates(scores, np.array([2, 0, 2, 0]), 1)

    by_class = [c.tolist() for c in found.by_class(4)]

    assert by_class == [
        scores[[1, 3]].tolist(),
        [],
        scores[[0, 2]].tolist(),
        [],
    ]


@pytest.mark.parametrize(
    ('num_labeled', 'expected'), [(1, 0.8), (3, 0.6), (0, math.inf)]
)
def test_what_reaches_the_ceiling_is_a_label(num_labeled, expected):
    scores = np.array([0.9, 0.8, 0.6, 0.3], np.float32)

    found = MatchedSelector(ceiling=0.8).choose(
        Candidates(scores, np.zeros(4, int), 1), counts(1, num_labeled)
    )

    assert found.tolist() == [np.float32(expected)]


def test_smoothing_leaves_what_all_classes_agree_on():
    # 1 labeled instance for 10 detections, in every class.
    same = smooth_counts(np.array([1, 20, 3]), np.array([10, 200, 30]), 5)

    np.testing.assert_allclose(same, [1, 20, 3])


def test_smoothing_draws_rare_classes_to_the_common_rate():
    num_instances, num_found = np.array([0, 1, 990]), np.array([100, 100, 800])

    rare, one, common = smooth_counts(num_instances, num_found, 2)

    # 991 instances for 1,000 detections: as many as detections, about.
    assert 0 < rare < one < 100
    assert common == pytest.approx(990, rel=0.01)
    # A prior of 2 instances in 2.018 detections, then 0 in 100.
    assert rare == pytest.approx(100 * 2 / (100 + 2 * 1000 / 991))
    stronger, *_ = smooth_counts(num_instances, num_found, 2000)
    assert stronger > 90


@pytest.mark.filterwarnings('error')
def test_smoothing_without_instances_or_detections_changes_nothing():
    assert smooth_counts(np.array([0, 0]), np.array([5, 5]), 3).tolist() == [
        0,
        0,
    ]
    assert smooth_counts(np.array([4, 2]), np.array([0, 0]), 3).tolist() == [
        4,
        2,
    ]
    assert smooth_counts(np.array([4, 2]), np.array([0, 9]), 3)[0] == 4


def test_smoothing_counts_detections_from_the_floor_on():
    scores = np.array([0.9] * 10 + [0.01] * 90 + [0.9] * 10, np.float32)
    labels = np.array([0] * 100 + [1] * 10)
    labeled = counts(1, 0, 10)

    found = MatchedSelector(smoothing=1).choose(
        Candidates(scores, labels, 1), labeled
    )

    # Alike but for what is below the floor: 10 instances for 20 detections;
    # 10 * 1 / (10 + 2) rounds to 1.
    assert found[0] == np.float32(0.9)


def test_fixed_score_may_be_none_for_a_class():
    by_class = dict(a=None, b=0.0, c=1.0, d=0.5)

    found = FixedSelector(by_class).choose(
        Candidates(np.empty(0), np.empty(0, int), 9), LABELED
    )

    np.testing.assert_array_equal(found, np.float32([math.inf, 0, 1, 0.5]))


def test_fixed_scores_by_class():
    scores, labels = detections(0)
    by_class = dict(d=0.4, c=0.3, b=0.2, a=0.1)

    found = FixedSelector(by_class).choose(
        Candidates(scores, labels, 9), LABELED
    )

    np.testing.assert_array_equal(found, np.float32([0.1, 0.2, 0.3, 0.4]))


@pytest.mark.parametrize(
    ('given', 'named'),
    [
        (dict(a=0.1, b=0.2, c=0.3), r"\['d'\]"),
        (dict(a=0.1, b=0.2, c=0.3, d=0.4, e=0.5), r"\['e'\]"),
    ],
)
def test_fixed_scores_must_name_every_class_and_no_other(given, named):
    with pytest.raises(ValueError, match=f'each class .* {named}'):
        FixedSelector(given).choose(
            Candidates(*detections(0), num_images=1), LABELED
        )


@pytest.mark.parametrize('seed', range(3))
def test_as_many_are_selected_as_somebody_says(seed):
    """Whatever is in the labeled file; it may have no image at all."""
    scores, labels = detections(seed)
    found = Candidates(scores, labels, num_images=20)
    empty = counts(0, 0, 0, 0, 0)

    together = CountSelector(2.2, floor=0.05).choose(found, empty)
    by_class = CountSelector(dict(d=1, c=0, b=99, a=0.26)).choose(found, empty)

    assert set(together) == {np.float32(brute_force(scores, 44, 0.05))}
    expected = [
        brute_force(scores[labels == label], wanted, 0)
        for label, wanted in enumerate([5, 1980, 0, 20])
    ]
    np.testing.assert_array_equal(by_class, np.float32(expected))


@pytest.mark.parametrize('number', [-1, math.inf, math.nan])
def test_number_that_is_none_is_refused(number):
    for per_image in (number, dict(a=1, b=number)):
        with pytest.raises(ValueError, match='per_image must be at least 0'):
            CountSelector(per_image)


def test_numbers_must_name_every_class():
    nothing = Candidates(np.empty(0), np.empty(0, int), 9)

    assert set(CountSelector(0).choose(nothing, LABELED)) == {math.inf}
    with pytest.raises(ValueError, match=r"each class .* \['b', 'x'\] are"):
        CountSelector(dict(a=1, c=1, d=1, x=1)).choose(nothing, LABELED)


def matches(*scores_and_right: tuple[float, bool]) -> ClassMatches:
    scores, is_right = zip(*scores_and_right) if scores_and_right else ((), ())
    return ClassMatches(
        np.array(scores, np.float32), np.array(is_right, bool), 9
    )


NOTHING = Candidates(np.zeros(0, np.float32), np.zeros(0, int), 1)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('target', [0.3, 0.5, 0.9, 1.0])
def test_precision_is_reached_at_the_lowest_score(seed, target):
    random = np.random.default_rng(seed)
    scores = np.sort(random.random(60).round(1).astype(np.float32))[::-1]
    is_right = random.random(60) < scores

    found = PrecisionSelector(target).choose(
        NOTHING, counts(1, 1), [ClassMatches(scores, is_right, 60)]
    )

    precise = [s for s in scores if is_right[scores >= s].mean() >= target]
    assert found.tolist() == [min(precise, default=math.inf)]


def test_precision_is_chosen_for_each_class():
    validation = [
        matches((0.9, True), (0.8, True), (0.7, False)),
        matches((0.9, False), (0.8, False)),
        matches(),
        matches((0.9, False), (0.2, True)),
    ]

    found = PrecisionSelector(0.5, floor=0.3).choose(
        NOTHING, LABELED, validation
    )

    expected = [0.7, math.inf, math.inf, math.inf]
    np.testing.assert_array_equal(found, np.float32(expected))


def test_floor_does_not_undercut_the_precision():
    # From 0.5 on half are right, from 0.2 on three in four.
    seen = matches(
        *[(0.9, True), (0.5, False), (0.4, False)],
        *[(0.2, True)] * 5,
    )

    def choose(floor):
        selector = PrecisionSelector(0.7, floor)
        return selector.choose(NOTHING, counts(1, 9), [seen]).tolist()

    assert choose(0) == [np.float32(0.2)]
    assert choose(0.3) == [np.float32(0.9)]
    assert choose(0.95) == [math.inf]


@pytest.mark.parametrize('percent', [7, 14, 55, 56])
def test_precision_that_is_just_met_is_enough(percent):
    seen = matches(*[(0.5, n < percent) for n in range(100)])

    found = PrecisionSelector(percent / 100).choose(
        NOTHING, counts(1, 9), [seen]
    )

    assert found.tolist() == [0.5]


def test_precision_needs_validation():
    with pytest.raises(ValueError, match=r'got none.*docs/selection.md'):
        PrecisionSelector(0.9).choose(NOTHING, LABELED)


def test_all_detections_wanted_give_the_lowest_score():
    scores = np.array([0.9, 0.5], np.float32)

    found = MatchedSelector().choose(
        Candidates(scores, np.zeros(2, int), 1), counts(1, 2)
    )

    assert found.tolist() == [0.5]


@pytest.mark.parametrize('target', [0, -1, 1.1])
def test_target_out_of_range_is_refused(target):
    with pytest.raises(ValueError, match=f'target must be .* got {target}'):
        PrecisionSelector(target)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(floor=0.5, ceiling=0.4), 'floor must be at most ceiling'),
        (dict(smoothing=-1), 'smoothing must be at least 0'),
        (dict(smoothing=1, per_class=False), 'it must be 0 without'),
        (dict(ceiling=2), 'ceiling'),
    ],
)
def test_matching_refuses_what_makes_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        MatchedSelector(**arguments)


def test_rate_of_no_labeled_image_cannot_be_matched():
    with pytest.raises(ValueError, match='no labeled image: use CountSelect'):
        MatchedSelector().choose(
            Candidates(*detections(0), num_images=1), counts(0, 0, 0, 0, 0)
        )
