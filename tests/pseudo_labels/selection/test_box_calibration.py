"""Boxes are calibrated by the true boxes of validation images."""

import json

import numpy as np
import pytest
from report_files import write_selection

from projects.data_distillation.label_files.column_matching.greedy import (
    DetectionColumns,
    Objects,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    DetectionStore,
)
from projects.data_distillation.pseudo_labels.selection import box_calibration
from projects.data_distillation.pseudo_labels.selection.export import (
    select_labels,
)
from projects.data_distillation.pseudo_labels.selection.rules import (
    SelectionRules,
)

MIN_OBJECTS = box_calibration.MIN_OBJECTS
NUM_PRIOR = box_calibration.NUM_PRIOR
BoxCalibration = box_calibration.BoxCalibration
SIZE = np.array([[1000, 800]])


def columns(boxes, images=None, labels=None) -> dict:
    boxes = np.array(boxes, float).reshape(-1, 4)
    zeros = np.zeros(len(boxes), int)
    return dict(
        image_index=zeros if images is None else np.array(images, int),
        labels=zeros if labels is None else np.array(labels, int),
        bbox_xywh=boxes,
    )


def found(boxes, **names) -> DetectionColumns:
    scores = np.ones(len(boxes), np.float32)
    return DetectionColumns(**columns(boxes, **names), scores=scores)


def objects(boxes, is_crowd=False, **names) -> Objects:
    crowds = np.full(len(boxes), is_crowd)
    return Objects(**columns(boxes, **names), is_crowd=crowds)


def grid(count: int, width: float = 20, height: float = 30) -> np.ndarray:
    """Boxes side by side, 100 pixels apart."""
    starts = [(x % 9 * 100, x // 9 * 100) for x in range(count)]
    return np.array([(x, y, width, height) for x, y in starts], float)


def fit(boxes, truth) -> BoxCalibration:
    return BoxCalibration.fit(found(boxes), objects(truth), 1)


def calibrate(calibration: BoxCalibration, *boxes) -> list:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), int)
    sizes_wh = np.repeat(SIZE, len(boxes), axis=0)
    return calibration.apply(boxes, labels, sizes_wh).tolist()


@pytest.mark.parametrize('count', [MIN_OBJECTS, 40])
def test_boxes_that_are_all_too_narrow_get_wider(count):
    truth = grid(count)
    boxes = np.add(truth * [1, 1, 0.8, 1], [2, 0, 0, 0])  # Same centers.

    calibration = fit(boxes, truth)

    ((x, y, width, height),) = calibrate(calibration, [102, 100, 16, 30])
    factor = (1 / 0.8) ** (count / (count + NUM_PRIOR))
    assert calibration.num_objects.tolist() == [count]
    assert width == pytest.approx(16 * factor, abs=0.02)
    assert x + width / 2 == pytest.approx(110, abs=0.02)
    assert (y, height) == (100, 30)


def test_boxes_that_are_all_too_low_go_up():
    truth = grid(60)

    calibration = fit(np.add(truth, [0, 6, 0, 0]), truth)

    ((x, y, width, height),) = calibrate(calibration, [100, 106, 20, 30])
    assert (x, width, height) == (100, 20, 30)
    assert y == pytest.approx(106 - 6 * 60 / 70, abs=0.01)


def test_large_and_small_boxes_are_corrected_differently():
    sides = np.linspace(16, 64, 60)
    truth = (
        grid(60, 1, 1) * [1, 1, 0, 0]
        + np.c_[sides * 0, sides * 0, sides, sides]
    )
    boxes = truth.copy()
    boxes[:, 2:] *= (sides / 32)[:, None] ** -0.2  # Drawn towards 32.

    calibration = fit(boxes, truth)

    (small, large) = calibrate(calibration, [0, 0, 20, 20], [0, 0, 60, 60])
    assert small[2] < 20
    assert large[2] > 60


def test_boxes_beyond_those_seen_change_like_the_largest_one():
    sides = np.linspace(16, 64, 60)
    truth = np.c_[grid(60)[:, :2], sides, sides]
    boxes = truth.copy()
    boxes[:, 2:] *= (sides / 32)[:, None] ** -0.2
    calibration = fit(boxes, truth)
    largest = boxes[:, 2].max()

    (at_end, beyond) = calibrate(
        calibration, [0, 0, largest, largest], [0, 0, 400, 400]
    )

    assert beyond[2] / 400 == pytest.approx(at_end[2] / largest, rel=1e-3)


def test_class_without_an_object_stays_as_it_is():
    calibration = BoxCalibration.fit(
        found(grid(20) * [1, 1, 0.8, 1]), objects(grid(20)), 2
    )
    box = np.array([[10.25, 20.5, 30.75, 40]], np.float32)

    other = calibration.apply(box, np.array([1]), SIZE)

    assert other.dtype == np.float32
    assert other.tolist() == box.tolist()
    assert calibration.num_objects.tolist() == [20, 0]


def test_few_objects_correct_nothing():
    few = MIN_OBJECTS - 1
    calibration = fit(grid(few) * [1, 1, 0.8, 1], grid(few))

    assert calibrate(calibration, [1, 2, 30, 40]) == [[1, 2, 30, 40]]
    assert calibration.describe(['a']) == (
        f'boxes not calibrated, since fewer than {MIN_OBJECTS} objects were '
        f'found: a {few}'
    )


def test_nothing_is_learned_from_nothing():
    calibration = fit(grid(0), grid(3))

    assert calibrate(calibration, [1, 2, 3, 4]) == [[1, 2, 3, 4]]
    assert calibrate(calibration) == []


def test_corrected_boxes_stay_within_their_image():
    truth = grid(60)
    calibration = fit(truth * [1, 1, 0.7, 0.7], truth)

    for x, y, width, height in calibrate(
        calibration, [0, 0, 30, 30], [960, 770, 40, 30]
    ):
        assert min(x, y) >= 0
        assert x + width <= 1000
        assert y + height <= 800


def test_box_that_would_be_thin_stays():
    truth = grid(60, 10, 10)
    calibration = fit(truth * [1, 1, 1.6, 1.6], truth)
    thin = [500, 400, 1.05, 1.05]

    assert calibrate(calibration, thin) == [pytest.approx(thin)]


def test_corrected_boxes_are_rounded_like_those_that_are_stored():
    truth = grid(60)
    calibration = fit(truth * [1, 1, 0.7, 0.9], truth)

    (box,) = calibrate(calibration, [100.01, 200.02, 13.13, 27.77])

    assert box == [np.float32(round(value, 2)) for value in box]
    assert box[2] > 13.13


@pytest.mark.slow
def test_pairs_are_those_of_a_slow_loop():
    random = np.random.default_rng(0)
    boxes = np.add(random.uniform(0, 40, (200, 4)), [0, 0, 15, 15])
    truth = boxes[:120] + random.normal(0, 3, (120, 4))
    keys = random.integers(0, 3, (2, 200))
    names = dict(images=keys[0], labels=keys[1])
    true_names = dict(images=keys[0][:120], labels=keys[1][:120])

    owners, targets = box_calibration.pair_boxes(
        found(boxes, **names), objects(truth, **true_names)
    )

    overlaps = np.array([[overlap(a, b) for b in truth] for a in boxes])
    same = (keys[:, :, None] == keys[:, None, :120]).all(axis=0)
    overlaps = np.where(same, overlaps, 0)
    expected = [
        (i, j)
        for i, row in enumerate(overlaps)
        for j, value in enumerate(row)
        if value >= 0.5
        and value == row.max()
        and value == overlaps[:, j].max()
    ]
    assert len(expected) > 50
    assert list(zip(owners, targets, strict=True)) == expected


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    start = np.maximum(a[:2], b[:2])
    stop = np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    common = np.clip(stop - start, 0, None).prod()
    return common / (a[2:].prod() + b[2:].prod() - common)


def test_crowds_teach_nothing():
    truth = grid(20)

    owners, _ = box_calibration.pair_boxes(
        found(truth), objects(truth, is_crowd=True)
    )

    assert len(owners) == 0


def test_user_sees_what_changes_most_first():
    truth = grid(40)
    calibration = BoxCalibration.fit(
        found([*truth, *truth * [1, 1, 0.8, 1]], labels=[0] * 40 + [1] * 40),
        objects([*truth, *truth], labels=[0] * 40 + [1] * 40),
        3,
    )

    assert calibration.describe(['a', 'b', 'c']) == (
        'boxes calibrated by 80 objects of the validation images '
        '(width x height): b 1.20 x 1.00, a 1.00 x 1.00\n'
        'boxes not calibrated, since fewer than 10 objects were found: c 0'
    )


def test_many_classes_are_cut():
    nothing = BoxCalibration.fit(found(grid(0)), objects(grid(0)), 9)

    assert nothing.describe('abcdefghi').endswith(
        ': a 0, b 0, c 0, d 0, e 0, f 0 and 3 more'
    )


CATEGORIES = [dict(id=7, name='red')]
TEACHER = dict(checkpoint_sha256='1', classes=['red'], image_folder='u')


def write_store(folder, boxes, image_folder: str, scores=0.9) -> None:
    xyxy = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    row = dict(
        file_name='a',
        image_id=1,
        width=1000,
        height=800,
        unreadable=None,
        bboxes_xyxy=xyxy.tolist(),
        scores=np.full(len(boxes), scores).tolist(),
        labels=[0] * len(boxes),
        num_views=[1] * len(boxes),
        corner_spread=[0.0] * len(boxes),
    )
    store = DetectionStore(folder, dict(TEACHER, image_folder=image_folder))
    store.add(row)
    store.flush()


def write_truth(file, boxes) -> str:
    annotations = [
        dict(id=n, image_id=1, category_id=7, bbox=box, iscrowd=0, area=1)
        for n, box in enumerate(boxes.tolist(), 1)
    ]
    images = [dict(id=1, file_name='a', width=1000, height=800)]
    content = dict(
        images=images, annotations=annotations, categories=CATEGORIES
    )
    file.write_text(json.dumps(content))
    return str(file)


@pytest.mark.filterwarnings('error')
def test_labels_have_corrected_boxes(tmp_path):
    truth = grid(40)
    narrow = truth * [1, 1, 0.8, 1]
    # One without a width is no label, and has no logarithm.
    thin = np.vstack([narrow, [5, 5, 0, 9]])
    write_store(tmp_path / 'u', thin, 'u')
    # What is no label teaches nothing, although it fits better.
    both = np.vstack([narrow, truth])
    write_store(tmp_path / 'v', both, 'v', np.repeat([0.9, 0.3], 40))
    true_file = write_truth(tmp_path / 'truth.json', truth)
    rules = dict(
        selector=dict(type='FixedSelector', min_score=0.5),
        validation=dict(detections=str(tmp_path / 'v'), ann_file=true_file),
        calibrates_boxes=True,
    )
    out = tmp_path / 'labels.json'

    summary = select_labels(tmp_path / 'u', true_file, rules, out)

    labels = json.loads(out.read_text())
    widths = {label['bbox'][2] for label in labels['annotations']}
    areas = {round(label['area']) for label in labels['annotations']}
    assert max(widths) == pytest.approx(20 * 0.8 ** (10 / 50), abs=0.02)
    assert len(widths) <= 2  # They are rounded.
    assert areas == {round(20 * 0.8 ** (10 / 50) * 30)}
    assert summary.startswith('boxes calibrated by 40 objects')
    # The rules repeat the selection.
    used = labels['info']['data_distillation']['selection']
    assert used['calibrates_boxes']
    assert SelectionRules(**used).calibrates_boxes


def test_calibration_needs_validation():
    with pytest.raises(ValueError, match='got validation=None'):
        SelectionRules(calibrates_boxes=True)


def test_boxes_of_stored_masks_are_not_calibrated(tmp_path):
    source = write_selection(tmp_path, masks=True)
    validation = dict(detections=str(tmp_path / 'v'), ann_file=source.truth)
    rules = dict(validation=validation, calibrates_boxes=True)
    before = source.pseudo_labels.read_bytes()

    with pytest.raises(ValueError, match='leave out --calibrate-boxes'):
        select_labels(
            source.detections, source.labeled, rules, source.pseudo_labels
        )

    assert source.pseudo_labels.read_bytes() == before
