"""Quality of pseudo labels, against cases with a known answer."""

import json
from pathlib import Path

import pytest
from builders import found_row, mark_as_crowd
from builders import write_coco as write

from projects.data_distillation.label_files.coco.contents import require_masks
from projects.data_distillation.label_files.coco.measures import (
    check_truth,
    compute_detection_metrics,
    measure_pseudo_labels,
)
from projects.data_distillation.label_files.coco.reading import CocoError

TRUTH = [
    (1, 7, [0, 0, 10, 10]),
    (1, 3, [50, 50, 10, 10]),
    (2, 7, [0, 0, 10, 10]),
    (2, 7, [20, 20, 10, 10]),
]
CASES = [
    pytest.param([(*t, 0.9) for t in TRUTH], 1.0, 1.0, id='all found'),
    pytest.param([], None, 0.0, id='no pseudo label'),
    pytest.param(
        [(1, 3, [0, 0, 10, 10], 0.9)], 0.0, 0.0, id='right box, wrong class'
    ),
    pytest.param(
        [(2, 7, [0, 0, 10, 10], 0.9), (2, 7, [0, 0, 10, 9], 0.8)],
        0.5,
        0.25,
        id='one object labeled twice',
    ),
    pytest.param(
        [(1, 7, [0, 0, 10, 5], 0.9)], 1.0, 0.25, id='overlap just enough'
    ),
    pytest.param(
        [(1, 7, [0, 0, 10, 4.9], 0.9)], 0.0, 0.0, id='overlap just too low'
    ),
]


@pytest.mark.parametrize(('pseudo', 'precision', 'recall'), CASES)
def test_precision_and_recall(tmp_path, pseudo, precision, recall):
    quality = measure_pseudo_labels(
        write(tmp_path / 'pseudo.json', pseudo),
        write(tmp_path / 'truth.json', TRUTH),
    )

    assert quality == dict(
        images=2, instances=len(pseudo), precision=precision, recall=recall
    )


def test_labels_that_a_person_added_need_no_score(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)
    pseudo = write(tmp_path / 'pseudo.json', [(1, 7, [0, 0, 10, 9], 0.8)])
    content = json.loads(pseudo.read_text())
    added = dict(content['annotations'][0], id=9, bbox=[0, 0, 10, 8])
    del added['score']
    content['annotations'].append(added)
    pseudo.write_text(json.dumps(content))

    # The added one takes the object, and the other one finds none.
    quality = measure_pseudo_labels(pseudo, truth, iou=0.75)
    assert (quality['precision'], quality['recall']) == (0.5, 0.25)

    del content['annotations']
    pseudo.write_text(json.dumps(content))
    assert measure_pseudo_labels(pseudo, truth)['instances'] == 0


def test_masks_of_labels_need_the_sizes_of_their_images(tmp_path):
    files = []
    for name in ('pseudo.json', 'truth.json'):
        file = write(tmp_path / name, [(1, 7, [0, 0, 9, 9], 0.9)])
        content = json.loads(file.read_text())
        content['annotations'][0]['segmentation'] = [[0, 0, 9, 0, 9, 9]]
        for image in content['images']:
            image.update(width=20, height=10)
        file.write_text(json.dumps(content))
        files.append(file)
    assert measure_pseudo_labels(*files)['mask_precision'] == 1.0

    content = json.loads(files[0].read_text())
    del content['images'][1]['width']
    files[0].write_text(json.dumps(content))
    with pytest.raises(CocoError, match=r'pseudo\.json has images without'):
        measure_pseudo_labels(*files)


@pytest.mark.parametrize('name', ['pseudo', 'truth'])
def test_annotation_without_a_box_is_refused(tmp_path, name):
    for one in ('pseudo', 'truth'):
        write(tmp_path / f'{one}.json', [(1, 7, [0, 0, 9, 9], 0.9)])
    file = tmp_path / f'{name}.json'
    content = json.loads(file.read_text())
    del content['annotations'][0]['bbox']
    file.write_text(json.dumps(content))

    with pytest.raises(CocoError, match=rf'{name}\.json.*`bbox`'):
        measure_pseudo_labels(
            tmp_path / 'pseudo.json', tmp_path / 'truth.json'
        )


@pytest.mark.parametrize(
    ('annotations', 'match'),
    [
        (None, 'must be a list, got None'),
        ({}, 'must be a list, got {}'),
        ([5], r'1 lack one of them, the first is annotations\[0\]'),
        ([dict(category_id=7, bbox=[0, 0, 9, 9])], 'must have `image_id`'),
        ([dict(image_id=1, bbox=[0, 0, 9, 9])], '1 lack'),
        ([dict(image_id=1, category_id=7, bbox=None)], '1 lack'),
    ],
)
def test_labels_that_are_broken_are_refused(tmp_path, annotations, match):
    truth = write(tmp_path / 'truth.json', TRUTH)
    pseudo = write(tmp_path / 'pseudo.json', [])
    content = dict(json.loads(pseudo.read_text()), annotations=annotations)
    pseudo.write_text(json.dumps(content))

    with pytest.raises(CocoError, match=rf'pseudo\.json: .*{match}'):
        measure_pseudo_labels(pseudo, truth)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('bbox', [1, 1, 5]),
        ('bbox', [1, 1, 5, 5, 5]),
        ('bbox', []),
        ('bbox', ['a', 1, 5, 5]),
        ('bbox', [None] * 4),
        ('bbox', [1, 1, 10**400, 5]),
        ('bbox', [1, 1, float('nan'), 5]),
        ('score', 'x'),
        ('score', None),
        ('category_id', [7]),
        ('image_id', {}),
    ],
)
def test_label_with_a_value_that_cannot_be_compared_is_refused(
    tmp_path, key, value
):
    truth = write(tmp_path / 'truth.json', TRUTH)
    pseudo = write(tmp_path / 'pseudo.json', [(*t, 0.9) for t in TRUTH])
    content = json.loads(pseudo.read_text())
    content['annotations'][2][key] = value
    pseudo.write_text(json.dumps(content))

    with pytest.raises(
        CocoError,
        match=rf'pseudo\.json: .* 1 have others, .*annotations\[2\].*{key}',
    ):
        measure_pseudo_labels(pseudo, truth)


def test_label_of_a_category_that_the_truth_lacks_is_refused(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)
    labels = [(*TRUTH[0], 0.9), (1, 99, [0, 0, 10, 10], 0.9)]
    pseudo = write(tmp_path / 'pseudo.json', labels)

    with pytest.raises(CocoError, match='^1 pseudo .* of 99, it has .7, 3.:'):
        measure_pseudo_labels(pseudo, truth)


def write_with_mask(file: Path, segmentation: object, width: int = 20) -> Path:
    content = json.loads(write(file, [(1, 7, [0, 0, 9, 9], 0.9)]).read_text())
    content['annotations'][0]['segmentation'] = segmentation
    for image in content['images']:
        image.update(width=width, height=10)
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize('broken', ['pseudo.json', 'truth.json'])
@pytest.mark.parametrize(
    ('segmentation', 'fault'),
    [
        ('x', 'wrong'),
        ([[1, 1]], 'short'),
        ([[]], 'empty'),
        (dict(size=[10, 20]), 'wrong'),
        (dict(size=[20, 10], counts=[200]), r'\(20, 10\) .* of \(10, 20\)'),
    ],
)
def test_mask_that_cannot_be_compared_is_refused(
    tmp_path, broken, segmentation, fault
):
    files = [
        write_with_mask(
            tmp_path / name,
            segmentation if name == broken else [[0, 0, 9, 0, 9, 9]],
        )
        for name in ('pseudo.json', 'truth.json')
    ]

    with pytest.raises(CocoError, match=rf'in .*{broken} .* what is {fault}'):
        measure_pseudo_labels(*files)


def test_masks_of_other_sizes_than_those_of_the_truth_are_refused(tmp_path):
    polygons = [[0, 0, 9, 0, 9, 9]]
    pseudo = write_with_mask(tmp_path / 'pseudo.json', polygons)
    truth = write_with_mask(tmp_path / 'truth.json', polygons, width=40)

    with pytest.raises(
        ValueError,
        match=r'must have one size .*got \[10, 20\] .* \[10, 40\] for',
    ):
        measure_pseudo_labels(pseudo, truth)


def test_sides_of_images_with_masks_are_whole_numbers(tmp_path):
    polygons = [[0, 0, 9, 0, 9, 9]]
    pseudo = write_with_mask(tmp_path / 'pseudo.json', polygons)
    truth = write_with_mask(tmp_path / 'truth.json', polygons, width='20')

    with pytest.raises(CocoError, match=r"image 1 has \('20', 10\)"):
        measure_pseudo_labels(pseudo, truth)


def test_labels_on_a_crowd_count_neither_way(tmp_path):
    truth = mark_as_crowd(write(tmp_path / 'truth.json', TRUTH), 0)
    pseudo = write(
        tmp_path / 'pseudo.json', [(1, 7, [1, 1, 5, 5], 0.9), (*TRUTH[1], 0.8)]
    )

    quality = measure_pseudo_labels(pseudo, truth)

    assert quality['precision'] == 1.0
    assert quality['recall'] == pytest.approx(1 / 3)


def test_doubtful_regions_of_the_pseudo_labels_are_no_labels(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)
    doubtful = [(*TRUTH[0], 0.9), (1, 3, [0, 0, 9, 9], 0.9)]
    pseudo = write(tmp_path / 'pseudo.json', [*doubtful, (*TRUTH[1], 0.8)])

    quality = measure_pseudo_labels(mark_as_crowd(pseudo, 0, 1), truth)

    assert quality == dict(images=2, instances=1, precision=1.0, recall=0.25)


@pytest.mark.parametrize('iou', [0, 1.01])
def test_overlap_out_of_range_is_refused(tmp_path, iou):
    truth = write(tmp_path / 'truth.json', TRUTH)

    with pytest.raises(ValueError, match=f'above 0 and at most 1, got {iou}'):
        measure_pseudo_labels(truth, truth, iou)


def test_overlap_that_counts_can_be_chosen(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)
    pseudo = write(tmp_path / 'pseudo.json', [(1, 7, [0, 0, 10, 7.4], 0.9)])

    right = [
        measure_pseudo_labels(pseudo, truth, iou)['precision']
        for iou in (0.5, 0.74, 0.75)
    ]

    assert right == [1.0, 1.0, 0.0]


def test_more_labels_than_coco_evaluates_count_all(tmp_path):
    grid = [
        (1, 7, [12 * i, 12 * j, 10, 10]) for i in range(15) for j in range(10)
    ]
    truth = write(tmp_path / 'truth.json', grid)
    # Of all sizes, and the last of 150 is wrong.
    labels = [(*box, 0.9) for box in grid[:-1]] + [
        (1, 7, [0, 500, 300, 300], 0.5)
    ]

    quality = measure_pseudo_labels(
        write(tmp_path / 'pseudo.json', labels), truth
    )

    assert quality['precision'] == quality['recall'] == 149 / 150


def test_images_are_matched_by_name_and_ids_may_start_at_0(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH, first_id=0)
    swapped = [(3 - t[0], *t[1:], 0.9) for t in TRUTH]
    pseudo = write(tmp_path / 'pseudo.json', swapped, ids=(2, 1))

    quality = measure_pseudo_labels(pseudo, truth)

    assert quality['precision'] == quality['recall'] == 1.0


def test_image_that_the_truth_lacks_is_refused(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)
    pseudo = write(tmp_path / 'pseudo.json', [], ids=(1, 2, 3))

    with pytest.raises(ValueError, match='1 pseudo-labeled .*truth.* is 2'):
        measure_pseudo_labels(pseudo, truth)


def test_label_of_an_image_that_is_not_listed_is_refused(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)
    labels = [(9, 7, [0, 0, 10, 10], 0.9), (*TRUTH[0], 0.9)]
    pseudo = write(tmp_path / 'pseudo.json', labels)

    with pytest.raises(ValueError, match='1 pseudo labels are .* image 9: '):
        measure_pseudo_labels(pseudo, truth)


def test_detections_are_evaluated_on_the_images_that_were_run(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)
    right = [([0, 0, 10, 10], 0.9, 0), ([50, 50, 60, 60], 0.8, 1)]

    # The second image, whose objects nobody looked for, does not count.
    perfect = compute_detection_metrics([found_row('0', *right)], truth)
    swapped = compute_detection_metrics(
        [found_row('0', *((b, s, 1 - label) for b, s, label in right))], truth
    )
    both = compute_detection_metrics(
        iter([found_row('0', *right), found_row('1')]), truth
    )

    assert perfect == pytest.approx(
        dict(bbox_mAP=1, bbox_mAP_50=1, bbox_mAP_75=1)
    )
    assert swapped['bbox_mAP'] == 0
    # Of the first class one of three is found, of the second all.
    assert both['bbox_mAP'] == pytest.approx((34 / 101 + 1) / 2)


def test_boxes_are_evaluated_as_they_are_written_clipped(tmp_path):
    truth = write(tmp_path / 'truth.json', [(1, 7, [90, 90, 10, 10])])

    found = compute_detection_metrics(
        [found_row('0', ([90, 90, 130, 130], 0.9, 0))], truth
    )

    assert found['bbox_mAP_75'] == pytest.approx(1)


def test_no_detection_is_worth_nothing(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)

    assert compute_detection_metrics([found_row('0')], truth)['bbox_mAP'] == 0


def test_images_without_objects_have_no_metric(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH[:2])
    found = [([0, 0, 10, 10], 0.9, 0)]

    for row in (found_row('1'), found_row('1', *found)):
        assert set(compute_detection_metrics([row], truth).values()) == {-1}


def test_detection_of_the_object_with_id_0_is_right(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH[:1], first_id=0)
    right = ([0, 0, 10, 10], 0.9, 0)

    metrics = compute_detection_metrics([found_row('0', right)], truth)

    assert metrics['bbox_mAP'] == pytest.approx(1)


def test_detections_on_unknown_images_are_refused(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)

    with pytest.raises(ValueError, match='lacks 1 of 2 images.*is 7'):
        compute_detection_metrics([found_row('0'), found_row('7')], truth)


def test_detections_of_classes_that_the_truth_lacks_are_refused(tmp_path):
    truth = write(tmp_path / 'truth.json', TRUTH)

    with pytest.raises(ValueError, match='has 2 categor.* 0 to 1, got 2'):
        compute_detection_metrics(
            [found_row('0', ([0, 0, 9, 9], 0.9, 2))], truth
        )


def test_masks_need_the_sizes_of_their_images():
    image = dict(id=1, file_name='a', width=9, height=5)
    annotation = dict(image_id=1, segmentation=[[0] * 6])
    truth = dict(images=[image], annotations=[annotation])
    assert require_masks(truth, 'a.json') == {1: (5, 9)}

    del image['height']
    with pytest.raises(CocoError, match='^a.json has .* without `width` and'):
        require_masks(truth, 'a.json')
    truth['annotations'].append({})
    with pytest.raises(CocoError, match='^1 of 2 objects in a.json have no'):
        require_masks(truth, 'a.json')


def test_truth_must_have_the_images_and_categories_of_the_labels(tmp_path):
    file = str(write(tmp_path / 'truth.json', TRUTH))
    images = json.loads(Path(file).read_text())['images']
    names = [image['file_name'] for image in images]
    check_truth(file, names, [7, 3], 'x')

    with pytest.raises(FileNotFoundError, match='^x not found: nowhere'):
        check_truth('nowhere', names, [7, 3], 'x')
    with pytest.raises(CocoError, match=r'lacks 1, the first is a.png\. Name'):
        check_truth(file, [*names, 'a.png'], [7, 3], 'x')
    with pytest.raises(CocoError, match=r'lacks the ids \[8\]\. Add them'):
        check_truth(file, names, [7, 8], 'x')
