"""The report on label quality: text, figures, picture, and the tool."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import stored_row, write_coco

from projects.data_distillation import DetectionStore, SelectionRules
from projects.data_distillation.label_files.coco.matching import ClassMatches
from projects.data_distillation.pseudo_labels.detections.differences import (
    TEACHER_KEYS,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.quality.curves import (
    LabelReport,
    choose_named_classes,
    compute_curve,
    draw_curves,
    pool_matches,
)
from projects.data_distillation.pseudo_labels.quality.label_quality import (
    ClassQuality,
    Quality,
)

BOX = [0, 0, 10, 10]
TRUTH = [(1, 7, BOX), (2, 7, BOX), (2, 3, [50, 50, 10, 10])]
ROWS = [
    stored_row('0', (BOX, 0.75, 0), ([30, 30, 40, 40], 0.5, 0)),
    stored_row('1', (BOX, 0.25, 0), ([50, 50, 60, 60], 0.5, 1)),
    stored_row('2', unreadable='broken'),
]
MAKERS = dict.fromkeys(TEACHER_KEYS, 'x')


def write_store(folder, *rows, **provenance):
    store = DetectionStore(folder, provenance or MAKERS)
    store.add(*rows)
    store.flush()
    return folder


@pytest.fixture
def work_dir(tmp_path):
    return write_work_dir(tmp_path / 'annotate')


def write_work_dir(folder):
    """Write of an annotation run only what the report reads."""
    write_store(folder / 'detections', *ROWS)
    origin = dict(
        MAKERS,
        min_scores=dict(red=0.5, green=0.5),
        selection=SelectionRules().config,
    )
    (folder / 'pseudo_labels.json').write_text(
        json.dumps(dict(info=dict(data_distillation=origin)))
    )
    return folder


@pytest.fixture
def truth(tmp_path):
    return write_coco(tmp_path / 'truth.json', TRUTH)


@dataclass
class Written:
    """A report that was written to `folder`, and what it is of."""

    work_dir: Path
    truth: Path
    folder: Path

    def __post_init__(self) -> None:
        self.text = LabelReport(self.work_dir, self.truth).write(self.folder)


@pytest.fixture(scope='module')
def report(tmp_path_factory) -> Written:
    folder = tmp_path_factory.mktemp('report')
    truth = write_coco(folder / 'truth.json', TRUTH)
    work_dir = write_work_dir(folder / 'annotate')
    return Written(work_dir, truth, folder / 'new' / 'out')


def test_report_on_the_unlabeled_images_ends_with_its_figures(report):
    assert report.text.splitlines()[-8:] == [
        'detections bbox_mAP: 91.7',
        'detections bbox_mAP_50: 91.7',
        'detections bbox_mAP_75: 91.7',
        'pseudo labels images: 2',
        'pseudo labels instances: 3',
        'pseudo labels precision: 0.667',
        'pseudo labels recall: 0.667',
        'pseudo labels f1: 0.667',
    ]
    assert 'estimate' not in report.text


def test_report_says_what_it_counts(report):
    assert '1 images could not be read and are left out' in report.text
    assert '2 images, right at IoU 0.5 or more' in report.text


def test_figures_are_written(report):
    file = report.folder / 'label_quality.json'

    content = json.loads(file.read_bytes())
    assert f'written: {file}' in report.text
    assert content['is_estimate'] is False
    assert content['unreadable'] == 1
    assert content['total']['right'] == 2
    assert content['classes']['green']['min_score'] == 0.5


def test_figures_name_the_files_they_are_of(report):
    file = report.folder / 'label_quality.json'

    content = json.loads(file.read_bytes())
    assert content['store'] == str(report.work_dir / 'detections')
    assert content['truth'] == str(report.truth)
    assert content['pseudo_labels'] == str(
        report.work_dir / 'pseudo_labels.json'
    )


def test_picture_is_written(report):
    file = report.folder / 'precision_recall.png'

    picture = cv2.imread(str(file))
    assert f'written: {file}' in report.text
    assert picture.shape == (715, 1170, 3)
    assert picture.min() == 0  # the black line


@pytest.mark.slow
def test_report_on_labeled_images_is_an_estimate(work_dir, truth, tmp_path):
    store = write_store(tmp_path / 'validation', ROWS[1])

    text = LabelReport(work_dir, truth, store).write(tmp_path / 'out')

    assert text.splitlines()[-4:] == [
        'estimate: from 1 labeled images with 2 objects, with the min_score '
        f'values of {work_dir / "pseudo_labels.json"}',
        'estimated pseudo labels precision: 1.000',
        'estimated pseudo labels recall: 0.500',
        'estimated pseudo labels f1: 0.667',
    ]
    assert 'could not be read' not in text
    content = json.loads((tmp_path / 'out/label_quality.json').read_bytes())
    assert content['is_estimate'] is True
    assert content['store'] == str(store)


def test_files_of_the_estimate_are_beside_the_others(tmp_path):
    report = LabelReport(tmp_path, tmp_path / 'truth.json')
    estimate = LabelReport(tmp_path, tmp_path / 'truth.json', tmp_path / 'val')

    assert report.default_out == tmp_path / 'quality'
    assert estimate.default_out == tmp_path / 'quality_estimate'


@pytest.mark.slow
def test_overlap_is_passed_on(work_dir, tmp_path):
    boxes = [(1, 7, [0, 0, 10, 7]), (2, 3, [50, 50, 10, 7])]
    truth = write_coco(tmp_path / 'truth.json', boxes)

    shown = [
        LabelReport(work_dir, truth, iou=iou).write(tmp_path / 'out')
        for iou in (0.7, 0.75)
    ]

    assert 'labels precision: 0.667' in shown[0]
    assert 'labels precision: 0.000' in shown[1]


@pytest.mark.slow
def test_share_that_is_not_defined_is_named(work_dir, truth, tmp_path):
    store = write_store(tmp_path / 'validation', stored_row('0'))

    text = LabelReport(work_dir, truth, store).write(tmp_path / 'out')

    assert 'estimated pseudo labels precision: not defined' in text


@pytest.mark.parametrize('rows', [[], ROWS[2:]])
def test_store_without_detections_is_refused(work_dir, truth, tmp_path, rows):
    store = write_store(tmp_path / 'validation', *rows)

    with pytest.raises(ValueError, match=f'at least one.*got {len(rows)} unr'):
        LabelReport(work_dir, truth, store).write(tmp_path / 'out')


def test_detections_of_another_teacher_or_views_are_no_estimate(
    work_dir, truth, tmp_path
):
    changes = dict(views=[[2]], merger='y', image_folder='elsewhere')
    store = write_store(tmp_path / 'validation', *ROWS, **(MAKERS | changes))

    with pytest.raises(ValueError, match=r"in \['views', 'merger'\]. Run"):
        LabelReport(work_dir, truth, store).write(tmp_path / 'out')


@pytest.mark.slow
def test_filters_of_the_selection_hold_for_the_report(
    work_dir, truth, tmp_path
):
    file = work_dir / 'pseudo_labels.json'
    content = json.loads(file.read_text())
    selection = content['info']['data_distillation']['selection']
    selection['filters'] = [dict(type='MinViews', num_views=99)]
    file.write_text(json.dumps(content))

    text = LabelReport(work_dir, truth).write(tmp_path / 'out')

    assert 'pseudo labels instances: 0' in text
    assert 'detections bbox_mAP: 91.7' in text


@pytest.mark.slow
def test_other_labels_are_judged_in_a_folder_of_their_own(
    work_dir, truth, tmp_path
):
    other = tmp_path / 'other.json'
    text = (work_dir / 'pseudo_labels.json').read_text()
    other.write_text(text.replace('"red": 0.5', '"red": 0.7'))

    report = LabelReport(work_dir, truth, labels=other)

    assert report.default_out == work_dir / 'quality_of_other'
    assert 'instances: 2' in report.write(tmp_path / 'out')


def matches(scores, is_right, num_truth=4):
    return ClassMatches(
        np.array(scores, np.float32), np.array(is_right, bool), num_truth
    )


def quality_of(**classes):
    """Classes are (min_score, matches)."""
    return Quality(
        7, 0.5, {n: ClassQuality(*of) for n, of in classes.items()}, {}
    )


def test_curve_has_a_point_per_threshold():
    recall, precision, num_found = compute_curve(
        matches([0.9, 0.8, 0.8, 0.7], [True, False, True, False])
    )

    assert num_found.tolist() == [1, 3, 4]
    assert recall.tolist() == [0.25, 0.5, 0.5]
    assert precision.tolist() == [1, 2 / 3, 0.5]


def test_curve_of_no_detection_is_empty():
    assert [len(part) for part in compute_curve(matches([], []))] == [0, 0, 0]


def test_classes_are_pooled_by_score():
    both = pool_matches(
        [
            matches([0.9, 0.5], [True, False], 2),
            matches([0.7, 0.5], [False, True], 3),
        ]
    )

    assert both.scores.tolist() == np.float32([0.9, 0.7, 0.5, 0.5]).tolist()
    assert both.is_right.tolist() == [True, False, False, True]
    assert both.num_truth == 5


@pytest.fixture
def figure():
    """A picture of three classes: the last two have no label, no object."""
    found = matches([0.9, 0.8, 0.7], [True, False, True])
    quality = quality_of(
        red=(0.8, found), green=(None, found), blue=(0.5, matches([], [], 0))
    )
    return draw_curves(quality, 'Labels')


LINES = [
    'all classes',
    'all labels: precision\n0.500, recall 0.125',
    '0.800  red',
    'no label  green',
    'no object  blue',
]


def test_picture_has_a_line_per_class_and_for_all(figure):
    (axes,) = figure.axes

    total, cross, red, *_ = axes.get_lines()
    assert [line.get_label() for line in axes.get_lines()] == LINES
    # Of two detections with one score, both are found or neither.
    assert total.get_xydata().tolist() == [
        [0.25, 1], [0.25, 0.5], [0.5, 2 / 3]
    ]  # fmt: skip
    assert cross.get_xydata().tolist() == [[0.125, 0.5]]
    assert red.get_xydata().tolist() == [[0.25, 1], [0.25, 0.5], [0.5, 2 / 3]]


def test_dot_of_a_class_is_at_its_min_score(figure):
    _, _, red, green, _ = figure.axes[0].get_lines()

    assert (red.get_marker(), red.get_markevery()) == ('o', [1])
    assert green.get_marker() == ''


def test_cross_and_line_of_all_classes_stand_out(figure):
    total, cross, red, green, blue = figure.axes[0].get_lines()

    assert (cross.get_marker(), cross.get_color()) == ('X', 'black')
    assert cross.get_zorder() > red.get_zorder() > total.get_zorder()
    assert total.get_linewidth() > red.get_linewidth()
    assert len({line.get_color() for line in (total, red, green, blue)}) == 4


def test_axes_begin_at_zero_and_say_what_they_are(figure):
    (axes,) = figure.axes

    assert axes.get_title() == 'Labels: 7 images, right at IoU 0.5 or more'
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('recall', 'precision')


def test_legend_has_the_min_score_and_name_of_each_class(figure):
    (legend,) = figure.legends

    assert [text.get_text() for text in legend.get_texts()] == LINES
    assert legend.get_title().get_text() == 'min_score, class'


@pytest.fixture
def many_classes() -> Quality:
    """Sixteen classes. The recall falls from '1' to '15'; one is absent."""
    classes = {
        f'{number}': (0.5, matches([0.9], [True], num_truth=number))
        for number in range(1, 16)
    }
    return quality_of(**classes, absent=(0.5, matches([], [], 0)))


def test_of_many_classes_the_worst_are_named(many_classes):
    (legend,) = draw_curves(many_classes, 'Labels').legends

    texts = [text.get_text() for text in legend.get_texts()]
    assert choose_named_classes(many_classes) == [
        f'{n}' for n in range(15, 3, -1)
    ]
    assert texts[2:] == [f'0.500  {n}' for n in range(15, 3, -1)]
    assert legend.get_title().get_text() == (
        'min_score, class:\nthe worst of 16 by F1'
    )


def test_of_many_classes_the_worst_have_a_color_each(many_classes):
    lines = draw_curves(many_classes, 'Labels').axes[0].get_lines()

    assert len(lines) == 16 + 2
    named = [line for line in lines if line.get_label().startswith('0.500')]
    assert len({line.get_color() for line in named}) == len(named) == 12


def test_all_classes_are_named_in_their_order_if_they_are_few():
    classes = {f'{n}': (0.5, matches([], [], n)) for n in range(12, 0, -1)}

    assert choose_named_classes(quality_of(**classes)) == list(classes)


def test_picture_without_labels_has_no_cross():
    figure = draw_curves(quality_of(red=(None, matches([], []))), 'Labels')

    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ['all classes', 'no label  red']


@pytest.mark.slow
def test_tool_prints_the_report(work_dir, truth, tmp_path, call_tool):
    store = write_store(tmp_path / 'validation', ROWS[1])

    options = '--detections', store, '--iou', '0.75'
    done = call_tool('label_quality', work_dir, truth, *options)

    assert done.returncode == 0, done.stderr
    assert 'right at IoU 0.75 or more' in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last == 'estimated pseudo labels f1: 0.667'
    files = sorted(f.name for f in (work_dir / 'quality_estimate').iterdir())
    assert files == ['label_quality.json', 'precision_recall.png']


def test_tool_says_what_is_wrong(work_dir, tmp_path, call_tool):
    truth, out = tmp_path / 'none.json', tmp_path / 'out'

    done = call_tool('label_quality', work_dir, truth, '--out', out)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f'error: annotation file not found: {tmp_path / "none.json"}'
    )
    assert not out.exists()


def test_report_on_masks_needs_masks_and_has_a_folder_of_its_own(
    work_dir, tmp_path
):
    truth = write_coco(tmp_path / 'truth.json', TRUTH)
    report = LabelReport(work_dir, truth, by_masks=True)

    assert report.default_out.name == 'quality_masks'
    with pytest.raises(StoreError, match='have no masks'):
        report.write(tmp_path / 'out')
