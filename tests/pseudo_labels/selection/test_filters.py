"""Filters, and regions that would ignore a label, against brute force."""

import numpy as np
import pytest

from projects.data_distillation import (
    MaxCornerSpread,
    MinArea,
    MinMaskAgreement,
    MinSide,
    MinViews,
)
from projects.data_distillation.pseudo_labels.detections.columns import (
    Detections,
)
from projects.data_distillation.pseudo_labels.selection import filters
from projects.data_distillation.pseudo_labels.selection.filters import (
    covers_a_label,
)


def detections(boxes: list, image_index=None, **columns) -> Detections:
    num = len(boxes)
    return Detections(
        np.array(image_index or [0] * num, np.int32),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(num, 0.5, np.float32),
        np.zeros(num, np.int32),
        np.array(columns.get('num_views', [1] * num), np.int32),
        np.array(columns.get('corner_spread', [0] * num), np.float32),
        **columns.get('masks', {}),
    )


def test_side_is_the_shorter_one():
    found = detections([[0, 0, 4, 9], [0, 0, 9, 4], [0, 0, 3.99, 9]])

    assert MinSide(4)(found).tolist() == [True, True, False]


def test_area_is_that_of_the_box_without_masks():
    found = detections([[0, 0, 4, 9], [0, 0, 6, 6], [0, 0, 5, 7]])

    assert MinArea(36)(found).tolist() == [True, True, False]


def test_area_is_that_of_the_mask_where_there_are_masks():
    areas = np.array([36, 35, 0], np.int32)
    found = detections([[0, 0, 9, 9]] * 3, masks=dict(mask_areas=areas))

    assert MinArea(36)(found).tolist() == [True, False, False]


def test_views_are_counted():
    found = detections([[0, 0, 4, 9]] * 3, num_views=[1, 2, 3])

    assert MinViews(2)(found).tolist() == [False, True, True]


def test_spread_up_to_the_largest_passes():
    found = detections([[0, 0, 4, 9]] * 3, corner_spread=[0.125, 0.25, 0.5])

    assert MaxCornerSpread(0.25)(found).tolist() == [True, True, False]


def test_agreement_from_the_smallest_passes():
    agreement = np.array([0.25, 0.5, 1.0], np.float32)
    found = detections(
        [[0, 0, 4, 9]] * 3, masks=dict(mask_agreement=agreement)
    )

    assert MinMaskAgreement(0.5)(found).tolist() == [False, True, True]


def test_agreement_of_boxes_alone_is_refused():
    with pytest.raises(ValueError, match='annotate with model.masks'):
        MinMaskAgreement(0.5)(detections([[0, 0, 4, 9]]))


@pytest.mark.parametrize('value', [0, 1.1, float('nan')])
def test_agreement_that_none_or_all_reach_is_refused(value):
    with pytest.raises(ValueError, match=f'agreement must be .* got {value}'):
        MinMaskAgreement(value)


def test_less_than_one_view_is_refused():
    with pytest.raises(ValueError, match='num_views must be .* got 0'):
        MinViews(0)


@pytest.mark.parametrize('value', [0, -1, float('nan')])
def test_bounds_that_stop_nothing_or_all_are_refused(value):
    with pytest.raises(ValueError, match=f'pixels must be .* got {value}'):
        MinSide(value)
    with pytest.raises(ValueError, match=f'spread must be .* got {value}'):
        MaxCornerSpread(value)
    with pytest.raises(ValueError, match=f'area must be .* got {value}'):
        MinArea(value)


def brute_force(found: Detections, doubtful, selected) -> list[bool]:
    def covers(d, s):
        one, label = found.bbox_xywh[d], found.bbox_xywh[s]
        sides = [
            max(
                0,
                min(one[i] + one[i + 2], label[i] + label[i + 2])
                - max(one[i], label[i]),
            )
            for i in (0, 1)
        ]
        return (
            found.image_index[d] == found.image_index[s]
            and sides[0] * sides[1] > 0.5 * label[2] * label[3]
        )

    return [any(covers(d, s) for s in selected) for d in doubtful]


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('at_once', [1, 3, 1000])
def test_covering_a_label_is_found_as_brute_force_does(
    seed, at_once, monkeypatch
):
    monkeypatch.setattr(filters, 'PAIRS_AT_ONCE', at_once)
    random = np.random.default_rng(seed)
    boxes = np.hstack(
        [random.integers(0, 20, (80, 2)), random.integers(5, 25, (80, 2))]
    )
    found = detections(boxes, np.sort(random.integers(0, 12, 80)).tolist())
    # Some images have only labels, some only doubtful ones.
    is_selected = random.random(80) < 0.3
    doubtful, selected = (
        np.flatnonzero(~is_selected),
        np.flatnonzero(is_selected),
    )

    covers = covers_a_label(found, doubtful, selected)

    expected = brute_force(found, doubtful, selected)
    assert covers.tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_exactly_half_is_not_covered():
    found = detections([[0, 0, 10, 5], [0, 0, 10, 10]])

    assert not covers_a_label(found, np.array([0]), np.array([1])).any()


@pytest.mark.parametrize(('doubtful', 'selected'), [([], [0]), ([0], [])])
def test_nothing_to_cover_or_to_be_covered(doubtful, selected):
    found = detections([[0, 0, 10, 5]])

    covers = covers_a_label(
        found, np.array(doubtful, int), np.array(selected, int)
    )

    assert covers.tolist() == [False] * len(doubtful)
