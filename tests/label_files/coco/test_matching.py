"""Matching, against pycocotools' curves and a slow oracle of its rules."""

import json

import numpy as np
import pytest
from builders import (
    found_row,
    mark_as_crowd,
    random_matching_task,
    write_coco,
)
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.data_distillation.label_files.coco.matching import (
    ClassMatches,
    check_labels,
    match_detections,
    match_images,
)
from projects.data_distillation.label_files.coco.reading import CocoError

BOX = [10, 10, 20, 20]
WIDE = [10, 10, 30, 20]  # has twice the area of BOX


def overlap(found, true, is_crowd):
    """IoU; of a crowd the share of the detection that lies on it."""
    width = min(found[2], true[2]) - max(found[0], true[0])
    height = min(found[3], true[3]) - max(found[1], true[1])
    common = max(width, 0) * max(height, 0)
    area, true_area = ((b[2] - b[0]) * (b[3] - b[1]) for b in (found, true))
    return common / (area if is_crowd else area + true_area - common)


def slow_matches(row, truths, label, iou, min_score=0.0):
    """COCO's rules for one image and class: [(score, is right)]."""
    boxes = [
        ([max(c, 0) for c in corners], score)
        for corners, score, found_label in zip(
            row['bboxes_xyxy'], row['scores'], row['labels']
        )
        if found_label == label and score >= min_score
    ]
    matches, taken = [], set()
    for box, score in sorted(boxes, key=lambda one: -one[1]):
        best, best_overlap = None, iou
        for number, (true, is_crowd) in enumerate(truths):
            value = overlap(box, true, is_crowd)
            # Of equal overlaps the later wins.
            if not is_crowd and number not in taken and value >= best_overlap:
                best, best_overlap = number, value
        if best is not None:
            taken.add(best)
            matches.append((score, True))
        elif not any(c and overlap(box, t, True) >= iou for t, c in truths):
            matches.append((score, False))
    return matches


def objects(truth, image, category):
    """Boxes (x, y, x, y) of an image and class, and whether it is a crowd."""
    return [
        ([x, y, x + w, y + h], bool(a['iscrowd']))
        for a in truth['annotations']
        for x, y, w, h in [a['bbox']]
        if (a['image_id'], a['category_id']) == (image['id'], category['id'])
    ]


@pytest.mark.parametrize('iou', [0.5, 0.75])
@pytest.mark.parametrize('seed', range(12))
def test_matches_are_those_of_a_slow_oracle(tmp_path, seed, iou):
    file, rows = random_matching_task(tmp_path, seed, first_id=0)
    truth = json.loads(file.read_text())

    found = match_detections(rows, file, iou)

    assert len(found) == len(truth['categories'])
    for label, category in enumerate(truth['categories']):
        truths = [objects(truth, i, category) for i in truth['images']]
        pairs = [
            pair
            for row, of_image in zip(rows, truths)
            for pair in slow_matches(row, of_image, label, iou)
        ]
        pairs.sort(key=lambda pair: -pair[0])
        scores = np.array([score for score, _ in pairs], np.float32)
        assert found[label].scores.tolist() == scores.tolist()
        assert found[label].is_right.tolist() == [r for _, r in pairs]
        assert found[label].num_truth == sum(
            not is_crowd for of_image in truths for _, is_crowd in of_image
        )


@pytest.mark.parametrize('seed', range(6))
def test_one_matching_serves_all_thresholds(tmp_path, seed):
    file, rows = random_matching_task(tmp_path, seed)
    truth = json.loads(file.read_text())
    found = match_detections(rows, file, 0.5)

    for min_score in (0.0, 0.3, 0.7, 0.9, 1.0):
        for label, category in enumerate(truth['categories']):
            is_right = [
                right
                for row, image in zip(rows, truth['images'])
                for _, right in slow_matches(
                    row, objects(truth, image, category), label, 0.5, min_score
                )
            ]
            assert found[label].count_from(min_score) == (
                sum(is_right),
                len(is_right),
            )


@pytest.mark.parametrize('seed', range(12))
def test_curves_are_those_of_pycocotools(tmp_path, seed):
    file, rows = random_matching_task(tmp_path, seed)
    evaluation = accumulated(file, rows)

    # The order of the rows does not matter, also where scores are equal.
    found = match_detections(reversed(rows), file, 0.5)

    # pycocotools orders the categories by id.
    ids = [c['id'] for c in json.loads(file.read_text())['categories']]
    for k, matches in enumerate(found[i] for i in np.argsort(ids)):
        precision = evaluation.eval['precision'][0, :, k, 0, 0]
        if not matches.num_truth:
            assert set(precision) == {-1}
            assert np.isnan(matches.recall()).all()
            continue
        recall = matches.recall()
        # The highest precision at this recall or a higher one, 0 beyond.
        highest = np.maximum.accumulate(matches.precision()[::-1])[::-1]
        at = np.searchsorted(recall, evaluation.params.recThrs)
        np.testing.assert_allclose(np.append(highest, 0)[at], precision)
        assert recall[-1] == evaluation.eval['recall'][0, k, 0, 0]


def accumulated(file, rows):
    """What pycocotools makes of the same detections, by its own way in."""
    truth = COCO(file)
    ids = {i['file_name']: i['id'] for i in truth.dataset['images']}
    category_ids = [c['id'] for c in truth.dataset['categories']]
    results = []
    for row in rows:
        for corners, score, label in zip(
            row['bboxes_xyxy'], row['scores'], row['labels']
        ):
            x, y = max(corners[0], 0), max(corners[1], 0)
            results.append(
                dict(
                    image_id=ids[row['file_name']],
                    category_id=category_ids[label],
                    bbox=[x, y, corners[2] - x, corners[3] - y],
                    score=score,
                )
            )
    evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.params.areaRng = [[0, 1e10]]
    evaluation.params.maxDets = [1000]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def test_precision_and_recall_are_after_each_detection():
    matches = ClassMatches(
        np.array([0.9, 0.8, 0.8, 0.1], np.float32),
        np.array([True, False, True, True]),
        num_truth=4,
    )

    assert matches.precision().tolist() == [1, 1 / 2, 2 / 3, 3 / 4]
    assert matches.recall().tolist() == [1 / 4, 1 / 4, 2 / 4, 3 / 4]


def test_thresholds_count_as_selection_compares_them():
    # As float64, 0.7 is above this score, and 0.8 below.
    scores = np.array([0.8, 0.8, 0.7, 0.1], np.float32)
    matches = ClassMatches(scores, np.array([True, False, True, False]), 9)

    assert [
        matches.count_from(s) for s in (0.0, 0.1, 0.7, 0.75, 0.8, np.inf)
    ] == [
        (2, 4),
        (2, 4),
        (2, 3),
        (1, 2),
        (1, 2),
        (0, 0),
    ]


@pytest.fixture
def one_sided(tmp_path) -> tuple[ClassMatches, ClassMatches]:
    """A class that was not found, and one that was found nowhere rightly."""
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])
    return match_detections([found_row('0', (BOX, 0.5, 1))], truth, 0.5)


def test_class_without_detections_has_empty_arrays(one_sided):
    red, _ = one_sided

    assert red.num_truth == 1
    assert red.scores.shape == red.is_right.shape == red.precision().shape
    assert red.scores.shape == (0,)
    assert (red.scores.dtype, red.is_right.dtype) == (np.float32, bool)
    assert red.count_from(0) == (0, 0)


def test_class_without_objects_has_no_recall(one_sided):
    _, green = one_sided

    assert green.num_truth == 0
    assert green.is_right.tolist() == [False]
    assert green.precision().tolist() == [0]
    assert np.isnan(green.recall()).all()


def test_no_image_has_no_match(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])

    assert [m.num_truth for m in match_detections([], truth, 0.5)] == [0, 0]


def test_truth_without_any_object_is_one(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [])

    red, _ = match_detections([found_row('0', (BOX, 0.5, 0))], truth, 0.5)

    assert (red.is_right.tolist(), red.num_truth) == ([False], 0)


def test_objects_of_other_images_are_not_to_be_found(tmp_path):
    objects = [(1, 7, [10, 10, 10, 10]), (2, 7, [10, 10, 10, 10])]
    truth = write_coco(tmp_path / 'truth.json', objects)

    red, _ = match_detections([found_row('1', (BOX, 0.5, 0))], truth, 0.5)

    assert (red.is_right.tolist(), red.num_truth) == ([True], 1)


def test_detections_on_crowds_are_left_out(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [0, 0, 90, 90])])
    crowd = mark_as_crowd(truth, 0)

    red, _ = match_detections([found_row('0', (BOX, 0.5, 0))], crowd, 0.5)

    assert (len(red.scores), len(red.is_right), red.num_truth) == (0, 0, 0)


@pytest.mark.parametrize('iou', [0, 1.5])
def test_iou_out_of_range_is_refused_for_images_too(tmp_path, iou):
    file = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])

    with pytest.raises(ValueError, match='must be'):
        match_images(json.loads(file.read_text()), [], [1], [0.5, iou])


def test_ious_that_do_not_ascend_are_refused(tmp_path):
    file = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])

    with pytest.raises(ValueError, match=r'must ascend, got \[0.75, 0.5\]'):
        match_images(json.loads(file.read_text()), [], [1], [0.75, 0.5])


@pytest.mark.parametrize('num_sides', [3, 5])
def test_box_without_four_sides_does_not_shift_the_others(tmp_path, num_sides):
    file = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])] * 2)
    truth = json.loads(file.read_text())
    truth['annotations'][0]['bbox'] = [10] * num_sides

    with pytest.raises(ValueError, match='must be four numbers, got .10, 10'):
        match_images(truth, [], [1], [0.5])


def test_images_are_by_ascending_id_and_matched_at_each_iou(tmp_path):
    file = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])
    truth = json.loads(file.read_text())
    # The IoU is 2/3.
    found = dict(image_id=1, category_id=7, bbox=[10, 10, 15, 10], score=0.9)

    matches = match_images(truth, [found], [2, 1], [0.5, 0.75])

    assert matches.num_truth.tolist() == [[1, 0], [0, 0]]
    assert matches.image_index.tolist() == [0]
    of_red = [matches.by_class(n)[0] for n in (0, 1)]
    assert [one.is_right.tolist() for one in of_red] == [[True], [False]]


def test_crowd_counts_only_at_ious_that_it_reaches(tmp_path):
    file = write_coco(tmp_path / 'truth.json', [(1, 7, [0, 0, 16, 90])])
    truth = json.loads(mark_as_crowd(file, 0).read_text())
    # A share of 0.6 lies on the crowd.
    found = dict(image_id=1, category_id=7, bbox=[10, 10, 10, 10], score=0.9)

    matches = match_images(truth, [found], [1], [0.5, 0.75])

    # As for pycocotools, the detection is wrong from the higher IoU on.
    assert matches.is_right.tolist() == [[False, False]]
    assert matches.is_counted.tolist() == [[False, True]]
    assert [len(matches.by_class(n)[0].scores) for n in (0, 1)] == [0, 1]
    assert match_images(truth, [found], [1], [0.5]).is_right.shape == (0, 1)


def test_truth_that_does_not_say_crowd_or_area_has_objects(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])
    content = json.loads(truth.read_text())
    del content['annotations'][0]['iscrowd'], content['annotations'][0]['area']
    truth.write_text(json.dumps(content))

    red, _ = match_detections([found_row('0', (BOX, 0.5, 0))], truth, 0.5)

    assert (red.is_right.tolist(), red.num_truth) == ([True], 1)


@pytest.mark.parametrize(
    ('labels', 'wrong'),
    [([-1, 2], -1), ([0, 1, 2, 3], 3), ([2, -1, -5], -5), ([-1, 7], 7)],
)
def test_label_that_is_no_class_of_the_truth_is_named(labels, wrong):
    words = f'a.json has 3 categories, .* from 0 to 2, got {wrong}: it is not'

    with pytest.raises(CocoError, match=words):
        check_labels(set(labels), 3, 'a.json')

    assert check_labels({0, 2}, 3, 'a.json') is None


def test_overlap_of_exactly_iou_is_right(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])
    rows = [found_row('0', (WIDE, 0.5, 0))]

    right = [
        match_detections(rows, truth, iou)[0].is_right.tolist()
        for iou in (0.5, 0.51)
    ]

    assert right == [[True], [False]]


def test_more_detections_than_coco_evaluates_all_count(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])
    rows = [found_row('0', *[(WIDE, 0.5, 0)] * 150)]

    red, _ = match_detections(rows, truth, 0.5)

    assert red.count_from(0) == (1, 150)


def test_image_or_class_that_the_truth_lacks_is_refused(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [10, 10, 10, 10])])

    with pytest.raises(ValueError, match='lacks 1 of 2 images.*is 9'):
        match_detections([found_row('0'), found_row('9')], truth, 0.5)
    with pytest.raises(ValueError, match='2 categories.*0 to 1, got -1'):
        match_detections([found_row('0', (BOX, 0.5, -1))], truth, 0.5)


@pytest.mark.parametrize('iou', [0, 1.5])
def test_overlap_out_of_range_is_refused(tmp_path, iou):
    truth = write_coco(tmp_path / 'truth.json', [])

    with pytest.raises(ValueError, match=f'iou must be .* got {iou}'):
        match_detections([], truth, iou)
