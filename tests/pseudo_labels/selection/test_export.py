"""From the store's table to a COCO file."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from builders import CATEGORIES

from projects.data_distillation import SelectionRules
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.detections.shards import SCHEMA
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.selection.export import (
    export_pseudo_labels,
    open_store,
    read_rules,
    read_wanted,
)
from projects.data_distillation.pseudo_labels.selection.selectors import (
    LabeledCounts,
)
from projects.data_distillation.pseudo_labels.selection.short_scores import (
    shorten_scores,
)

FIXED = dict(type='FixedSelector', min_score=0.5)


def row(name: str, *found: tuple, **changes) -> dict:
    """Found are (bbox_xyxy, score, label)."""
    bboxes, scores, labels = zip(*found) if found else ([], [], [])
    return (
        dict(
            file_name=name,
            image_id=None,
            width=100,
            height=50,
            unreadable=None,
            bboxes_xyxy=bboxes,
            scores=scores,
            labels=labels,
            num_views=[1] * len(found),
            corner_spread=[0.0] * len(found),
        )
        | changes
    )


def labeled(*category_ids: int, num_images: int = 1) -> dict:
    return dict(
        images=[dict(id=i) for i in range(num_images)],
        annotations=[dict(image_id=0, category_id=c) for c in category_ids],
        categories=CATEGORIES,
    )


def export(
    tmp_path: Path, rows: list[dict], coco: dict, selector=FIXED, **rules
) -> tuple[dict, str]:
    file = tmp_path / 'pseudo_labels.json'
    report = export_pseudo_labels(
        pa.Table.from_pylist(rows, SCHEMA),
        coco['categories'],
        LabeledCounts.of(coco),
        SelectionRules(selector, **rules),
        dict(teacher='x'),
        file,
    )
    return json.loads(file.read_text()), report


def test_label_counts_the_categories_of_the_labeled_file(tmp_path):
    box = [1, 2, 11, 22]
    rows = [row('a', (box, 0.9, 1), (box, 0.8, 0)), row('b', (box, 0.7, 0))]

    content, _ = export(tmp_path, rows, labeled(7, 3))

    keys = ('id', 'image_id', 'category_id', 'bbox', 'area', 'score')
    assert [[a[k] for k in keys] for a in content['annotations']] == [
        [1, 1, 3, [1, 2, 10, 20], 200, 0.9],
        [2, 1, 7, [1, 2, 10, 20], 200, 0.8],
        [3, 2, 7, [1, 2, 10, 20], 200, 0.7],
    ]
    assert content['info']['data_distillation']['teacher'] == 'x'


def test_boxes_are_clipped_and_thin_ones_left_out_and_counted(tmp_path):
    found = [
        ([-9, -9, 200, 200], 0.9, 0),
        ([10, 10, 10.99, 40], 0.9, 0),
        ([10, 49.5, 40, 60], 0.9, 0),
        ([10, 10, 11, 11], 0.9, 0),
    ]

    content, report = export(tmp_path, [row('a', *found)], labeled(7))

    bboxes = [a['bbox'] for a in content['annotations']]
    assert bboxes == [[0, 0, 100, 50], [10, 10, 1, 1]]
    assert content['info']['data_distillation']['num_thin'] == 2
    assert '2 of 4 detections' in report
    assert '2 detections were left out because they were thinner' in report


def test_thin_boxes_do_not_use_up_what_is_wanted(tmp_path):
    found = [([10, 10, 10.5, 40], 0.9, 0), ([10, 10, 40, 40], 0.6, 0)]

    content, _ = export(tmp_path, [row('a', *found)], labeled(7), None)

    assert [a['score'] for a in content['annotations']] == [0.6]


def test_unreadable_images_do_not_count_as_images(tmp_path):
    box = [1, 2, 11, 22]
    rows = [
        row('a', (box, 0.9, 0), (box, 0.8, 0), (box, 0.7, 0)),
        row('b', unreadable='broken', width=1, height=1),
    ]

    content, report = export(tmp_path, rows, labeled(7, 7), None)

    assert '1 images could not be read, the first is b (broken)' in report
    assert [i['file_name'] for i in content['images']] == ['a']
    assert len(content['annotations']) == 2
    assert content['info']['data_distillation']['unreadable'] == [
        dict(file_name='b', unreadable='broken')
    ]


def test_annotations_name_their_image_where_others_were_left_out(tmp_path):
    box = [1, 2, 11, 22]
    rows = [
        row('a', unreadable='broken', width=1, height=1),
        row('b'),
        row('c', (box, 0.9, 0)),
    ]

    content, _ = export(tmp_path, rows, labeled(7), max_empty_share=0.0)

    assert [i['file_name'] for i in content['images']] == ['c']
    (annotation,) = content['annotations']
    assert annotation['image_id'] == content['images'][0]['id'] == 2


def test_report_has_a_line_per_class_and_warns_of_an_absent_one(tmp_path):
    rows = [row(n, ([1, 2, 11, 22], 0.9, 0)) for n in 'ab']

    content, report = export(tmp_path, rows, labeled(7, 7, 3, num_images=4))

    cells = [line.replace('│', ' ').split() for line in report.splitlines()]
    assert ['red', '0.50', '1.00', '0.500', '2'] in cells
    assert ['green', '0.25', '0.00', '0.500', '0'] in cells
    assert "warning: class 'green' has no pseudo label" in report
    assert content['categories'] == CATEGORIES


def test_labeled_objects_that_training_drops_are_named(tmp_path):
    coco = dict(
        images=[dict(id=1), dict(id=2)],
        categories=CATEGORIES,
        annotations=[
            dict(image_id=1, category_id=7),
            dict(image_id=1, category_id=7, ignore=1),
            dict(image_id=2, category_id=3, ignore=True),
        ],
    )
    counts = LabeledCounts.of(coco)
    rows = [row('a', ([1, 2, 11, 22], 0.9, 0))]

    _, report = export(tmp_path, rows, coco)

    assert counts.num_instances.tolist() == [1, 0]
    for counted in (counts, counts.without_empty()):
        assert counted.num_ignored == 2
    assert (counts + counts).num_ignored == 4
    assert '2 labeled annotations have `ignore`' in report
    assert '`ignore`' not in export(tmp_path, rows, labeled(7))[1]


def test_class_that_is_not_labeled_gets_no_min_score(tmp_path):
    rows = [row('a', ([1, 2, 11, 22], 0.9, 1))]

    content, _ = export(tmp_path, rows, labeled(7), None)

    scores = content['info']['data_distillation']['min_scores']
    assert scores == dict(red=0.1, green=None)
    assert content['annotations'] == []


def test_images_without_detections_stay(tmp_path):
    content, _ = export(tmp_path, [row('a'), row('b')], labeled(7))

    assert [i['id'] for i in content['images']] == [1, 2]
    assert content['annotations'] == []


def test_store_without_a_whole_shard_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no detections .*annotate th'):
        open_store(tmp_path)
    (tmp_path / '0000000.parquet').write_bytes(b'PAR1')

    with pytest.raises(StoreError, match='none of the 1 files in .* is a wh'):
        open_store(tmp_path)


def test_nothing_readable_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='none of 1 .*first one: broken'):
        export(tmp_path, [row('a', unreadable='broken')], labeled(7))


def test_short_scores_are_the_same_float32():
    scores = np.random.default_rng(0).random(1000).astype(np.float32)

    short = shorten_scores(scores)

    assert (np.array(short, np.float32) == scores).all()
    assert max(len(str(s)) for s in short) <= 13
    assert shorten_scores(np.array([np.inf], np.float32)) == [None]


def test_store_without_an_image_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'none of 0 .* first one: no image'):
        export(tmp_path, [], labeled(7))


def test_rules_are_those_that_the_file_says(tmp_path):
    file = tmp_path / 'labels.json'
    rules = dict(selector=dict(type='FixedSelector', min_score=0.5))
    info = dict(data_distillation=dict(selection=rules))
    content = dict(images=[], annotations=[], categories=[])
    file.write_text(json.dumps(dict(content, info=info)))
    assert read_rules(file) == rules
    file.write_text(json.dumps(content))

    with pytest.raises(CocoError, match='labels.json does not say how its'):
        read_rules(file)


def test_wanted_images_are_those_of_the_file(tmp_path):
    file = tmp_path / 'wanted.json'
    images = [dict(id=7, file_name='b'), dict(id=3, file_name='a')]
    file.write_text(json.dumps(dict(images=images)))

    assert read_wanted(file) == dict(b=7, a=3)
    assert read_wanted(None) is None
