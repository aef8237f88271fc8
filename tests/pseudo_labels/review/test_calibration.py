"""How likely a detection is right."""

import json
from dataclasses import replace

import numpy as np
import pytest
from builders import (
    random_matching_task,
    store_truth,
    stored_row,
    write_coco,
)

from projects.data_distillation import DetectionStore
from projects.data_distillation.label_files.coco.matching import (
    match_detections,
)
from projects.data_distillation.label_files.coco.reading import (
    CocoError,
    read_coco,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.review.calibration import (
    calibrate_scores,
    count_views,
    fit_calibration,
    fit_logistic,
    judge_rows,
    make_columns,
)
from projects.data_distillation.pseudo_labels.review.signals import Signals


def draw_signals(number: int, seed: int = 0) -> tuple[Signals, np.ndarray]:
    """Detections whose chance to be right is known."""
    random = np.random.default_rng(seed)
    scores, support, spread = random.random((3, number))
    labels = random.integers(2, size=number)
    nothing = np.zeros(number)
    signals = Signals(
        scores, labels, support, spread, nothing - 1, nothing, nothing
    )
    chances = np.clip(scores * support + 0.2 * labels, 0, 1)
    return signals, chances


def test_chances_come_close_to_the_true_ones():
    signals, truth = draw_signals(4000)
    is_right = np.random.default_rng(1).random(4000) < truth
    other, expected = draw_signals(4000, seed=2)

    found = fit_calibration(signals, is_right, 2, 10)(other)

    assert np.abs(found - expected).mean() < 0.1
    # The score alone, without the number of views and the class, is worse.
    assert np.abs(other.scores - expected).mean() > 0.2
    assert found.mean() == pytest.approx(expected.mean(), abs=0.03)


def test_the_fit_has_no_slope():
    random = np.random.default_rng(0)
    columns = np.column_stack([np.ones(50), random.normal(size=(50, 3))])
    target = (random.random(50) < 0.3).astype(float)

    weights = fit_logistic(columns, target)

    chances = 1 / (1 + np.exp(-columns @ weights))
    slope = columns.T @ (target - chances)
    slope[1:] -= weights[1:]
    assert slope == pytest.approx(np.zeros(4), abs=1e-3)


def test_chances_are_those_of_the_columns_of_the_fit():
    signals, _ = draw_signals(50)
    is_right = np.arange(50) % 3 == 0
    found = fit_calibration(signals, is_right, 2, 10)
    columns = make_columns(signals, found.mean, found.scale, 2)

    chances = 1 / (1 + np.exp(-columns @ found.weights))
    assert found(signals) == pytest.approx(chances)
    # A class that was not there at the fit has no column.
    others = replace(signals, labels=signals.labels + 2)
    columns[:, 6:] = 0
    chances = 1 / (1 + np.exp(-columns @ found.weights))
    assert found(others) == pytest.approx(chances)


@pytest.mark.parametrize('is_right', [True, False])
def test_one_answer_alone_stays_finite(is_right):
    signals, _ = draw_signals(20)

    found = fit_calibration(signals, np.full(20, is_right), 3, 1)(signals)

    assert np.isfinite(found).all()
    assert ((found > 0.9) == is_right).all()


def test_nothing_to_learn_from_says_one_half():
    signals, _ = draw_signals(5)
    none, _ = draw_signals(0)

    found = fit_calibration(none, np.zeros(0, bool), 2, 0)(signals)

    assert found == pytest.approx(np.full(5, 0.5))


@pytest.mark.parametrize('seed', range(4))
def test_right_ones_are_those_of_the_matching(tmp_path, seed):
    file, rows = random_matching_task(tmp_path, seed)
    truth = read_coco(file, 'images', 'categories')

    is_right = judge_rows(rows[::-1], truth, file)

    # Detections that took a crowd count as right too.
    labels = np.concatenate([np.array(r['labels'], int) for r in rows[::-1]])
    content = json.loads(file.read_text())
    has_crowds = any(a['iscrowd'] for a in content['annotations'])
    for label, matches in enumerate(match_detections(rows, file, 0.5)):
        found = is_right[labels == label].sum()
        assert found >= matches.is_right.sum()
        assert has_crowds or found == matches.is_right.sum()


@pytest.mark.parametrize(
    ('views', 'others', 'expected'),
    [([[], []], [], 2), ([[], []], [{}], 4), (None, [], None)],
)
def test_views_of_all_teachers_count(views, others, expected):
    assert count_views(dict(views=views, other_teachers=others)) == expected


def test_truth_with_the_classes_in_another_order_is_refused(tmp_path):
    truth = write_coco(tmp_path / 'truth.json', [(1, 7, [0, 0, 9, 9])])
    made_by = dict(views=[[]], classes=['green', 'red'])
    store = DetectionStore(tmp_path / 'detections', made_by)
    store.add(stored_row('0', ([0, 0, 9, 9], 0.9, 1)))
    store.flush()

    with pytest.raises(CocoError, match=r"the file has \['red', 'green'\]"):
        calibrate_scores(store.folder, truth, made_by)


def test_scores_are_calibrated_on_images_of_the_same_teacher(drawn):
    folder = store_truth(drawn)
    made_by = DetectionStore(folder).require_provenance()
    truth = drawn.folder / 'truth.json'

    calibration = calibrate_scores(folder, truth, made_by)

    assert calibration.num_images == 5
    # The store keeps an image that was taken out of the file.
    fewer = dict(drawn.truth, images=drawn.truth['images'][:3])
    fewer['annotations'] = drawn.truth['annotations'][:6]
    file = drawn.write('fewer.json', fewer)
    assert calibrate_scores(folder, file, made_by).num_images == 3
    with pytest.raises(StoreError, match=r"differs in \['views'\]"):
        calibrate_scores(folder, truth, dict(made_by, views=[[]]))
