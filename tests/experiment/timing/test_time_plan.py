"""The plan of an experiment of which nothing is done yet."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from projects.data_distillation.experiment.processes.process import (
    StageError,
    capture_output,
)
from projects.data_distillation.experiment.stages import stages
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.fingerprint import (
    SETTINGS,
    write_settings,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.run import Distillation
from projects.data_distillation.experiment.timing.rates import (
    PlannedStage,
    Rates,
    choose_warm,
    measure_iteration,
    parse_speed,
)
from projects.data_distillation.experiment.timing.time_plan import (
    format_plan,
    list_planned_stages,
    plan_student,
    plan_training,
)
from projects.data_distillation.files.atomic import write_json
from projects.data_distillation.pseudo_labels.selection.coco_writer import (
    PSEUDO_LABELS,
)
from projects.data_distillation.training.finished import FINISHED

MODELS = ('teacher', 'student', 'oracle')


@pytest.fixture
def distillation(tiny_experiment, tmp_path, monkeypatch) -> Distillation:
    monkeypatch.chdir(tiny_experiment.parent)
    experiment = Experiment(tiny_experiment, MODELS)
    of_models = stages.Stages(experiment, Launcher())
    return Distillation(of_models, tmp_path / 'work', num_rounds=2)


@pytest.mark.slow
def test_all_rounds_are_to_be_run(distillation):
    training = dict(text='2 iterations', iterations=2)
    annotation = dict(text='4 images', images=4)

    assert list(list_planned_stages(distillation)) == [
        PlannedStage('teacher', **training),
        PlannedStage('round 1: annotate', **annotation),
        PlannedStage('round 1: student', **training),
        PlannedStage('round 2: annotate', **annotation),
        PlannedStage('round 2: student', **training),
        PlannedStage('oracle', **training),
    ]


@pytest.mark.slow
def test_iterations_and_images_are_measured(distillation, stages_here):
    text = format_plan([distillation])

    last = text.splitlines()[-1]
    # Fewer than 10 iterations if the machine is so slow that its time is up.
    assert re.fullmatch(
        r'in all about 1 min; measured .* \(load .* cores.*\): '
        r'\d+\.\d\d s an iteration '
        r'\(([2-9]|10) iterations\), \d+\.\d\d s an image \(4 images\); '
        'starting and evaluating take extra time',
        last,
    )
    assert text.count('round 2: student') == 1
    assert not distillation.work_dir.exists()


@pytest.mark.slow
def test_weights_of_a_measurement_are_named(
    distillation, stages_here, tmp_path
):
    experiment = replace(
        distillation.stages.experiment,
        options=('default_hooks.logger.ignore_last=False',),
    )
    measure_iteration(
        replace(distillation.stages, experiment=experiment), tmp_path
    )

    named = Path((tmp_path / 'last_checkpoint').read_text())
    assert [named] == list(tmp_path.glob('iter_*.pth'))
    (config,) = tmp_path.glob('*/vis_data/config.py')
    assert not Config.fromfile(config).default_hooks.logger.ignore_last


def test_iterations_that_warm_up_count_only_if_there_are_no_others():
    assert choose_warm([9.0, 8.0, 1.0, 2.0]) == [1.0, 2.0]
    assert choose_warm([9.0, 8.0]) == [8.0]
    assert choose_warm([9.0]) == [9.0]


def test_nothing_is_measured_if_nothing_is_left(distillation):
    rates = Rates.measure(
        distillation.stages, [PlannedStage('teacher', 'done')]
    )

    assert rates == Rates()


def test_time_is_that_of_iterations_and_images():
    rates = Rates(iteration=0.5, image=2.0)

    assert rates.estimate(PlannedStage('student', '', iterations=10)) == 5.0
    assert rates.estimate(PlannedStage('annotate', '', images=3)) == 6.0
    assert rates.estimate(PlannedStage('teacher', 'done')) == 0.0
    assert str(Rates()) == 'starting and evaluating take extra time'


@pytest.mark.parametrize(
    ('done', 'step'),
    [
        ('last_checkpoint', PlannedStage('teacher', '1 of 2 iterations', 1)),
        (FINISHED, PlannedStage('teacher', 'done')),
    ],
)
def test_training_that_has_begun_goes_on(distillation, tmp_path, done, step):
    folder = tmp_path / 'work' / 'teacher'
    folder.mkdir(parents=True)
    torch.save(dict(meta=dict(iter=1)), folder / 'iter_1.pth')
    (folder / done).write_text(str(folder / 'iter_1.pth'))

    assert plan_training(distillation.stages, 'teacher', folder) == step


def test_renamed_checkpoint_has_as_many_iterations(distillation, tmp_path):
    folder = tmp_path / 'work/teacher'
    folder.mkdir(parents=True)
    torch.save(dict(meta=dict(iter=1)), folder / 'iter_9.pth')

    step = plan_training(distillation.stages, 'teacher', folder)

    assert step == PlannedStage('teacher', '1 of 2 iterations', 1)


@pytest.mark.slow
def test_labels_wait_for_a_teacher_that_trains_on(distillation, tmp_path):
    work = tmp_path / 'work'
    (work / 'teacher').mkdir(parents=True)
    torch.save(dict(meta=dict(iter=1)), work / 'teacher/iter_1.pth')
    annotation = distillation.stages.prepare_detection(
        'annotate', work / 'annotate', work / 'teacher/iter_1.pth'
    )
    finish(annotation, work / 'annotate')
    assert annotation.is_done()

    steps = list(list_planned_stages(distillation))[:2]

    assert [step.text for step in steps] == ['1 of 2 iterations', '4 images']


@pytest.mark.slow
def test_second_round_waits_for_a_student_that_is_trained_again(
    distillation, tmp_path
):
    work = tmp_path / 'work'
    for folder in (work / 'teacher', work / 'student'):
        folder.mkdir(parents=True)
        torch.save(dict(meta=dict(iter=2)), folder / 'iter_2.pth')
        (folder / FINISHED).write_text('iter_2.pth')
    of_stages = distillation.stages
    for teacher, folder in (
        (work / 'teacher', work / 'annotate'),
        (work / 'student', work / 'round2/annotate'),
    ):
        stage = of_stages.prepare_detection(
            'annotate', folder, teacher / 'iter_2.pth'
        )
        finish(stage, folder)

    def plan() -> dict[str, str]:
        return {
            step.name: step.text for step in list_planned_stages(distillation)
        }

    assert plan()['round 2: annotate'] == 'done'

    # Somebody has changed the labels of the first round.
    training = of_stages.prepare_training(
        'student', work / 'student', work / 'annotate' / PSEUDO_LABELS
    )
    write_settings(work / 'student', training.collect_settings())
    (work / 'annotate' / PSEUDO_LABELS).write_text('{"images": []}')
    steps = plan()
    assert steps['round 1: student'].startswith('2 iterations, again: ')
    assert steps['round 2: annotate'] == '4 images'
    assert steps['round 2: student'] == '2 iterations'


def test_plan_checks_first_what_the_run_would(distillation, tmp_path):
    none = tmp_path / 'none.pth'
    experiment = replace(distillation.stages.experiment, given=(none,))
    of_given = replace(distillation.stages, experiment=experiment)

    with pytest.raises(FileNotFoundError, match=r'not found: .*none\.pth'):
        format_plan([replace(distillation, stages=of_given, num_rounds=1)])


def test_student_of_labels_to_come_has_all_to_do(distillation, tmp_path):
    work = tmp_path / 'work'
    (work / 'student').mkdir(parents=True)
    (work / 'annotate').mkdir()
    (work / 'annotate' / PSEUDO_LABELS).write_text('{}')
    torch.save(dict(meta=dict(iter=1)), work / 'student/iter_1.pth')

    def plan(text: str) -> int:
        before = PlannedStage('annotate', text)
        stages = distillation.stages
        return plan_student(stages, 's', work / 'student', before).iterations

    assert plan('done') == 1
    assert plan('labels are selected again') == 2


def finish(stage, folder: Path) -> None:
    """Leave what a finished stage leaves."""
    folder.mkdir(parents=True)
    (folder / PSEUDO_LABELS).write_text('{}')
    write_settings(folder, stage.collect_settings())
    (folder / FINISHED).write_text('{}')


def test_plan_refuses_what_the_run_would(distillation, tmp_path):
    folder = tmp_path / 'work' / 'teacher'
    write_json(folder / SETTINGS, dict(seed=1))

    with pytest.raises(StageError, match='seed 1, got seed None: .*--seed 1'):
        list(list_planned_stages(distillation))


@pytest.fixture
def tunable(distillation, tmp_path, monkeypatch) -> Distillation:
    """An experiment with candidates, whose teacher is trained."""
    monkeypatch.setattr(stages, 'MIN_TUNING_IMAGES', 1)
    experiment = shutil.copytree(
        distillation.stages.experiment.folder, tmp_path / 'tuned'
    )
    (experiment / 'tune.py').write_text(
        "_base_ = './validate.py'\n"
        'model = dict(keep_views=True)\n'
        "custom_hooks = [dict(type='TuneHook', "
        'ann_file=_base_.known_images.held_out[0].ann_file, '
        'labeled=_base_.custom_hooks[0].labeled)]\n'
    )
    work = tmp_path / 'work'
    (work / 'teacher').mkdir(parents=True)
    torch.save(dict(meta=dict(iter=2)), work / 'teacher/iter_2.pth')
    (work / 'teacher' / FINISHED).write_text('iter_2.pth')
    of_stages = stages.Stages(Experiment(experiment), Launcher())
    return Distillation(of_stages, work)


@pytest.mark.slow
@pytest.mark.parametrize('is_chosen', [False, True])
def test_annotation_is_that_of_the_chosen_views(tunable, is_chosen):
    work = tunable.work_dir
    teacher = work / 'teacher/iter_2.pth'
    annotating = tunable.stages
    if is_chosen:
        tuning = annotating.prepare_detection('tune', work / 'tune', teacher)
        finish(tuning, work / 'tune')
        for stage in ('annotate', 'validate'):
            base = annotating.experiment.config(stage)
            (work / f'tune/{stage}.py').write_text(
                f"_base_ = '{base}'\nmodel = dict(nms_pre=7)\n"
            )
        annotating = annotating.use_choice(work / 'tune')
    finish(
        annotating.prepare_detection('annotate', work / 'annotate', teacher),
        work / 'annotate',
    )

    texts = {step.name: step.text for step in list_planned_stages(tunable)}

    assert texts['annotate'] == ('done' if is_chosen else '4 images')


def test_labels_of_the_given_teacher_are_done(distillation, tmp_path):
    given = tmp_path / 'given.pth'
    torch.save(dict(meta=dict(iter=2)), given)
    of_given = replace(
        distillation.stages,
        experiment=replace(distillation.stages.experiment, given=(given,)),
    )
    folder = tmp_path / 'work/annotate'
    finish(of_given.prepare_detection('annotate', folder, given), folder)

    steps = list(
        list_planned_stages(Distillation(of_given, tmp_path / 'work'))
    )[:2]

    assert [step.text for step in steps] == ['as given', 'done']


def test_training_by_epochs_has_no_plan(tiny_experiment, tmp_path):
    folder = shutil.copytree(tiny_experiment, tmp_path / 'epochs')
    with (folder / 'teacher.py').open('a') as config:
        config.write('train_cfg = dict(_delete_=True, max_epochs=3)\n')
    by_epochs = stages.Stages(Experiment(folder), Launcher())

    with pytest.raises(ValueError, match=r'teacher.py must count iterations'):
        list(list_planned_stages(Distillation(by_epochs, tmp_path / 'work')))


def test_failed_measurement_is_shown():
    command = ['bash', '-c', 'echo first; echo last >&2; exit 3']

    with pytest.raises(StageError, match='exit code 3') as error:
        capture_output(command)

    _, *output, told = str(error.value).splitlines()
    assert output == ['first', 'last']
    assert told.startswith("The command was: bash -c 'echo first")


def test_measurement_without_a_speed_is_shown():
    of_all = 'measured on 4 images: 2.50 images/s'
    assert parse_speed(of_all) == (2.5, '4 images')
    of_slow = 'measured on 1 image (1 of 6 views): 2e-05 images/s'
    assert parse_speed(of_slow) == (2e-5, '1 image (1 of 6 views)')
    with pytest.raises(StageError, match='must print .* got:\nnothing'):
        parse_speed('nothing')
