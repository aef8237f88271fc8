"""What models found on the validation images is what was evaluated."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import stored_row, write_coco
from report_files import write_evaluation

from projects.data_distillation import DetectionStore
from projects.data_distillation.experiment.stages.gains import RESULTS
from projects.data_distillation.report.stage_history import StageRecord
from projects.data_distillation.report.validation import (
    Validation,
    choose_models,
    read_validation,
)

BOX = [0, 0, 10, 10]
# Ids of images and categories as in `write_coco`.
TRUTH = [(9, 7, BOX), (2, 7, BOX), (2, 3, [50, 50, 10, 10])]
FOUND = [
    dict(image_id=2, category_id=7, bbox=BOX, score=0.9),
    dict(image_id=9, category_id=7, bbox=[0, 0, 9, 9], score=0.8),
    dict(image_id=9, category_id=7, bbox=[80, 0, 9, 9], score=0.7),
]


@pytest.fixture
def truth(tmp_path) -> Path:
    return write_coco(tmp_path / 'truth.json', TRUTH, ids=(9, 2))


@pytest.fixture
def work_dir(tmp_path, truth) -> Path:
    for name, found in (('teacher', FOUND[:1]), ('student', FOUND)):
        folder = tmp_path / 'w' / name
        write_evaluation(folder, truth, found, tmp_path / 'images')
    return tmp_path / 'w'


def read(work_dir: Path) -> Validation:
    return read_validation(work_dir, ['teacher', 'student'])


def test_models_are_judged_on_the_same_images(work_dir, tmp_path):
    validation = read(work_dir)

    assert validation.notes == []
    assert [one['id'] for one in validation.images] == [2, 9]
    assert validation.folder == tmp_path / 'images'
    teacher, student = validation.models
    assert (teacher.name, student.name) == ('teacher', 'student')
    assert (teacher.min_score, student.min_score) == (0.9, 0.8)
    # A dog and a cat are missed at first, and then only the dog.
    missed = validation.count_by_image()[:, :, -1]
    assert missed.tolist() == [[1, 1], [1, 0]]
    assert validation.count_right_by_image().tolist() == [[1, 0], [1, 1]]


def test_labels_that_look_wrong_are_those_of_validate(work_dir, tmp_path):
    provenance = dict(classes=['red', 'green'], views=[[]])
    store = DetectionStore(work_dir / 'validate' / 'detections', provenance)
    other = [60, 60, 80, 80]
    for name in ('0', '1'):
        store.add(stored_row(name, (other, 0.9, 0), width=100, height=100))
    store.flush()

    tab = read(work_dir).suspicious

    assert {0, 1} == set(tab.images)
    assert any('nothing at the label of green' in one for one in tab.reasons)


def test_nothing_looks_wrong_without_detections_of_validate(work_dir):
    assert read(work_dir).suspicious is None


def changed_results(work_dir, truth):
    (work_dir / 'student/test' / RESULTS).write_text('[]')
    return 'must be what the evaluation wrote, and it is not; run tools/dist'


def lost_results(work_dir, truth):
    (work_dir / 'student/test' / RESULTS).unlink()
    return 'not found; tools/distill.py writes it when it evaluates a model'


def lost_record(work_dir, truth):
    (work_dir / 'student/test/finished').unlink()
    return 'has no record of how its evaluation ended; run tools/distill'


def lost_settings(work_dir, truth):
    (work_dir / 'student/test/settings.json').unlink()
    return 'has no record of how its evaluation ended; run tools/distill'


def other_truth(work_dir, truth):
    other = write_coco(truth.with_name('other.json'), TRUTH, ids=(9, 2))
    write_evaluation(work_dir / 'student2', other, FOUND, Path())
    (work_dir / 'student').rename(work_dir / 'old')
    (work_dir / 'student2').rename(work_dir / 'student')
    other.write_text('{}')
    return f'{other} must be the truth that the evaluation read, and it has'


def lost_ann_file(work_dir, truth):
    file = work_dir / 'student/test/settings.json'
    file.write_text(file.read_text().replace('"ann_file"', '"other"'))
    return "must have 'ann_file', and it does not: add it to the config"


@pytest.mark.parametrize(
    'harm',
    [
        changed_results,
        lost_results,
        lost_record,
        lost_settings,
        other_truth,
        lost_ann_file,
    ],
)
def test_results_that_are_not_of_the_evaluation_are_left_out(
    harm, work_dir, truth
):
    reason = harm(work_dir, truth)

    validation = read(work_dir)

    assert [one.name for one in validation.models] == ['teacher']
    (note,) = validation.notes
    assert note.startswith('The errors of student are not shown: ')
    assert reason in note


def test_changed_truth_leaves_no_model(work_dir, truth):
    truth.write_text(truth.read_text() + ' ')

    validation = read(work_dir)

    assert validation.models == []
    assert len(validation.notes) == 2


def test_truth_that_was_never_read_leaves_no_model(work_dir, truth):
    for file in work_dir.glob('*/test/settings.json'):
        settings = json.loads(file.read_text())
        file.write_text(json.dumps(dict(settings, files={})))
    truth.unlink()

    validation = read(work_dir)

    assert validation.models == []
    assert 'it has changed since' in validation.notes[0]


def test_models_of_different_truths_are_not_compared(work_dir, truth):
    other = write_coco(truth.with_name('other.json'), TRUTH[:1], ids=(9, 2))
    write_evaluation(work_dir / 'round2/student', other, FOUND, Path())

    validation = read_validation(work_dir, ['teacher', 'round2/student'])

    assert [one.name for one in validation.models] == ['round2/student']
    assert validation.notes == [
        f'The errors of teacher are not shown: it was evaluated with {truth}, '
        f'and round2/student with {other}'
    ]


def test_detections_elsewhere_are_counted_in_a_note(work_dir, truth):
    elsewhere = [dict(FOUND[0], image_id=1), dict(FOUND[0], category_id=1)]
    write_evaluation(work_dir / 'x', truth, [*FOUND, *elsewhere], Path())

    validation = read_validation(work_dir, ['x'])

    assert validation.notes == [
        f'2 detections of x are left out: {truth} does not have their image '
        'or class'
    ]
    assert len(validation.models[0].judged.kinds) == 3


def evaluated(name: str, mean_ap: float | None) -> StageRecord:
    metrics = None if mean_ap is None else dict(bbox_mAP=mean_ap)
    return StageRecord(name, None, [], [], metrics)


@pytest.mark.parametrize(
    ('mean_aps', 'expected'),
    [
        ({}, []),
        (dict(teacher=None, student=None), []),
        (dict(teacher=0.1, annotate=None, student=None), ['teacher']),
        (dict(teacher=0.1, teacher2=0.9, student=0.2), ['teacher', 'student']),
        (
            {'teacher': 0.1, 'student': 0.2, 'round2/student': 0.3},
            ['teacher', 'round2/student'],
        ),
        (
            dict(teacher=0.1, supervised_long=0.4, student=0.2),
            ['teacher', 'supervised_long', 'student'],
        ),
        (
            dict(teacher=0.1, supervised_long=None, student=0.2),
            ['teacher', 'student'],
        ),
        (dict(teacher=0.1, supervised_long=0.4), ['teacher']),
        (
            {'student': 0.3, 'round2/student': 0.2, 'oracle': 0.9},
            ['student'],
        ),
    ],
)
def test_first_teacher_and_best_student_are_compared(mean_aps, expected):
    stages = [evaluated(*one) for one in mean_aps.items()]

    assert choose_models(stages) == expected


def test_results_are_those_of_the_file(work_dir):
    student = read(work_dir).models[1]

    results = json.loads((work_dir / 'student/test' / RESULTS).read_text())
    np.testing.assert_array_equal(
        student.judged.found.scores, [one['score'] for one in results]
    )
    assert student.is_shown.tolist() == [True, True, False]
