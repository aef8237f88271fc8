"""What to expect of labels, from validation images with known answers."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import CATEGORIES, CLASSES, annotate, annotate_cfg

from projects.data_distillation.label_files.coco.matching import ImageMatches
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.quality.expectation import (
    Estimate,
    estimate_shares,
    expect_quality,
    keep_labels,
)


def make_matches(rows: list[tuple[int, int, bool]], num_truth: list):
    """Labels as (image, class, is right)."""
    images, labels, is_right = zip(*rows, strict=True)
    return ImageMatches(
        np.array(images),
        np.array(labels),
        np.ones(len(rows), np.float32),
        np.array(is_right)[:, None],
        np.ones((len(rows), 1), bool),
        np.array(num_truth),
    )


def test_known_shares():
    rows = [(0, 0, True), (0, 0, False), (1, 0, True), (1, 1, True)]
    expected = estimate_shares(
        make_matches(rows, [[2, 0], [2, 1]]), ['cell', 'other']
    )

    precision, recall = expected.classes['cell']
    assert precision.value == pytest.approx(2 / 3)
    assert recall.value == pytest.approx(2 / 4)
    assert expected.precision.value == pytest.approx(3 / 4)
    assert expected.recall.value == pytest.approx(3 / 5)
    assert expected.num_images == 2


def test_interval_is_that_of_drawn_images():
    # One label an image, right on half of them.
    num = 100
    rows = [(n, 0, n % 2 == 0) for n in range(num)]
    expected = estimate_shares(make_matches(rows, [[1]] * num), ['cell'])

    error = (0.25 / num) ** 0.5
    assert expected.precision.low == pytest.approx(
        0.5 - 1.96 * error, abs=0.02
    )
    assert expected.precision.high == pytest.approx(
        0.5 + 1.96 * error, abs=0.02
    )


def test_class_without_labels_or_objects_is_not_judged():
    rows = [(0, 0, True), (0, 1, False)]
    expected = estimate_shares(
        make_matches(rows, [[1, 0, 1]]), ['a', 'b', 'c']
    )

    assert expected.classes['b'] is None
    assert expected.classes['c'] is None
    assert '-' in expected.format()
    assert expected.to_dict()['classes']['b'] is None


def test_all_figures_go_to_json():
    expected = estimate_shares(make_matches([(0, 0, True)], [[2]]), ['cell'])

    figures = json.loads(json.dumps(expected.to_dict()))

    assert figures['images'] == 1
    assert figures['classes']['cell']['recall']['value'] == 0.5
    assert figures['precision'] == dict(
        value=1.0, low=pytest.approx(0.2065, abs=1e-4), high=1.0
    )


def test_table_has_the_classes_and_all():
    text = estimate_shares(
        make_matches([(0, 0, True)], [[2]]), ['cell']
    ).format()

    assert 'from 1 validation images' in ' '.join(text.split())
    assert 'cell' in text
    # All draws of one image are equal: the interval is Wilson's of 1 of 2.
    assert '0.50 (0.09 to 0.91)' in text
    assert '│ all' in text


def test_interval_leaves_out_what_is_not_defined():
    draws = np.array([np.nan, *np.linspace(0, 1, 101)])

    assert Estimate.of(0.5, draws) == Estimate(0.5, 0.025, 0.975)
    nothing = Estimate.of(0.5, np.array([np.nan]))
    assert nothing == Estimate(0.5, 0.5, 0.5)


def test_labels_have_the_score_of_their_class():
    row = dict(file_name='a', scores=[0.9, 0.5, 0.5], labels=[0, 0, 1])

    kept = keep_labels(row, np.array([0.6, 0.5], np.float32))

    assert kept == dict(file_name='a', scores=[0.9, 0.5], labels=[0, 1])


@pytest.fixture
def annotated(drawn, checkpoint, tmp_path) -> Path:
    """The work folder of an annotation; its store also judges it."""
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    annotate(cfg)
    return tmp_path / 'work'


def test_labels_of_a_run_are_judged_by_its_scores(annotated, drawn):
    expected = expect_quality(
        annotated / 'pseudo_labels.json',
        annotated / 'detections',
        drawn.folder / 'truth.json',
    )

    assert list(expected.classes) == list(CLASSES)
    assert expected.precision.value == expected.recall.value == 1


def test_images_that_could_not_be_read_do_not_count(
    drawn, checkpoint, tmp_path
):
    (drawn.folder / 'unlabeled' / '0.png').write_bytes(b'not an image')
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = 0.2
    annotate(cfg)

    expected = expect_quality(
        tmp_path / 'work' / 'pseudo_labels.json',
        tmp_path / 'work' / 'detections',
        drawn.folder / 'truth.json',
    )

    assert expected.num_images == 4
    assert expected.recall.value == 1


def test_scores_and_filters_of_the_labels_count(annotated, drawn):
    file = annotated / 'pseudo_labels.json'
    content = json.loads(file.read_text())
    origin = content['info']['data_distillation']
    origin['min_scores']['green'] = None
    origin['selection']['filters'] = [dict(type='MinViews', num_views=7)]
    file.write_text(json.dumps(content))
    origin['selection']['filters'] = []
    of_red = annotated / 'red.json'
    of_red.write_text(json.dumps(content))

    found = [
        expect_quality(
            labels, annotated / 'detections', drawn.folder / 'truth.json'
        )
        for labels in (file, of_red)
    ]

    assert found[0].recall.value == 0
    assert found[1].recall.value == 0.5
    assert found[1].classes['green'] is None
    assert CATEGORIES[0]['name'] == 'red'


def test_detections_of_another_merger_are_refused(annotated, drawn):
    file = annotated / 'pseudo_labels.json'
    content = json.loads(file.read_text())
    content['info']['data_distillation']['merger'] = dict(type='WBFMerger')
    file.write_text(json.dumps(content))

    with pytest.raises(StoreError, match=r"differs in \['merger'\]"):
        expect_quality(
            file, annotated / 'detections', drawn.folder / 'truth.json'
        )


def test_truth_with_the_classes_in_another_order_is_refused(annotated, drawn):
    truth = drawn.write(
        'truth.json', dict(drawn.truth, categories=CATEGORIES[::-1])
    )

    with pytest.raises(CocoError, match=r"the file has \['green', 'red'\]"):
        expect_quality(
            annotated / 'pseudo_labels.json', annotated / 'detections', truth
        )


def test_labels_that_do_not_say_their_rules_are_refused(annotated, drawn):
    file = annotated / 'pseudo_labels.json'
    content = json.loads(file.read_text())
    del content['info']['data_distillation']['selection']
    file.write_text(json.dumps(content))

    with pytest.raises(CocoError, match='does not say how its labels were se'):
        expect_quality(
            file, annotated / 'detections', drawn.folder / 'truth.json'
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ('rules', 'words'),
    [
        (dict(selector=dict(type='Newer')), 'Newer is not in'),
        (dict(selector=dict(type='FixedSelector', newer=1)), "'newer'"),
    ],
    ids=['type', 'argument'],
)
def test_rules_of_another_version_are_refused(annotated, drawn, rules, words):
    labels = annotated / 'pseudo_labels.json'
    content = json.loads(labels.read_text())
    content['info']['data_distillation']['selection'] = rules
    labels.write_text(json.dumps(content))

    with pytest.raises(ValueError, match=rf'must be known here: .*{words}'):
        expect_quality(
            labels, annotated / 'detections', drawn.folder / 'truth.json'
        )


def test_images_that_left_the_validation_set_do_not_count(annotated, drawn):
    truth = json.loads(json.dumps(drawn.truth))
    gone = truth['images'].pop()['id']
    truth['annotations'] = [
        one for one in truth['annotations'] if one['image_id'] != gone
    ]

    expected = expect_quality(
        annotated / 'pseudo_labels.json',
        annotated / 'detections',
        drawn.write('less.json', truth),
    )

    assert expected.num_images == 4
    assert expected.recall.value == 1
