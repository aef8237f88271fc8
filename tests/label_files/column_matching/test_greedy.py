"""Matching in columns, beside pycocotools' own matching and figures."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.data_distillation.label_files.coco.matching import match_images
from projects.data_distillation.label_files.coco.measures import (
    MASK_METRICS,
    compute_coco_metrics,
)
from projects.data_distillation.label_files.column_matching import greedy
from projects.data_distillation.label_files.column_matching.mask_ious import (
    read_mask,
)
from projects.data_distillation.label_files.column_matching.numbering import (
    Numbering,
)

# The order differs from that of the ids, and the last has no object.
CATEGORY_IDS = [9, 2, 7, 5]
IMAGE_IDS = [40, 0, 7, 33]
KEYS = ['image_id', 'category_id', 'bbox']
IOUS = [0.3, 0.5, 0.75, 1.0]


def make_task(seed: int, per_image: int, side: float) -> tuple[dict, list]:
    """Objects and detections with hard cases.

    There are crowds, equal scores and boxes, boxes without an area, images
    without objects or detections, and detections of images and classes that
    are not looked at.

    Args:
        seed: The seed.
        per_image: The number of detections on each image.
        side: The longest side of a box; above 100,000 some are too large.
    """
    random = np.random.default_rng(seed)

    def draw(number: int, images: list, categories: list) -> list[dict]:
        grid = side / 8
        return [
            dict(
                image_id=int(random.choice(images)),
                category_id=int(random.choice(categories)),
                bbox=[
                    *(random.integers(0, 4, 2) * grid).tolist(),
                    *(random.integers(0, 9, 2) * grid).tolist(),
                ],
            )
            for _ in range(number)
        ]

    objects = draw(60, IMAGE_IDS[1:], CATEGORY_IDS[:3])
    for one in objects:
        one['iscrowd'] = int(random.random() < 0.2)
    found = draw(4 * per_image, [*IMAGE_IDS[:3], 1], [*CATEGORY_IDS, 1])
    for one in found:
        one['score'] = float(random.integers(20) / 20)
        if random.random() < 0.3:
            same = objects[random.integers(60)]
            one.update((key, same[key]) for key in KEYS)
    truth = dict(
        images=[dict(id=i, file_name=f'{i}') for i in IMAGE_IDS],
        categories=[dict(id=i, name=f'{i}') for i in CATEGORY_IDS],
        annotations=objects,
    )
    return truth, found


def index(truth: dict, annotations: list[dict]) -> COCO:
    coco = COCO()
    coco.dataset = dict(
        images=[dict(one, height=100, width=120) for one in truth['images']],
        categories=truth['categories'],
        annotations=[
            # Objects and detections must not have the id 0.
            {
                'iscrowd': 0,
                **one,
                'id': number,
                'area': one['bbox'][2] * one['bbox'][3],
            }
            for number, one in enumerate(annotations, 1)
        ],
    )
    coco.createIndex()
    return coco


def evaluate(
    truth: dict, found: list[dict], kind: str = 'bbox', **params
) -> COCOeval:
    """What pycocotools makes of the boxes."""
    with contextlib.redirect_stdout(io.StringIO()):
        objects = index(truth, truth['annotations'])
        evaluation = COCOeval(objects, index(truth, found), kind)
        evaluation.params.imgIds = IMAGE_IDS
        for name, value in params.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
        evaluation.accumulate()
        if not params:
            evaluation.summarize()
    return evaluation


def slow_matches(truth: dict, found: list[dict]) -> list[tuple]:
    """Image, class, score and matches of each detection that counts."""
    evaluation = evaluate(
        truth,
        found,
        iouThrs=np.array(IOUS),
        areaRng=[[0, np.inf]],
        maxDets=[len(found)],
    )
    images = sorted(IMAGE_IDS)
    return [
        (
            images.index(one['image_id']),
            CATEGORY_IDS.index(one['category_id']),
            np.float32(score),
            ((one['dtMatches'] > 0) & ~ignored)[:, n].tolist(),
            (~ignored[:, n]).tolist(),
        )
        for one in filter(None, evaluation.evalImgs)
        for ignored in [one['dtIgnore'].astype(bool)]
        for n, score in enumerate(one['dtScores'])
        if not ignored[:, n].all()
    ]


@pytest.mark.parametrize('seed', range(12))
def test_each_match_is_that_of_pycocotools(monkeypatch, seed):
    # Odd seeds are matched in many small parts.
    if seed % 2:
        monkeypatch.setattr(greedy, 'PAIRS_AT_ONCE', 7)
    truth, found = make_task(seed, per_image=60, side=80)

    matches = match_images(truth, found, IMAGE_IDS, IOUS)

    expected = slow_matches(truth, found)
    expected.sort(key=lambda one: (one[1], one[0]))
    assert (
        list(
            zip(
                matches.image_index.tolist(),
                matches.labels.tolist(),
                matches.scores,
                matches.is_right.tolist(),
                matches.is_counted.tolist(),
                strict=True,
            )
        )
        == expected
    )
    assert matches.is_right.any(axis=0).all()
    assert not matches.is_right.all(axis=0).any()


@pytest.mark.parametrize('seed', range(6))
def test_taken_object_is_that_of_pycocotools(seed):
    truth, found = make_task(seed, per_image=60, side=80)
    numbering = Numbering.of(IMAGE_IDS, truth['categories'])
    known = [
        one
        for one in found
        if one['image_id'] in IMAGE_IDS and one['category_id'] in CATEGORY_IDS
    ]

    matched = greedy.match_columns(
        numbering.collect_objects(truth['annotations']),
        numbering.collect_found(known),
        IOUS,
    )

    evaluation = evaluate(
        truth,
        known,
        iouThrs=np.array(IOUS),
        areaRng=[[0, np.inf]],
        maxDets=[len(found)],
    )
    # pycocotools counts ids from 1, and 0 is no object.
    expected = {
        one_id - 1: int(match) - 1
        for one in filter(None, evaluation.evalImgs)
        for one_id, match in zip(one['dtIds'], one['dtMatches'][0])
    }
    taken = zip(matched.order.tolist(), matched.taken.tolist(), strict=True)
    assert dict(taken) == expected
    assert len(set(expected.values())) > 10


def give_masks(truth: dict, found: list[dict]) -> None:
    """Segment the lower left half of each box; some masks are empty."""
    for one in [*truth['annotations'], *found]:
        x, y, w, h = map(int, one['bbox'])
        mask = np.zeros((100, 120), np.uint8, order='F')
        mask[y : y + h, x : x + w] = np.tri(h, w)
        rle = coco_mask.encode(mask)
        one['segmentation'] = dict(rle, counts=rle['counts'].decode())


@pytest.mark.parametrize(
    'seed', [0, *[pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3)]]
)
def test_masks_are_matched_as_by_pycocotools(seed):
    truth, found = make_task(seed, per_image=60, side=60)
    give_masks(truth, found)
    sizes_hw = dict.fromkeys([*IMAGE_IDS, 1], (100, 120))
    numbering = Numbering.of(IMAGE_IDS, truth['categories'])

    metrics = compute_coco_metrics(
        numbering.collect_objects(truth['annotations'], sizes_hw),
        numbering.collect_found(found, sizes_hw),
        CATEGORY_IDS,
    )

    expected = evaluate(truth, found, kind='segm').stats[:3].tolist()
    assert metrics == dict(zip(MASK_METRICS, expected, strict=True))
    assert expected != evaluate(truth, found).stats[:3].tolist()
    assert 0 < expected[0] < expected[1] < 1


POLYGON = [[10, 20, 30, 20, 30, 40, 10, 40]]


def test_masks_are_read_in_all_forms_of_coco():
    (rle,) = coco_mask.frPyObjects(POLYGON, 50, 60)
    runs = np.diff(
        np.flatnonzero(np.diff(coco_mask.decode(rle).T.ravel())) + 1,
        prepend=0,
    )
    whole = [*runs.tolist(), 50 * 60 - int(runs.sum())]
    forms = [
        POLYGON,
        dict(size=[50, 60], counts=whole),
        dict(size=[50, 60], counts=rle['counts'].decode()),
        rle,
        [*POLYGON, [1, 1, 3, 1, 3, 3, 1, 3]],
    ]

    read = [read_mask(form, (50, 60)) for form in forms]

    decoded = [coco_mask.decode(one) for one in read]
    assert decoded[0].sum() == 400
    for other in decoded[1:4]:
        assert (other == decoded[0]).all()
    assert decoded[4].sum() == 404


def count_objects(truth: dict) -> np.ndarray:
    """Count the objects of each image and class, in sorted order of ids."""
    counts = np.zeros((len(IMAGE_IDS), len(CATEGORY_IDS)), int)
    for one in truth['annotations']:
        image = sorted(IMAGE_IDS).index(one['image_id'])
        label = CATEGORY_IDS.index(one['category_id'])
        counts[image, label] += not one['iscrowd']
    return counts


def test_objects_are_counted_by_image_and_class():
    truth, found = make_task(0, per_image=5, side=80)

    matches = match_images(truth, found, IMAGE_IDS, IOUS)

    assert (matches.num_truth == count_objects(truth)).all()


def match_one(objects: list, found: list, iou: float) -> list[bool]:
    """Whether each box on an image took an object, the best box first."""
    place = dict(image_id=0, category_id=9)
    truth, _ = make_task(0, per_image=0, side=80)
    truth['annotations'] = [dict(place, bbox=bbox) for bbox in objects]
    results = [
        dict(place, bbox=bbox, score=1 / number)
        for number, bbox in enumerate(found, 1)
    ]
    matches = match_images(truth, results, IMAGE_IDS, [iou])
    expected = [
        one['dtMatches'][0] > 0
        for one in evaluate(
            truth,
            results,
            iouThrs=np.array([iou]),
            areaRng=[[0, np.inf]],
            maxDets=[9],
        ).evalImgs
        if one
    ]
    assert matches.is_right[:, 0].tolist() == expected[0].tolist()
    return matches.is_right[:, 0].tolist()


def test_of_equal_overlaps_the_later_object_is_taken():
    objects = [[0, 0, 10, 10], [10, 0, 10, 10]]
    between = [5, 0, 10, 10]

    assert match_one(objects, [between, objects[1]], 0.3) == [True, False]
    assert match_one(objects, [between, objects[0]], 0.3) == [True, True]


def test_box_of_an_object_is_right_at_an_iou_of_1():
    # Rounding makes it a bit less.
    bbox = [5.0, 6.0, 9.6, 7.2]
    boxes = np.array([bbox])
    overlaps = greedy.measure_overlaps(boxes, boxes, np.array([False]))
    assert overlaps[0] < 1

    assert match_one([bbox], [bbox], 1.0) == [True]


def test_only_as_many_detections_as_coco_evaluates_have_a_metric():
    truth, _ = make_task(0, per_image=0, side=80)
    place = dict(image_id=0, category_id=9)
    truth['annotations'] = [dict(place, bbox=[0, 0, 9, 9])]
    numbering = Numbering.of(IMAGE_IDS, truth['categories'])

    def measure(num_wrong: int) -> float:
        found = [dict(place, bbox=[50, 50, 9, 9], score=0.9)] * num_wrong
        found.append(dict(place, bbox=[0, 0, 9, 9], score=0.5))
        return compute_coco_metrics(
            numbering.collect_objects(truth['annotations']),
            numbering.collect_found(found),
            CATEGORY_IDS,
        )['bbox_mAP']

    assert measure(99) == pytest.approx(0.01)
    assert measure(100) == 0


# More than 100 detections of an image and class; boxes above COCO's largest.
METRIC_CASES = [(60, 80.0), (800, 80.0), (60, 200_000.0)]


@pytest.mark.slow
@pytest.mark.parametrize(('per_image', 'side'), METRIC_CASES)
@pytest.mark.parametrize('seed', range(4))
def test_metrics_are_those_of_pycocotools_to_the_last_bit(
    seed, per_image, side
):
    truth, found = make_task(seed, per_image, side)
    numbering = Numbering.of(IMAGE_IDS, truth['categories'])

    metrics = compute_coco_metrics(
        numbering.collect_objects(truth['annotations']),
        numbering.collect_found(found),
        CATEGORY_IDS,
    )

    expected = evaluate(truth, found).stats[:3].tolist()
    assert list(metrics.values()) == expected
    assert 0 < metrics['bbox_mAP'] < metrics['bbox_mAP_50'] < 1


def test_boxes_that_touch_or_have_no_area_do_not_overlap():
    boxes = np.array([[0, 0, 10, 10], [10, 0, 5, 5], [0, 0, 0, 0.0]])

    for one in boxes[1:]:
        overlap = greedy.measure_overlaps(
            boxes[:1], one[None], np.array([False])
        )
        assert overlap.tolist() == [0]


def test_parts_keep_groups_together(monkeypatch):
    monkeypatch.setattr(greedy, 'PAIRS_AT_ONCE', 4)
    keys = np.array([1, 1, 1, 5, 6, 6, 9])

    parts = list(greedy.split_groups(keys, np.full(7, 2)))

    assert [keys[part].tolist() for part in parts] == [
        [1, 1, 1], [5, 6, 6], [9]
    ]  # fmt: skip
    assert list(greedy.split_groups(keys[:0], keys[:0])) == []


@pytest.mark.parametrize('score', [[0.5], 'high', {}])
def test_score_that_is_no_number_is_refused(score):
    numbering = Numbering.of([1], [dict(id=1)])
    found = dict(image_id=1, category_id=1, bbox=[0, 0, 1, 1], score=score)

    with pytest.raises((TypeError, ValueError), match='sequence|float'):
        numbering.collect_found([found])
