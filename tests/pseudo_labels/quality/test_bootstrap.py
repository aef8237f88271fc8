"""The mAP of drawn images, beside pycocotools'."""

import contextlib
import io
from collections.abc import Iterable

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.data_distillation.label_files.coco.matching import (
    ImageMatches,
    match_images,
)
from projects.data_distillation.pseudo_labels.quality import bootstrap
from projects.data_distillation.pseudo_labels.quality.bootstrap import (
    compute_average_precision,
    compute_mean_ap,
    draw_images,
    weigh_images,
)

IOUS = [0.5, 0.75]
NUM_IMAGES, NUM_CLASSES = 6, 3


def draw_boxes(random, num: int, with_scores: bool) -> list[dict]:
    return [
        dict(
            id=n + 1,
            image_id=int(random.integers(NUM_IMAGES)),
            category_id=int(random.integers(NUM_CLASSES)),
            # Large boxes that overlap often.
            bbox=[*random.uniform(0, 4, 2), *random.uniform(8, 12, 2)],
            area=100,
            iscrowd=0,
            **(dict(score=float(random.random())) if with_scores else {}),
        )
        for n in range(num)
    ]


def make_truth(annotations: list[dict], images: Iterable[int]) -> dict:
    return dict(
        images=[dict(id=i, file_name=f'{i}.png') for i in images],
        categories=[dict(id=c, name=f'{c}') for c in range(NUM_CLASSES)],
        annotations=annotations,
    )


def evaluate(truth: dict, found: list[dict]) -> float:
    """COCO's mAP at `IOUS`."""
    with contextlib.redirect_stdout(io.StringIO()):
        objects, detections = COCO(), COCO()
        objects.dataset, detections.dataset = truth, dict(truth)
        detections.dataset['annotations'] = [
            dict(one, id=n) for n, one in enumerate(found, 1)
        ]
        objects.createIndex()
        detections.createIndex()
        evaluation = COCOeval(objects, detections, 'bbox')
        evaluation.params.iouThrs = np.array(IOUS)
        evaluation.params.areaRng = [[0, np.inf]]
        evaluation.params.areaRngLbl = ['all']
        evaluation.params.maxDets = [1000]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision']
    return float(precision[precision > -1].mean())


@pytest.mark.parametrize('num_crowds', [0, 12])
@pytest.mark.parametrize('seed', range(5))
def test_map_is_that_of_coco(seed, num_crowds):
    random = np.random.default_rng(seed)
    objects = draw_boxes(random, 60, with_scores=False)
    # A detection may take an object at 0.5, and at 0.75 lie on a crowd.
    for one in objects[:num_crowds]:
        one.update(iscrowd=1)
    truth = make_truth(objects, range(NUM_IMAGES))
    found = [
        # Some are equal.
        dict(one, score=round(one['score'], 1))
        for one in draw_boxes(random, 200, with_scores=True)
    ]

    matches = match_images(truth, found, range(NUM_IMAGES), IOUS)
    (mean_ap,) = compute_mean_ap(matches, np.ones((1, NUM_IMAGES)))

    assert mean_ap == pytest.approx(evaluate(truth, found))
    assert mean_ap > 0.1


@pytest.mark.parametrize('size', [1, 900, 2_000, 10**6])
def test_draws_in_parts_are_those_at_once(monkeypatch, size):
    random = np.random.default_rng(0)
    truth = make_truth(draw_boxes(random, 40, False), range(NUM_IMAGES))
    found = draw_boxes(random, 80, with_scores=True)
    matches = match_images(truth, found, range(NUM_IMAGES), IOUS)
    weights = draw_images(NUM_IMAGES, 50)
    expected = bootstrap.average_classes(matches, weights)
    monkeypatch.setattr(bootstrap, 'MATRIX_SIZE', size)

    assert (compute_mean_ap(matches, weights) == expected).all()


def test_an_image_that_is_drawn_twice_counts_like_two_images():
    random = np.random.default_rng(0)
    annotations = draw_boxes(random, 40, with_scores=False)
    found = draw_boxes(random, 80, with_scores=True)
    truth = make_truth(annotations, range(NUM_IMAGES))
    weights = np.array([[2.0, 0, 1, 0, 0, 1]])
    # Image 0 once more as image 6, without those that were not drawn.
    copies = [
        [
            *(one for one in part if one['image_id'] in (0, 2, 5)),
            *(dict(one, image_id=6) for one in part if not one['image_id']),
        ]
        for part in (annotations, found)
    ]
    numbered = [dict(one, id=n) for n, one in enumerate(copies[0], 1)]
    doubled = make_truth(numbered, [0, 2, 5, 6])

    drawn = match_images(truth, found, range(NUM_IMAGES), IOUS)
    twice = match_images(doubled, copies[1], [0, 2, 5, 6], IOUS)

    (expected,) = compute_mean_ap(twice, np.ones((1, 4)))
    assert compute_mean_ap(drawn, weights)[0] == pytest.approx(expected)


def make_matches(is_right: list[bool], num_truth: list[list[int]]):
    """One detection on each image, of class 0, by descending score."""
    num = len(is_right)
    return ImageMatches(
        np.arange(num),
        np.zeros(num, int),
        np.linspace(0.9, 0.1, num, dtype=np.float32),
        np.array(is_right)[:, None],
        np.ones((num, 1), bool),
        np.array(num_truth),
    )


def test_known_answer():
    matches = make_matches([True, False, True], [[1], [1], [1]])

    (mean_ap,) = compute_mean_ap(matches, np.ones((1, 3)))

    # Precision 1 up to recall 1/3 (34 of 101 points), then 2/3 up to 2/3.
    assert mean_ap == pytest.approx((34 + 33 * 2 / 3) / 101)


def test_classes_without_an_object_in_a_draw_do_not_count():
    matches = make_matches([True, False], [[1, 0], [0, 1]])

    first, second, neither = compute_mean_ap(
        matches, np.array([[1.0, 0], [1, 1], [0, 0]])
    )

    assert first == 1
    assert second == pytest.approx(0.5)
    assert neither == 0


def test_draws_are_the_same_at_each_call_and_have_as_many_images():
    draws = draw_images(7)

    assert draws.shape == (200, 7)
    assert set(draws.sum(axis=1)) == {7}
    assert (draws == draw_images(7)).all()
    assert len(np.unique(draws, axis=0)) > 150


def test_weights_are_those_of_the_images_that_are_looked_at():
    weights = weigh_images(np.array([True, False, True]), 5)

    assert weights[0].tolist() == [1, 0, 1]
    assert (weights[1:, [0, 2]] == draw_images(2, 5)).all()
    assert not weights[:, 1].any()


@pytest.mark.parametrize('num_images', [0, 3])
def test_without_an_image_to_look_at_there_are_no_weights(num_images):
    message = f'at least one image .*, got 0 of {num_images}: add images'
    with pytest.raises(ValueError, match=message):
        weigh_images(np.zeros(num_images, bool), 5)


def average_slowly(matches: ImageMatches, label: int, drawn: list) -> float:
    """The AP of a class in one draw, from its definition."""
    mine = matches.labels == label
    order = np.argsort(-matches.scores[mine], kind='stable')
    # An image that is drawn twice has its detections twice.
    times = np.array(drawn)[matches.image_index[mine][order]]
    num_truth = drawn @ matches.num_truth[:, label]
    averages = []
    for is_right in matches.is_right[mine][order].T:
        right, found = (is_right * times).cumsum(), times.cumsum()
        precisions = [
            max(right[at] / max(found[at], 1) for at in reached)
            if len(reached)
            else 0.0
            for recall in np.linspace(0, 1, 101)
            if num_truth
            for reached in [np.flatnonzero(right / num_truth >= recall)]
        ]
        averages.append(sum(precisions) / 101)
    return float(np.mean(averages))


@pytest.mark.parametrize('seed', range(4))
def test_all_draws_at_once_are_as_each_alone(seed):
    random = np.random.default_rng(seed)
    num = 60
    matches = ImageMatches(
        random.integers(0, 5, num),
        random.integers(0, 3, num),
        random.random(num).astype(np.float32).round(1),
        random.random((num, 2)) < 0.2,
        np.ones((num, 2), bool),
        random.integers(0, 3, (5, 3)),
    )
    weights = weigh_images(np.array([True] * 4 + [False]), 6)

    for label in range(3):
        assert compute_average_precision(
            matches, label, weights
        ) == pytest.approx(
            [average_slowly(matches, label, drawn) for drawn in weights]
        )
