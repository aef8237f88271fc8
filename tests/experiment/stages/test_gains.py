"""How much better a student is, on detections with known answers."""

import json
from pathlib import Path

import pytest
from builders import write_coco
from mmdet.evaluation import CocoMetric
from mmengine.config import Config

from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.stages.gains import (
    BEST_MODEL,
    RESULTS,
    check_evaluator,
    find_truth,
    format_gain,
    link_best_model,
    measure_gains,
)
from projects.data_distillation.pseudo_labels.quality.expectation import (
    Estimate,
)

NUM_IMAGES = 40
BOX = [10, 10, 30, 30]


@pytest.fixture
def truth(tmp_path) -> Path:
    boxes = [(n, 3, BOX) for n in range(NUM_IMAGES)]
    return write_coco(tmp_path / 'truth.json', boxes, range(NUM_IMAGES))


def write_results(folder: Path, image_ids, bbox=BOX) -> Path:
    """Write right detections on some of the images."""
    folder.mkdir()
    found = [
        dict(image_id=n, category_id=3, bbox=bbox, score=0.9)
        for n in image_ids
    ]
    (folder / RESULTS).write_text(json.dumps(found))
    return folder


def test_gain_is_the_difference_in_map(truth, tmp_path):
    student = write_results(tmp_path / 'student', range(40))
    control = write_results(tmp_path / 'control', range(20))

    gains = measure_gains(student, dict(control=control), truth)

    # Precision 1 up to recall 1/2, at 51 of 101 recalls.
    assert gains['control'].value == pytest.approx(50 / 101)
    assert 0.3 < gains['control'].low < 50 / 101 < gains['control'].high < 0.7


def test_images_are_drawn_for_both_models_together(truth, tmp_path):
    same = [
        write_results(tmp_path / name, range(20)) for name in ('one', 'other')
    ]

    gains = measure_gains(same[0], dict(other=same[1]), truth)

    assert gains['other'] == Estimate(0.0, 0.0, 0.0)


def test_worse_student_has_a_negative_gain(truth, tmp_path):
    student = write_results(tmp_path / 'student', [])
    teacher = write_results(tmp_path / 'teacher', range(40))

    gains = measure_gains(student, dict(teacher=teacher), truth)

    assert gains['teacher'].value == gains['teacher'].high == -1


def test_boxes_that_fit_better_are_a_gain(truth, tmp_path):
    student = write_results(tmp_path / 'student', range(40))
    # The IoU is 2/3, which is enough for 4 of 10 thresholds.
    control = write_results(tmp_path / 'control', range(40), [10, 10, 30, 45])

    gains = measure_gains(student, dict(control=control), truth)

    assert gains['control'].value == pytest.approx(0.6)


def test_model_without_detections_is_left_out(truth, tmp_path):
    student = write_results(tmp_path / 'student', range(40))
    (tmp_path / 'old').mkdir()
    others = dict(teacher=tmp_path / 'old', control=student)

    assert list(measure_gains(student, others, truth)) == ['control']
    assert measure_gains(tmp_path / 'old', others, truth) == {}


def test_detections_on_images_of_another_truth_are_counted(
    truth, tmp_path, caplog
):
    student = write_results(tmp_path / 'student', range(-3, 40))
    control = write_results(tmp_path / 'control', range(40))

    with caplog.at_level('INFO', 'distill'):
        gains = measure_gains(student, dict(control=control), truth)

    assert gains['control'].value == 0
    # pytest 9 listens to a named logger itself, and so hears it twice.
    (message,) = {record.message for record in caplog.records}
    assert f'3 of 43 detections in {student / RESULTS}' in message


def test_gain_is_written_with_its_interval():
    text = format_gain('supervised_long', Estimate(0.021, 0.004, -0.0391))

    assert text == (
        'student - supervised_long: +2.1 mAP, 95 % between +0.4 and -3.9'
    )


def test_best_model_is_linked(tmp_path):
    checkpoints = {}
    for name in ('teacher', 'student'):
        (tmp_path / name).mkdir()
        checkpoints[name] = tmp_path / name / 'iter_2.pth'
        checkpoints[name].write_text(name)

    for mean_aps, best in [
        (dict(teacher=0.1, student=0.2), 'student'),
        (dict(teacher=0.3, student=0.2), 'teacher'),
        (dict(teacher=0.2, student=0.2), 'teacher'),
    ]:
        assert link_best_model(tmp_path, mean_aps, checkpoints) == best
        assert (tmp_path / BEST_MODEL).read_text() == best

    # Results may be moved as a whole.
    assert not (tmp_path / BEST_MODEL).readlink().is_absolute()


def test_file_of_the_user_is_not_replaced_by_a_link(tmp_path, caplog):
    caplog.set_level('INFO', LOG.name)
    checkpoint = tmp_path / 'teacher' / 'iter_9.pth'
    (tmp_path / BEST_MODEL).write_text('mine')

    best = link_best_model(tmp_path, dict(a=0.1), dict(a=checkpoint))

    assert best == 'a'
    assert (tmp_path / BEST_MODEL).read_text() == 'mine'
    assert f'which is {checkpoint}: ' in caplog.text


@pytest.mark.parametrize(
    'evaluator',
    [
        dict(type='CocoMetric'),
        dict(type=CocoMetric, metric='bbox'),
        dict(type='mmdet.CocoMetric', metric=['bbox', 'segm']),
        dict(type='CocoMetric', metric_items=['mAP_50', 'mAP']),
        [dict(type='VOCMetric'), dict(type='CocoMetric')],
        [dict(type='Unknown', prefix='coco')],
        dict(type='Evaluator', metrics=[dict(type='CocoMetric')]),
        dict(metrics=dict(type='CocoMetric')),
    ],
    ids=str,
)
def test_evaluator_with_box_map_is_accepted(evaluator):
    check_evaluator(Config(dict(test_evaluator=evaluator)), 'student.py')


@pytest.mark.parametrize(
    'evaluator',
    [
        dict(type='VOCMetric'),
        dict(type='LVISMetric'),
        dict(type='Unknown'),
        dict(type='CocoMetric', metric='proposal'),
        dict(type='CocoMetric', metric=None),
        [dict(metric='bbox')],
        dict(type='CocoMetric', metric=['segm']),
        dict(type='CocoMetric', metric_items=['mAP_50']),
        [dict(type='CocoMetric', prefix='val')],
    ],
    ids=str,
)
def test_evaluator_without_box_map_is_refused(evaluator):
    cfg = Config(dict(test_evaluator=evaluator))

    with pytest.raises(ValueError, match=r'of student\.py must give coco/'):
        check_evaluator(cfg, 'student.py')


@pytest.mark.parametrize(
    ('evaluator', 'file'),
    [
        (dict(type='CocoMetric', ann_file='a.json'), 'a.json'),
        ([dict(type='X'), dict(type='mmdet.CocoMetric', ann_file='b')], 'b'),
        (dict(type='CocoMetric'), None),
        (dict(type=CocoMetric, ann_file='c'), 'c'),
        (dict(metrics=[dict(type='CocoMetric', ann_file='d')]), 'd'),
        (dict(type='VOCMetric'), None),
        (None, None),
    ],
)
def test_truth_is_that_of_the_evaluator(evaluator, file):
    assert find_truth(Config(dict(test_evaluator=evaluator))) == file
