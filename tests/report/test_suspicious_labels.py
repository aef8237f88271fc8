"""tools/suspicious_labels.py: a list and a page of what looks wrong."""

import csv
import json
from pathlib import Path

import pytest
from builders import DrawnImages, store_truth

from projects.data_distillation import DetectionStore
from projects.data_distillation.label_files.coco.reading import (
    UNCHECKED,
    CocoError,
)
from projects.data_distillation.report import suspicious_labels
from projects.data_distillation.report.picture_page import Mark
from projects.data_distillation.report.suspicious_labels import (
    make_tab,
    review_labels,
)


def write_labels(drawn: DrawnImages, change) -> Path:
    coco = json.loads(json.dumps(drawn.truth))
    change(coco['annotations'])
    # Other names and order than the detections have.
    coco['images'].reverse()
    return drawn.write('labels.json', coco)


def test_a_wrong_class_is_listed_and_shown(drawn, call_tool):
    def swap(annotations):
        annotations[4]['category_id'] = 3

    labels = write_labels(drawn, swap)

    done = call_tool(
        'suspicious_labels', store_truth(drawn), labels, '--count', 2
    )

    assert done.returncode == 0, done.stderr
    out = drawn.folder / 'work' / 'review'
    with (out / 'suspicious_labels.csv').open() as file:
        rows = list(csv.DictReader(file))
    wrong = drawn.truth['annotations'][4]
    assert len(rows) == 2
    assert rows[0]['kind'] == 'class'
    assert rows[0]['annotation_id'] == str(wrong['id'])
    assert (rows[0]['label'], rows[0]['found']) == ('green', 'red')
    assert json.loads(rows[0]['found_bbox']) == wrong['bbox']
    coco = json.loads((out / 'suspicious_labels.json').read_text())
    assert coco['images'][0]['id'] == wrong['image_id']
    assert wrong['id'] in [one['id'] for one in coco['annotations']]
    page = (out / 'suspicious_labels.html').read_text()
    assert 'the label says green, the detector red' in page
    assert page.count('class="box doubt"') >= 1
    assert page.count('class="box found"') >= 1


def test_corrected_images_are_not_written_again(drawn, call_tool):
    labels = write_labels(drawn, lambda annotations: annotations.pop())
    command = 'suspicious_labels', store_truth(drawn), labels
    out = drawn.folder / 'work' / 'review'
    assert call_tool(*command).returncode == 0
    assert call_tool(*command).returncode == 0
    corrected = json.loads((out / 'suspicious_labels.json').read_text())
    corrected['annotations'][0]['bbox'][0] += 1
    (out / 'suspicious_labels.json').write_text(json.dumps(corrected))

    done = call_tool(*command)

    assert done.returncode == 1
    assert 'suspicious_labels.json must be as this tool wrote' in done.stderr
    kept = json.loads((out / 'suspicious_labels.json').read_text())
    assert kept == corrected


def test_a_missing_label_is_where_the_detector_finds_it(drawn):
    gone = drawn.truth['annotations'][3]
    labels = write_labels(drawn, lambda annotations: annotations.pop(3))

    review = review_labels(store_truth(drawn), labels)

    first = review.suspicions[0]
    assert (first.kind, first.label) == ('missing', None)
    assert (
        review.detections.bbox_xywh[first.detection].tolist() == gone['bbox']
    )
    assert 'no label of green' in review.explain(first)


def test_detections_in_a_crowd_need_no_label(drawn):
    def make_crowd(annotations):
        annotations[3]['iscrowd'] = 1

    labels = write_labels(drawn, make_crowd)

    review = review_labels(store_truth(drawn), labels)

    assert len(review.annotations) == len(drawn.truth['annotations']) - 1
    crowd = drawn.truth['annotations'][3]['bbox']
    for one in review.suspicions:
        if one.detection is not None and one.chance > 0:
            box = review.detections.bbox_xywh[one.detection].tolist()
            assert box != crowd


def test_the_rest_of_a_partly_checked_image_is_no_box_to_correct(drawn):
    image = drawn.truth['images'][0]
    size = image['width'], image['height']

    def check_partly(annotations):
        rest = dict(annotations[0], id=99, bbox=[0, 0, *size], iscrowd=1)
        annotations[:2] = [annotations[0], rest | {UNCHECKED: 1}]

    review = review_labels(
        store_truth(drawn), write_labels(drawn, check_partly)
    )

    coco = review.make_coco(review.suspicions)
    ids = [one['id'] for one in coco['annotations']]
    assert len(coco['images']) == 5
    assert drawn.truth['annotations'][0]['id'] in ids
    assert 99 not in ids


def test_tab_of_a_report_has_the_most_suspicious_labels(drawn, monkeypatch):
    monkeypatch.setattr(suspicious_labels, 'NUM_SHOWN', 4)
    gone = drawn.truth['annotations'][3]
    labels = write_labels(drawn, lambda annotations: annotations.pop(3))
    names = [image['file_name'] for image in drawn.truth['images']]

    tab = make_tab(store_truth(drawn), labels, names)

    assert (tab.images[0], tab.total) == (1, 4)
    assert 'no label of green' in tab.reasons[0]
    *bbox, text, kind = tab.marks[0][0]
    assert (bbox, text, kind) == (gone['bbox'], 'found: green 0.90', 'found')
    assert len(tab.images) == len(tab.reasons) == len(tab.marks) == 4
    assert make_tab(drawn.folder / 'nowhere', labels, names) is None


def test_images_without_detections_are_counted(drawn):
    labels = write_labels(drawn, lambda annotations: None)

    review = review_labels(store_truth(drawn, 3), labels)

    assert review.notes == [
        '2 of the 5 images have no detections, so their labels were not '
        'looked at.'
    ]
    assert len(review.annotations) == 6


def test_detections_that_do_not_name_their_classes_can_be_used(drawn):
    store = DetectionStore(store_truth(drawn))
    provenance = {k: v for k, v in store.provenance.items() if k != 'classes'}
    other = DetectionStore(drawn.folder / 'old', provenance)
    other.add(*store.read().to_pylist())
    other.flush()
    labels = write_labels(drawn, lambda annotations: annotations.pop(3))

    review = review_labels(drawn.folder / 'old', labels)

    assert review.suspicions[0].kind == 'missing'


def test_detections_of_other_images_are_refused(drawn):
    coco = json.loads(json.dumps(drawn.truth))
    for image in coco['images']:
        image['file_name'] = f'other/{image["file_name"]}'
    labels = drawn.write('labels.json', coco)

    with pytest.raises(CocoError, match='no image of .* has detections'):
        review_labels(store_truth(drawn), labels)


@pytest.mark.parametrize(
    ('kind', 'top', 'is_inside'),
    [('found', 5, True), ('found', 80, False), ('doubt', 5, False),
     ('doubt', 80, True)],
)  # fmt: skip
def test_name_of_a_box_stays_in_the_picture(kind, top, is_inside):
    mark = Mark((10, top, 20, 15), 'a', kind)

    assert mark.has_name_inside((100, 100)) == is_inside


def test_labels_that_are_read_are_not_overwritten(drawn, call_tool):
    """They may be those of an earlier list, which a person has corrected."""
    review = drawn.folder / 'work' / 'review'
    review.mkdir(parents=True)
    labels = review / 'suspicious_labels.json'
    labels.write_text(json.dumps(drawn.truth))

    done = call_tool('suspicious_labels', store_truth(drawn), labels)

    assert done.returncode
    assert f'error: {labels} would be overwritten' in done.stderr
    assert json.loads(labels.read_text()) == drawn.truth
    assert list(review.iterdir()) == [labels]


def test_numbers_beside_names_of_another_direction_stay(drawn):
    names = 'a\u202eb', 'c'
    drawn.truth['categories'] = [
        dict(one, name=name)
        for one, name in zip(drawn.truth['categories'], names)
    ]
    labels = write_labels(drawn, lambda annotations: annotations.pop(2))
    review = review_labels(store_truth(drawn, classes=names), labels)

    assert 'no label of \u2068a\u202eb\u2069,' in review.explain(
        review.suspicions[0]
    )
    page = review.write(drawn.folder / 'review', 99)[-1].read_text()
    assert 'found: \u2068a\u202eb\u2069 0.90' in page
    # Also as the name of a label that is not in doubt.
    assert 'title="\u2068a\u202eb\u2069"' in page
    assert page.count('a\u202eb') == page.count('\u2068a\u202eb\u2069')


def test_no_label_is_missing_where_nobody_has_looked(drawn):
    image = drawn.truth['images'][0]
    size = image['width'], image['height']

    def check_nothing(annotations):
        rest = dict(annotations[0], id=99, bbox=[0, 0, *size], iscrowd=1)
        annotations[:2] = [rest | {UNCHECKED: 1}]

    review = review_labels(
        store_truth(drawn), write_labels(drawn, check_nothing)
    )

    place = [row['file_name'] for row in review.rows].index(image['file_name'])
    here = [one for one in review.suspicions if one.image == place]
    # Those of the second object too, whose class is not that of the region.
    first, second = drawn.truth['annotations'][:2]
    assert first['category_id'] != second['category_id']
    assert all(one.chance == 0 for one in here)


def test_images_of_a_fold_may_have_no_object(drawn):
    labels = write_labels(drawn, lambda annotations: annotations.clear())

    review = review_labels(store_truth(drawn), labels)

    assert review.annotations == []
    assert {one.kind for one in review.suspicions} == {'missing'}
