"""The quality of labels by class, against counts made by hand."""

import json

import numpy as np
import pyarrow as pa
import pytest
from builders import (
    CATEGORIES,
    found_row,
    random_matching_task,
    stored_row,
    write_coco,
)
from pycocotools import mask as coco_mask

from projects.data_distillation.label_files.coco.matching import iter_boxes
from projects.data_distillation.label_files.coco.measures import (
    measure_pseudo_labels,
)
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.detections.columns import (
    collect_stored,
)
from projects.data_distillation.pseudo_labels.detections.shards import (
    MASK_SCHEMA,
    SCHEMA,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.quality.counts import Counts
from projects.data_distillation.pseudo_labels.quality.label_quality import (
    measure_quality,
    measure_stored,
    read_min_scores,
)
from projects.data_distillation.pseudo_labels.selection.export import (
    export_pseudo_labels,
)
from projects.data_distillation.pseudo_labels.selection.rules import (
    SelectionRules,
)
from projects.data_distillation.pseudo_labels.selection.selectors import (
    LabeledCounts,
)

# Red on both images, green on the second.
TRUTH = [
    (1, 7, [0, 0, 10, 10]),
    (2, 7, [0, 0, 10, 10]),
    (2, 3, [50, 50, 10, 10]),
]
ROWS = [
    found_row(
        '0',
        ([0, 0, 10, 10], np.float32(0.7), 0),
        ([30, 30, 40, 40], np.float32(0.6), 0),
        ([0, 0, 10, 10], np.float32(0.5), 1),
    ),
    found_row(
        '1',
        ([0, 0, 10, 10], np.float32(0.5), 0),
        ([50, 50, 60, 60], np.float32(0.4), 1),
    ),
]


@pytest.fixture
def truth(tmp_path):
    return write_coco(tmp_path / 'truth.json', TRUTH)


def test_labels_are_counted_by_class(truth):
    quality = measure_quality(iter(ROWS), truth, dict(red=0.7, green=0.4))

    assert quality.num_images == 2
    assert list(quality.classes) == ['red', 'green']
    # A score of float32(0.7), which is less than 0.7, is a label.
    assert quality.classes['red'].counts == Counts(2, 1, 1)
    assert quality.classes['green'].counts == Counts(1, 2, 1)
    assert quality.total == Counts(3, 3, 2)
    # All detections count: red 1, 1, 2/3 and green 1/2.
    assert quality.detections['bbox_mAP'] == pytest.approx(
        ((51 + 50 * 2 / 3) / 101 + 1 / 2) / 2
    )


def test_class_of_which_nothing_was_selected_has_no_label(truth):
    quality = measure_quality(ROWS, truth, dict(red=0.5, green=None))

    assert quality.classes['red'].counts == Counts(2, 3, 2)
    assert quality.classes['green'].counts == Counts(1, 0, 0)


def test_overlap_from_which_a_label_is_right_is_used(truth):
    rows = [found_row('0', ([0, 0, 10, 7], 0.9, 0))]

    right = [
        measure_quality(rows, truth, dict(red=0.5, green=0.5), iou).total
        for iou in (0.7, 0.75)
    ]

    assert right == [Counts(1, 1, 1), Counts(1, 1, 0)]


SHARES = [
    pytest.param(Counts(4, 2, 1), 0.5, 0.25, 1 / 3, id='usual'),
    pytest.param(Counts(4, 2, 0), 0, 0, 0, id='all wrong'),
    pytest.param(Counts(4, 0, 0), None, 0, 0, id='no label'),
    pytest.param(Counts(0, 2, 0), 0, None, 0, id='no object'),
    pytest.param(Counts(0, 0, 0), None, None, None, id='neither'),
]


@pytest.mark.parametrize(('counts', 'precision', 'recall', 'f1'), SHARES)
def test_shares_are_none_where_they_are_not_defined(
    counts, precision, recall, f1
):
    assert counts.precision == precision
    assert counts.recall == recall
    assert counts.f1 == f1


class ThreeScores:
    """Selects with thresholds that are no float64 numbers, and not at all."""

    def choose(self, *args):
        return np.array([0.3, 0.7, np.inf], np.float32)


@pytest.mark.parametrize('seed', range(5))
def test_labels_are_those_of_the_file_of_pseudo_labels(tmp_path, seed):
    truth, found = random_matching_task(tmp_path, seed, first_id=0)
    # Without crowds: on these a label counts in one table only.
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        annotation['iscrowd'] = 0
    truth.write_text(json.dumps(content))
    thin = ([5, 5, 5.9, 30], 0.9, 0)
    rows = [
        stored_row(
            row['file_name'],
            *zip(row['bboxes_xyxy'], row['scores'], row['labels']),
            thin,
            unreadable=None if number else 'broken',
        )
        for number, row in enumerate(found)
    ]
    table = pa.Table.from_pylist(rows, SCHEMA)
    rules = SelectionRules()
    rules.selector = ThreeScores()
    file = tmp_path / 'pseudo_labels.json'
    export_pseudo_labels(
        table,
        content['categories'],
        LabeledCounts.of(dict(content, annotations=[])),
        rules,
        {},
        file,
    )
    readable = [row for row in table.to_pylist() if row['unreadable'] is None]

    quality = measure_quality(readable, truth, read_min_scores(file))

    # Image 0, which could not be read, has no object.
    assert measure_pseudo_labels(file, truth) == dict(
        images=quality.num_images,
        instances=quality.total.num_labels,
        precision=quality.total.precision,
        recall=quality.total.recall,
    )
    assert 0 < quality.total.num_right < quality.total.num_labels
    assert quality.classes['blue'].min_score is None


def test_thin_detections_are_no_labels_but_detections(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [5, 5, 0.9, 30])])
    rows = [
        found_row(
            '0',
            ([5, 5, 5.9, 35], 0.9, 0),  # just too thin
            ([5, 5, 20, 5.9], 0.9, 0),  # and this too flat
            ([50, 50, 51, 51], 0.9, 0),
            ([99.5, 0, 120, 40], 0.9, 0),  # thin once it is clipped
        )
    ]

    quality = measure_quality(rows, truth, dict(red=0.0, green=0.0))

    assert quality.total == Counts(1, 1, 0)
    assert quality.detections['bbox_mAP'] == pytest.approx(1)


@pytest.mark.parametrize('seed', range(4))
def test_stored_detections_are_judged_like_rows(tmp_path, seed):
    truth, found = random_matching_task(tmp_path, seed)
    random = np.random.default_rng(seed)
    # Boxes that must be rounded, and images not in the order of their ids.
    rows = [
        stored_row(
            row['file_name'],
            *(
                ((corners + random.normal(0, 0.5, 4)).tolist(), score, label)
                for corners, score, label in zip(
                    row['bboxes_xyxy'], row['scores'], row['labels']
                )
            ),
        )
        for row in reversed(found)
    ]
    table = pa.Table.from_pylist(rows, SCHEMA)
    min_scores = dict(red=0.3, green=0.7, blue=None)
    is_thick = SelectionRules().find_candidates(table)

    stored = measure_stored(table, is_thick, truth, min_scores, 0.3)

    expected = measure_quality(table.to_pylist(), truth, min_scores, 0.3)
    assert stored.to_dict() == expected.to_dict()
    for name, quality in expected.classes.items():
        matches = stored.classes[name].matches
        assert (matches.scores == quality.matches.scores).all()
        assert (matches.is_right == quality.matches.is_right).all()
    assert 0 < stored.total.num_right < stored.total.num_labels


def test_stored_detections_that_are_no_candidates_are_no_labels(truth):
    rows = [stored_row('0', *[([0, 0, 10, 10], s, 0) for s in (0.9, 0.8)])]
    table = pa.Table.from_pylist(rows, SCHEMA)

    quality = measure_stored(
        table, np.array([False, True]), truth, dict(red=0.0, green=0.0)
    )

    assert quality.classes['red'].matches.scores.tolist() == [np.float32(0.8)]
    assert quality.detections['bbox_mAP'] == pytest.approx(1)


def test_stored_boxes_are_those_of_coco_files():
    box = [33.333333, 10.1, 66.666666, 120.0]
    table = pa.Table.from_pylist([stored_row('0', (box, 0.9, 1))], SCHEMA)
    ((written, *_),) = iter_boxes(table.to_pylist()[0])

    found = collect_stored(table, np.array([5]))

    assert found.bbox_xywh.tolist() == [written]
    assert found.image_index.tolist() == [5]
    assert found.labels.tolist() == [1]


@pytest.mark.parametrize('names', [['red'], ['green', 'red']])
def test_classes_must_be_those_of_the_truth_for_stored_ones(truth, names):
    table = pa.Table.from_pylist([stored_row('0')], SCHEMA)

    with pytest.raises(ValueError, match='must be the categories of.*truth'):
        measure_stored(
            table, np.ones(0, bool), truth, dict.fromkeys(names, 0.5)
        )


@pytest.mark.parametrize('label', [-1, 2])
def test_stored_label_that_the_truth_lacks_is_refused(truth, label):
    rows = [stored_row('0', ([0, 0, 10, 10], 0.9, label))]
    table = pa.Table.from_pylist(rows, SCHEMA)

    with pytest.raises(ValueError, match=f'0 to 1, got {label}: it is not'):
        measure_stored(table, np.ones(1, bool), truth, dict(red=0, green=0))


@pytest.mark.parametrize('iou', [0, 1.5])
def test_overlap_out_of_range_is_refused_for_stored_detections(truth, iou):
    table = pa.Table.from_pylist([stored_row('0')], SCHEMA)

    with pytest.raises(ValueError, match=f'iou must be .* got {iou}'):
        measure_stored(
            table, np.ones(0, bool), truth, dict(red=0, green=0), iou
        )


def test_table_has_a_line_per_class_and_the_total(truth):
    lines = (
        measure_quality(ROWS, truth, dict(red=0.7, green=None), 0.75)
        .format_table()
        .splitlines()
    )

    def cells(name):
        (line,) = (line for line in lines if name in line.split())
        return ' '.join(line.strip('┃').replace('│', ' ').split())

    assert '2 images, right at IoU 0.75 or more' in lines[0]
    assert cells('class') == (
        'class ┃ min_score ┃ truth ┃ labels ┃ right ┃ precision ┃ recall ┃ F1'
    )
    assert [line[0] for line in lines[-3:]] == ['├', '│', '└']
    assert cells('red') == 'red 0.700 2 1 1 1.000 0.500 0.667'
    assert cells('green') == 'green - 1 0 0 - 0.000 0.000'
    assert cells('all') == 'all 3 1 1 1.000 0.333 0.500'


def test_figures_are_json(truth):
    quality = measure_quality(ROWS, truth, dict(red=0.7, green=None))

    content = json.loads(json.dumps(quality.to_dict()))

    assert content['images'] == 2
    assert content['iou'] == 0.5
    assert content['detections'] == quality.detections
    assert content['total'] == dict(
        truth=3, labels=1, right=1, precision=1, recall=1 / 3, f1=0.5
    )
    assert content['classes']['green'] == dict(
        min_score=None,
        truth=1,
        labels=0,
        right=0,
        precision=None,
        recall=0,
        f1=0,
    )


@pytest.mark.parametrize('names', [['red'], ['green', 'red']])
def test_classes_must_be_those_of_the_truth(truth, names):
    with pytest.raises(ValueError, match='must be the categories of.*truth'):
        measure_quality(ROWS, truth, dict.fromkeys(names, 0.5))


def test_truth_without_annotations_is_refused(tmp_path):
    truth = tmp_path / 'truth.json'
    truth.write_text(
        json.dumps(
            dict(images=[dict(id=1, file_name='0')], categories=CATEGORIES)
        )
    )

    with pytest.raises(ValueError, match='`annotations` is missing'):
        measure_quality(ROWS, truth, dict(red=0.5, green=0.5))


def test_thresholds_are_read_from_a_file_of_pseudo_labels(tmp_path):
    file = tmp_path / 'pseudo_labels.json'
    min_scores = dict(red=0.5, green=None)
    content = dict(info=dict(data_distillation=dict(min_scores=min_scores)))
    file.write_text(json.dumps(content))

    assert read_min_scores(file) == min_scores


@pytest.mark.parametrize(
    'content',
    [
        {},
        dict(info=None),
        dict(info={}),
        dict(info=dict(data_distillation={})),
    ],
)
def test_file_without_thresholds_is_refused(tmp_path, content):
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(content))

    with pytest.raises(ValueError, match=r'labels.json lacks.*min_scores'):
        read_min_scores(file)


def box_mask(x: int, y: int, w: int, h: int) -> dict:
    """The mask of a box, in an image of 100 pixels."""
    pixels = np.zeros((100, 100), np.uint8, order='F')
    pixels[y : y + h, x : x + w] = 1
    return coco_mask.encode(pixels)


def write_masks(folder, found: list[dict]) -> tuple:
    """Two objects with masks, and a table of detections with these masks."""
    file = write_coco(folder / 'truth.json', TRUTH[:2])
    content = json.loads(file.read_text())
    for image in content['images']:
        image.update(width=100, height=100)
    for one in content['annotations']:
        rle = box_mask(*one['bbox'])
        one['segmentation'] = dict(rle, counts=rle['counts'].decode())
    file.write_text(json.dumps(content))
    rows = [
        stored_row(
            f'{number}',
            ([0, 0, 10, 10], 0.9, 0),
            width=100,
            height=100,
            masks=[mask['counts']],
            mask_areas=[int(coco_mask.area(mask))],
            mask_agreement=[1.0],
        )
        for number, mask in enumerate(found)
    ]
    return file, pa.Table.from_pylist(rows, MASK_SCHEMA)


# The boxes are right in all cases; a mask may be empty.
MASK_CASES = [
    pytest.param([(0, 0, 10, 10), (0, 0, 10, 10)], 2, 1, id='right'),
    pytest.param([(0, 0, 10, 10), (0, 0, 10, 4)], 1, 51 / 101, id='cut off'),
    pytest.param([(0, 0, 10, 10), (0, 0, 0, 0)], 1, 51 / 101, id='empty'),
    pytest.param(
        [(0, 0, 5, 10), (20, 0, 10, 10)], 1, 0.1 * 51 / 101, id='off'
    ),
]


@pytest.mark.parametrize(('found', 'num_right', 'mean_ap'), MASK_CASES)
def test_masks_are_compared_if_asked_for(tmp_path, found, num_right, mean_ap):
    truth, table = write_masks(tmp_path, [box_mask(*one) for one in found])
    given = table, np.ones(2, bool), truth, dict(red=0.5, green=None)

    by_boxes = measure_stored(*given)
    by_masks = measure_stored(*given, by_masks=True)

    assert by_boxes.total == Counts(2, 2, 2)
    assert by_masks.total == Counts(2, 2, num_right)
    assert by_masks.detections['segm_mAP'] == pytest.approx(mean_ap)
    assert 'right at mask IoU 0.5' in by_masks.format_table()
    kinds = [one.to_dict()['compared'] for one in (by_boxes, by_masks)]
    assert kinds == ['boxes', 'masks']


def test_masks_that_are_missing_cannot_be_compared(tmp_path, truth):
    _, table = write_masks(tmp_path, [box_mask(0, 0, 10, 10)])
    rest = np.ones(1, bool), truth, dict(red=0.5, green=0.5)
    write_coco(truth, TRUTH)

    with pytest.raises(CocoError, match='3 of 3 objects in .* have no `segm'):
        measure_stored(table, *rest, by_masks=True)
    with pytest.raises(StoreError, match='no masks to compare: annotate'):
        measure_stored(table.select(SCHEMA.names), *rest, by_masks=True)


@pytest.mark.parametrize('height', [10, 4])
def test_pseudo_labels_with_masks_are_judged_by_both(tmp_path, height):
    truth, _ = write_masks(tmp_path, [])
    pseudo = json.loads(truth.read_text())
    for one in pseudo['annotations']:
        rle = box_mask(0, 0, 10, height)
        one.update(segmentation=dict(rle, counts=rle['counts'].decode()))
        one['score'] = 0.9
    file = tmp_path / 'pseudo.json'
    file.write_text(json.dumps(pseudo))

    quality = measure_pseudo_labels(file, truth)

    assert (quality['precision'], quality['recall']) == (1, 1)
    share = float(height == 10)
    assert (quality['mask_precision'], quality['mask_recall']) == (share,) * 2
    pseudo['annotations'][0].pop('segmentation')
    file.write_text(json.dumps(pseudo))
    assert 'mask_precision' not in measure_pseudo_labels(file, truth)


@pytest.mark.parametrize(
    ('segmentation', 'fault'),
    [
        ([[1, 2, 3]], 'odd'),
        ([[1, 2, 3, 4]], 'short'),
        (dict(size=[10, 10], counts='zz'), 'wrong'),
        (dict(size=[10, 10], counts=[5]), 'counts'),
    ],
)
def test_broken_mask_of_the_truth_is_refused(tmp_path, segmentation, fault):
    truth, table = write_masks(tmp_path, [box_mask(0, 0, 5, 5)] * 2)
    content = json.loads(truth.read_text())
    content['annotations'][1]['segmentation'] = segmentation
    truth.write_text(json.dumps(content))
    given = table, np.ones(2, bool), truth, dict(red=0.5, green=None)

    with pytest.raises(CocoError, match=f'polygons.*, got what is {fault}'):
        measure_stored(*given, by_masks=True)
