"""The metrics of other detections of the same images, beside a report's."""

import json

import pytest
from builders import CLASSES, give_masks, stored_row, write_coco

from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.label_files.column_matching.mask_ious import (
    read_mask,
)
from projects.data_distillation.pseudo_labels.detections.differences import (
    TEACHER_KEYS,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    DetectionStore,
    StoreError,
)
from projects.data_distillation.pseudo_labels.quality.curves import LabelReport
from projects.data_distillation.pseudo_labels.quality.other_detections import (
    describe_maker,
    format_difference,
    measure_others,
)
from projects.data_distillation.pseudo_labels.selection.rules import (
    SelectionRules,
)

SIZE = 100
BOX = [0, 0, 10, 10]
NMS = dict(type='NMSMerger', iou_threshold=0.6)
MAKERS = dict.fromkeys(TEACHER_KEYS, 'x') | dict(
    classes=CLASSES, views=[[], []], merger=NMS
)


@pytest.fixture
def truth(tmp_path):
    """An object of red on each of two images, with a mask."""
    file = write_coco(tmp_path / 'truth.json', [(1, 7, BOX), (2, 7, BOX)])
    content = json.loads(file.read_text())
    for image in content['images']:
        image.update(width=SIZE, height=SIZE)
    file.write_text(json.dumps(give_masks(content)))
    return file


def write_store(folder, side: int, names=('0', '1'), **changes):
    """Write a store that finds each object, with a square mask."""
    square = [[0, 0, side, 0, side, side, 0, side]]
    masks = dict(
        masks=[read_mask(square, (SIZE, SIZE))['counts']],
        mask_areas=[side * side],
        mask_agreement=[1.0],
    )
    sizes = dict(width=SIZE, height=SIZE)
    store = DetectionStore(folder, MAKERS | dict(masks={}) | changes)
    store.add(*(stored_row(n, (BOX, 0.9, 0), **sizes, **masks) for n in names))
    store.flush()
    return folder


@pytest.fixture
def work_dir(tmp_path):
    """An annotation whose masks are those of the objects."""
    folder = tmp_path / 'annotate'
    write_store(folder / 'detections', 10)
    origin = dict(
        MAKERS,
        min_scores=dict.fromkeys(CLASSES, 0.5),
        selection=SelectionRules().config,
    )
    content = dict(info=dict(data_distillation=origin))
    (folder / 'pseudo_labels.json').write_text(json.dumps(content))
    return folder


def read_images(folder):
    """The rows of the images, and their names."""
    table = DetectionStore(folder / 'detections').read()
    return table, table['file_name']


# Squares of 8 pixels overlap those of 10 by 0.64, those of 5 by 0.25.
@pytest.mark.slow
@pytest.mark.parametrize(
    ('side', 'line'),
    [
        (10, 'beside segm_mAP: 100.0, the same'),
        (8, 'beside segm_mAP: 30.0, 70.0 lower'),
        (5, 'beside segm_mAP: 0.0, 100.0 lower'),
    ],
)
def test_masks_are_compared_with_those_beside(
    work_dir, truth, tmp_path, call_tool, side, line
):
    one = write_store(tmp_path / 'one', side, views=[[]])

    given = work_dir, truth, '--masks', '--beside', one
    done = call_tool('label_quality', *given)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 'detections segm_mAP: 100.0' in lines
    assert f'beside: {one} (1 view, NMSMerger(iou_threshold=0.6))' in lines
    assert line in lines
    file = work_dir / 'quality_masks/label_quality.json'
    content = json.loads(file.read_text())
    assert content['detections']['segm_mAP'] == pytest.approx(1)
    assert content['beside']['folder'] == str(one)
    assert f'{100 * content["beside"]["detections"]["segm_mAP"]:.1f}' in line


@pytest.mark.slow
def test_boxes_are_compared_without_masks(work_dir, truth, tmp_path):
    one = write_store(tmp_path / 'one', 5)

    report = LabelReport(work_dir, truth, beside=one)

    assert 'beside bbox_mAP: 100.0, the same' in report.write(tmp_path / 'out')


@pytest.mark.slow
def test_nothing_beside_is_said_in_the_figures(work_dir, truth, tmp_path):
    text = LabelReport(work_dir, truth).write(tmp_path / 'out')

    assert 'beside: ' not in text
    content = json.loads((tmp_path / 'out/label_quality.json').read_text())
    assert content['beside'] is None


@pytest.mark.slow
def test_images_that_are_no_longer_unlabeled_do_not_count(
    work_dir, truth, tmp_path
):
    """Image 1 has neither labels nor a truth any more."""
    file = work_dir / 'pseudo_labels.json'
    content = json.loads(file.read_text())
    content['info']['data_distillation']['num_detections'] = 1
    content['images'] = [dict(id=1, file_name='0')]
    file.write_text(json.dumps(content))
    truth.write_text(json.dumps(only_first_image(truth)))
    one = write_store(tmp_path / 'one', 5)

    text = LabelReport(work_dir, truth, beside=one).write(tmp_path / 'out')

    assert '1 images are no longer in the file of pseudo labels' in text
    assert 'pseudo labels images: 1\npseudo labels instances: 1\n' in text
    assert 'pseudo labels precision: 1.000' in text
    assert 'beside bbox_mAP: 100.0, the same' in text


@pytest.mark.slow
def test_images_that_the_truth_has_lost_give_no_estimate(
    work_dir, truth, tmp_path
):
    validation = write_store(tmp_path / 'validation', 10)
    truth.write_text(json.dumps(only_first_image(truth)))

    report = LabelReport(work_dir, truth, validation=validation)
    text = report.write(tmp_path / 'out')

    assert '1 images are no longer in the truth and are left out' in text
    assert 'from 1 labeled images with 1 objects' in text


def only_first_image(truth) -> dict:
    content = json.loads(truth.read_text())
    annotations = [a for a in content['annotations'] if a['image_id'] == 1]
    return dict(content, images=content['images'][:1], annotations=annotations)


@pytest.mark.parametrize(
    ('names', 'words'),
    [
        (('0',), r'lacks 1 \(first: 1\): annotate'),
        (('0', '1', '2'), r'has 1 \(first: 2\): annotate'),
        (('0', '3', '2'), r'lacks 1 \(first: 1\) and has 2 \(first: 2\)'),
    ],
)
def test_other_images_are_refused(work_dir, truth, tmp_path, names, words):
    other = write_store(tmp_path / 'other', 10, names)

    with pytest.raises(StoreError, match=f'other must have .* {words}'):
        measure_others(other, *read_images(work_dir), truth, by_masks=True)


def test_other_classes_are_refused(work_dir, truth, tmp_path):
    other = write_store(tmp_path / 'other', 10, classes=CLASSES[::-1])

    with pytest.raises(CocoError, match='classes'):
        measure_others(other, *read_images(work_dir), truth, by_masks=True)


def test_no_detections_are_refused(work_dir, truth, tmp_path):
    with pytest.raises(StoreError, match='at least one image'):
        measure_others(tmp_path / 'no', *read_images(work_dir), truth, False)


def test_detections_without_masks_are_refused(work_dir, truth, tmp_path):
    boxes = DetectionStore(tmp_path / 'boxes', MAKERS)
    boxes.add(*(stored_row(name, (BOX, 0.9, 0)) for name in '01'))
    boxes.flush()

    with pytest.raises(StoreError, match='have no masks to compare'):
        measure_others(boxes.folder, *read_images(work_dir), truth, True)


@pytest.mark.parametrize(
    ('views', 'words'),
    [
        ([[]], '1 view, NMSMerger(iou_threshold=0.6)'),
        ([[], []], '2 views, NMSMerger(iou_threshold=0.6)'),
        (None, 'views of the pipeline, NMSMerger(iou_threshold=0.6)'),
        (
            dict(of_pipeline=[0]),
            'views of the pipeline, NMSMerger(iou_threshold=0.6)',
        ),
    ],
)
def test_maker_is_described(views, words):
    assert describe_maker(dict(views=views, merger=NMS)) == words


@pytest.mark.parametrize(
    ('points', 'words'),
    [
        (0.04, 'the same'),
        (-0.04, 'the same'),
        (0.06, '0.1 higher'),
        (-4, '4.0 lower'),
    ],
)
def test_difference_is_in_words(points, words):
    assert format_difference(points) == words
