"""Planted errors in labels, and what is suspected."""

import numpy as np
import pytest

from projects.data_distillation.pseudo_labels.review.suspicious import (
    BoxColumns,
    Suspicion,
    find_suspicions,
    keep_best,
    measure_share_not_higher,
)

SIDE = 20
NUM_IMAGES = 12


def place_objects() -> tuple[list, list, list]:
    """Objects on a grid, so that none is near another."""
    random = np.random.default_rng(0)
    images, boxes, classes = [], [], []
    for image in range(NUM_IMAGES):
        for x in range(4):
            images.append(image)
            boxes.append([60 * x, 10 * (image % 3), SIDE, SIDE])
            classes.append(int(random.integers(2)))
    return images, boxes, classes


def as_boxes(images, boxes, classes, chances=None) -> BoxColumns:
    chances = np.ones(len(images)) if chances is None else chances
    order = np.argsort(images, kind='stable')
    return BoxColumns(
        np.array(images, int)[order],
        np.array(boxes, float).reshape(-1, 4)[order],
        np.array(classes, int)[order],
        np.array(chances, float)[order],
    )


def detect(images, boxes, classes) -> BoxColumns:
    """A good detector: its boxes are off by a pixel."""
    random = np.random.default_rng(1)
    shifts = random.integers(-1, 2, (len(boxes), 4))
    return as_boxes(
        images, np.add(boxes, shifts), classes, [0.95] * len(boxes)
    )


@pytest.mark.parametrize('number', [0, 7, 21, 47])
@pytest.mark.parametrize('kind', ['missing', 'class', 'box', 'far', 'extra'])
def test_a_planted_error_comes_first(kind, number):
    images, boxes, classes = place_objects()
    found = detect(images, boxes, classes)
    boxes = [list(box) for box in boxes]
    label: int | None = number
    if kind == 'missing':
        for column in (images, boxes, classes):
            del column[number]
        label = None
    elif kind == 'class':
        classes[number] = 1 - classes[number]
    elif kind in ('box', 'far'):
        boxes[number][0] += 5 if kind == 'box' else 12
    else:
        found = as_boxes(images, boxes, classes, [0.95] * len(images))
        images, boxes, classes = (
            [*images, number % NUM_IMAGES],
            [*boxes, [5, 100, SIDE, SIDE]],
            [*classes, 0],
        )
        label = int(np.searchsorted(images[:-1], images[-1], 'right'))

    first, *others = find_suspicions(
        as_boxes(images, boxes, classes), found, NUM_IMAGES
    )

    assert first.kind == ('box' if kind == 'far' else kind)
    assert first.label == label
    assert (first.detection is None) == (kind == 'extra')
    assert first.chance > max(one.chance for one in others)


def test_right_labels_are_hardly_suspicious():
    images, boxes, classes = place_objects()
    found = as_boxes(images, boxes, classes, [0.95] * len(images))

    suspicions = find_suspicions(
        as_boxes(images, boxes, classes), found, NUM_IMAGES
    )

    assert max(one.chance for one in suspicions) < 0.1


def test_a_label_that_is_supported_does_not_lose_its_class():
    labels = as_boxes([0], [[0, 0, SIDE, SIDE]], [0])
    place = [[0, 0, SIDE, SIDE]] * 2
    found = as_boxes([0, 0], place, [0, 1], [0.9, 0.3])

    chances = {
        one.kind: one.chance for one in find_suspicions(labels, found, 1)
    }

    assert chances.get('class', 0) < 0.05


def test_a_label_that_a_surer_detection_supports_has_the_right_box():
    labels = as_boxes([0], [[0, 0, SIDE, SIDE]], [0])
    boxes = [[0, 0, SIDE, SIDE], [10, 0, SIDE, SIDE]]
    kinds = {}
    for chance in (0.3, 0.99):
        found = as_boxes([0, 0], boxes, [0, 0], [0.9, chance])
        kinds[chance] = {
            one.kind
            for one in find_suspicions(labels, found, 1)
            if one.detection == 1
        }

    assert kinds == {0.3: {'missing'}, 0.99: {'box'}}


def test_a_supported_label_is_no_longer_free():
    """The second detection of one place shows an object without a label."""
    labels = as_boxes([0], [[0, 0, SIDE, SIDE]], [0])
    place = [[0, 0, SIDE, SIDE]] * 2
    found = as_boxes([0, 0], place, [0, 0], [0.9, 0.3])

    kinds = [
        (one.kind, one.label, one.detection)
        for one in find_suspicions(labels, found, 1)
    ]

    assert sorted(kinds) == [('box', 0, 0), ('missing', None, 1)]


def test_nothing_is_suspected_where_there_is_nothing():
    nothing = as_boxes([], [], [])

    assert find_suspicions(nothing, nothing, 3) == []


def test_labels_without_any_detection_are_extra():
    labels = as_boxes([1], [[0, 0, 5, 5]], [0])

    (one,) = find_suspicions(labels, as_boxes([], [], []), 2)

    assert (one.kind, one.image, one.label) == ('extra', 1, 0)


def test_each_label_is_listed_once_and_each_free_place():
    suspicions = [
        Suspicion(0, 'box', 0.2, 4, 1),
        Suspicion(0, 'class', 0.6, 4, 2),
        Suspicion(0, 'missing', 0.5, None, 3),
        Suspicion(0, 'missing', 0.4, None, 5),
    ]

    kept = keep_best(suspicions)

    assert [one.chance for one in kept] == [0.6, 0.5, 0.4]


def test_shares_are_those_of_each_group():
    values = np.array([0.1, 0.2, 0.2, 0.9, 5])

    found = measure_share_not_higher(values, np.array([0, 0, 0, 0, 1]))

    assert found.tolist() == [0.25, 0.75, 0.75, 1, 1]


def test_a_detection_that_no_label_confirms_has_lower_odds():
    nothing = as_boxes([], [], [])
    places = [[0, 0, 9, 9], [50, 0, 9, 9]]

    found = find_suspicions(
        nothing, as_boxes([0, 0], places, [0, 0], [0.9, 0.5]), 1
    )

    assert [one.detection for one in found] == [0, 1]
    assert found[0].chance == pytest.approx(0.27 / (0.27 + 0.1))
