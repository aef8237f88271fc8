"""The signals of detections: overlaps, rivals, support."""

import numpy as np
import pyarrow as pa
import pytest
from builders import stored_row
from pycocotools import mask as masks

from projects.data_distillation.pseudo_labels.detections.columns import (
    flatten_table,
)
from projects.data_distillation.pseudo_labels.detections.shards import SCHEMA
from projects.data_distillation.pseudo_labels.review.signals import (
    compute_pairwise_ious_xywh,
    read_signals,
)


def columns(*rows):
    return flatten_table(pa.Table.from_pylist(list(rows), SCHEMA))


def test_overlaps_are_those_of_pycocotools():
    random = np.random.default_rng(0)
    one, other = random.integers(0, 20, (2, 30, 4)).astype(float)
    one[0, 2:] = other[0, 2:] = 0

    found = compute_pairwise_ious_xywh(one, other)

    expected = masks.iou(one, other, [0] * len(other))
    there = ~np.isnan(expected)
    assert np.allclose(found[there], expected[there])
    assert (found[~there] == 0).all()


def test_a_rival_is_the_best_of_another_class_at_the_same_place():
    place, near, away = [0, 0, 20, 20], [0, 0, 20, 18], [50, 50, 70, 70]
    first = stored_row(
        'a',
        (place, 0.9, 0),
        (near, 0.6, 1),
        (near, 0.5, 2),
        (away, 0.4, 1),
    )
    # What lies on another image is no rival.
    second = stored_row('b', (away, 0.8, 0))

    signals = read_signals(columns(first, second), 4)

    assert signals.rival_labels.tolist() == [1, 0, 0, -1, -1]
    assert signals.rival_scores == pytest.approx([0.6, 0.9, 0.9, 0, 0])


def test_overlap_is_that_with_a_better_one_of_the_class():
    row = stored_row(
        'a',
        ([0, 0, 20, 20], 0.9, 0),
        ([0, 0, 20, 10], 0.8, 0),
        ([0, 0, 20, 20], 0.7, 1),
    )

    signals = read_signals(columns(row), None)

    assert signals.overlap == pytest.approx([0, 0.5, 0])


@pytest.mark.parametrize(
    ('num_views', 'expected'), [(8, [0.5, 0.25]), (None, [1, 0.5])]
)
def test_support_is_a_share_of_the_views(num_views, expected):
    boxes = ([0, 0, 9, 9], 0.9, 0), ([30, 30, 50, 50], 0.8, 0)
    row = stored_row('a', *boxes, num_views=[4, 2])

    signals = read_signals(columns(row), num_views)

    assert signals.support == pytest.approx(expected)
    assert signals.compute_features().shape == (2, 5)


def test_images_without_detections_have_no_signals():
    signals = read_signals(columns(stored_row('a')), None)

    assert len(signals.scores) == 0
    assert signals.compute_features().shape == (0, 5)
