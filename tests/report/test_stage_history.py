"""What MMEngine has written is read."""

import pytest
from report_files import write_metrics, write_scalars

from projects.data_distillation.report.stage_history import (
    find_newest_annotation,
    read_stages,
)


def test_stages_are_in_order_and_later_rounds_come_last(tmp_path):
    for name in (
        'round10/student', 'round2/student', 'round2/annotate', 'oracle',
        'student', 'annotate', 'teacher', 'other',
    ):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)

    names = [stage.name for stage in read_stages(tmp_path)]

    assert names == [
        'teacher', 'annotate', 'student', 'oracle', 'round2/annotate',
        'round2/student', 'round10/student',
    ]  # fmt: skip


def test_repeated_iterations_count_once_and_a_cut_off_line_not(tmp_path):
    first, second = (tmp_path / f'teacher/2026010{n}_000000' for n in (1, 2))
    write_scalars(first, dict(loss=3, step=1), dict(loss=2.5, step=2))
    write_scalars(second, dict(loss=2, step=2), dict(loss=1, step=3))
    with (second / 'vis_data/scalars.json').open('a') as file:
        file.write('\n{"loss": 0.5, "st')

    (stage,) = read_stages(tmp_path)

    assert stage.losses == [(1, 3), (2, 2), (3, 1)]


def test_validation_by_epochs_lies_at_its_iteration(tmp_path):
    write_scalars(
        tmp_path / 'teacher/20260101_000000',
        dict(loss=3, step=50),
        {'coco/bbox_mAP': 0.1, 'step': 1},
        dict(loss=2, step=100),
        {'coco/bbox_mAP': 0.2, 'step': 2},
    )

    (stage,) = read_stages(tmp_path)

    assert stage.join_evaluations() == [(50, 0.1), (100, 0.2)]


def test_evaluation_is_the_last_point(tmp_path):
    write_scalars(
        tmp_path / 'teacher/20260101_000000',
        {'coco/bbox_mAP': 0.1, 'step': 2},
        dict(loss=2, step=3),
    )
    write_metrics(tmp_path / 'teacher', bbox_mAP=0.3)

    (stage,) = read_stages(tmp_path)

    assert stage.join_evaluations() == [(2, 0.1), (3, 0.3)]


def test_stage_that_has_just_begun_has_nothing(tmp_path):
    (tmp_path / 'teacher').mkdir()

    (stage,) = read_stages(tmp_path)

    assert stage.metrics is None
    assert stage.seconds is None
    assert stage.losses == stage.join_evaluations() == []
    assert stage.find_class_ap('a') is None


def test_class_without_objects_has_no_ap(tmp_path):
    write_metrics(
        tmp_path / 'teacher', a_precision=0.25, b_precision=float('nan')
    )

    (stage,) = read_stages(tmp_path)

    assert stage.find_class_ap('a') == 0.25
    assert stage.find_class_ap('b') is stage.find_class_ap('c') is None


def test_times_of_all_runs_are_added_up(tmp_path):
    for day, end in ((1, '00:01:00'), (2, '00:00:30')):
        run = tmp_path / f'teacher/2026010{day}_000000'
        run.mkdir(parents=True)
        (run / f'{run.name}.log').write_text(
            f'2026/01/0{day} 00:00:00 - mmengine - INFO - begins\n'
            f'a line of another kind\n'
            f'2026/01/0{day} {end} - mmengine - INFO - ends\n'
        )
    (tmp_path / 'annotate/20260101_000000').mkdir(parents=True)
    (tmp_path / 'annotate/20260101_000000/empty.log').touch()
    # This control is the teacher, whose time counts once.
    (tmp_path / 'supervised_long').symlink_to('teacher')

    # A user keeps this one on another disk.
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'teacher').rename(tmp_path / 'elsewhere/teacher')
    (tmp_path / 'teacher').symlink_to('elsewhere/teacher')

    teacher, annotate, control = read_stages(tmp_path)

    assert teacher.seconds == pytest.approx(90)
    assert annotate.seconds is None
    assert control.seconds is None


def test_annotation_in_the_folder_of_a_model_has_no_metrics(tmp_path):
    """Somebody may have exchanged two folders."""
    for name in ('annotate', 'student'):
        run = tmp_path / name / '20260101_000000'
        write_scalars(run, dict(loss=1.5, step=10, iter=10))
        write_metrics(tmp_path / name, bbox_mAP=0.1)

    annotation, student = read_stages(tmp_path)

    assert annotation.metrics is None
    assert not annotation.losses
    assert student.metrics and student.losses


def test_line_that_is_no_object_is_left_out(tmp_path):
    run = tmp_path / 'teacher/20260101_000000'
    write_scalars(run, dict(loss=3, step=1))
    with (run / 'vis_data/scalars.json').open('a') as file:
        file.write('\n5')

    (stage,) = read_stages(tmp_path)

    assert stage.losses == [(1, 3)]


def test_newest_labels_count_even_if_their_detections_were_deleted(tmp_path):
    for name in ('annotate', 'round2/annotate', 'round3/annotate'):
        (tmp_path / name).mkdir(parents=True)
    labels = tmp_path / 'round2/annotate/pseudo_labels.json'
    labels.touch()

    found = find_newest_annotation(tmp_path, read_stages(tmp_path))

    assert found == labels.parent
