"""An experiment without labeled images, from its configs to the table."""

import json
from pathlib import Path

import pytest
from builders import DrawnImages
from given_teachers import write_detector, write_teacher, write_val
from mmengine.config import Config

from projects.data_distillation.experiment.given_teachers.evaluation import (
    is_label_free,
    name_data,
    read_record,
)
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.experiment.timing.rates import (
    measure_iteration,
)
from projects.data_distillation.files.atomic import read_json

pytestmark = pytest.mark.slow
SHORT = '--batch-size 1 --student-iterations 2 --scales 1 --from-scratch'
PER_IMAGE = ['--per-image', 'red=2', 'green=1']


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Unlabeled and validation images, a detector, and a teacher."""
    folder = tmp_path_factory.mktemp('free')
    detector = write_detector(folder / 'student.py')
    # Its base filters, and hooks of its own must stay.
    detector.write_text(
        detector.read_text().replace(
            "ann_file='', pipeline=pipeline)",
            "ann_file='', pipeline=pipeline, "
            'filter_cfg=dict(filter_empty_gt=True))',
        )
        + "custom_hooks = [dict(type='CheckInvalidLossHook')]\n"
        # A variable of its own has the name of one of the stages.
        'teacher_labeled = dict(old=1)\n'
    )
    for name in ('small.pth', 'second.pth'):
        write_teacher(folder / name, ('red', 'green'), width=8)
    write_val(DrawnImages(folder / 'drawn'))
    return folder


@pytest.fixture
def init(folder, call_tool):
    def call(name: str, *options: object):
        return call_tool(
            'init_experiment',
            folder / name,
            *('--detector', folder / 'student.py'),
            *('--teacher', folder / 'small.pth'),
            *('--unlabeled', folder / 'drawn/unlabeled'),
            *SHORT.split(),
            '--no-rehearsal',
            *options,
        )

    return call


def test_nothing_but_images_and_teachers_makes_a_student(
    folder, init, call_tool, stages_here, tmp_path
):
    """The classes are those of a teacher; nothing can be evaluated."""
    teachers = folder / 'small.pth', folder / 'second.pth'
    shown = init('alone', *PER_IMAGE, '--teacher', *teachers)
    assert shown.returncode == 0, shown.stderr
    assert '2: red, green' in shown.stdout
    assert '0 labeled, 5 unlabeled, 0 to validate' in shown.stdout
    assert shown.stdout.rstrip().endswith(f'tools/distill.py {folder}/alone')
    assert not (folder / 'alone/validate.py').exists()
    again = init('alone', *PER_IMAGE, '--teacher', *teachers)
    assert again.returncode == 1
    assert f'{folder}/alone exists already: see --overwrite' in again.stderr
    student = Config.fromfile(folder / 'alone/student.py')
    assert 'old' not in student.teacher_labeled
    steps = [step.type for step in student.test_dataloader.dataset.pipeline]
    assert steps == ['LoadImageFromFile', 'Resize', 'PackDetInputs']

    done = call_tool(
        *('distill', folder / 'alone', '--work-dir', tmp_path / 'work'),
        '--no-rehearsal',
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    labels = read_json(tmp_path / 'work/annotate/pseudo_labels.json')
    found = [one['category_id'] for one in labels['annotations']]
    assert [found.count(number) for number in (1, 2)] == [10, 5]
    assert 'Models, which nothing compares' in done.stdout
    assert 'as given: second.pth' in done.stdout
    assert 'pseudo-labeled alone' in done.stdout
    assert 'verdict: not known, since there are no validation' in done.stdout
    summary = read_json(tmp_path / 'work/summary.json')
    assert summary['teacher'] == summary['student'] == {}
    assert summary['teacher2'] == {}
    assert 'best_model' not in summary
    assert list((tmp_path / 'work/student').glob('iter_2.pth'))
    assert not (tmp_path / 'work/student/test').exists()
    assert 'pseudo-labeled' not in (tmp_path / 'work/report.html').read_text()


def test_validation_images_say_how_many_labels_there_are(
    folder, init, call_tool, stages_here, tmp_path
):
    drawn = folder / 'drawn'
    shown = init(
        'judged',
        *('--val', drawn / 'val.json', '--val-images', drawn / 'val'),
        *('--unlabeled-truth', drawn / 'truth.json'),
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.rstrip().endswith('judged --oracle')
    work = tmp_path / 'work'

    done = call_tool(
        *('distill', folder / 'judged', '--work-dir', work, '--no-rehearsal')
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    labels = read_json(work / 'annotate/pseudo_labels.json')
    assert (
        labels['categories']
        == json.loads((drawn / 'val.json').read_text())['categories']
    )
    # As many as on the validation images: one of each class.
    assert len(labels['annotations']) == 2 * 5
    assert 'verdict: with pseudo labels alone, the student' in done.stdout
    assert '--control' not in done.stdout
    summary = read_json(work / 'summary.json')
    assert summary['best_model'] == 'student'
    assert summary['gains'].keys() == {'teacher'}
    trained_on = name_data(read_record(work))
    assert trained_on['oracle'] == 'truth alone: upper bound'
    assert is_label_free(trained_on) and not is_label_free({})
    report = (work / 'report.html').read_text()
    assert 'pseudo-labeled alone' in report and '--control' not in report
    oracle = Config.fromfile(folder / 'judged/oracle.py').train_dataloader
    assert oracle.dataset.ann_file == str(drawn / 'truth.json')
    assert oracle.dataset.filter_cfg.filter_empty_gt
    student = Config.fromfile(folder / 'judged/student.py')
    assert not student.train_dataloader.dataset.filter_cfg.filter_empty_gt
    hooks = [hook.type for hook in student.custom_hooks]
    assert hooks == ['CheckInvalidLossHook', 'IgnoreRegionsHook']


def test_paper_counts_the_objects_of_validation_images(folder, init):
    drawn = folder / 'drawn'

    init(
        'paper',
        *('--val', drawn / 'val.json', '--val-images', drawn / 'val'),
        *('--recipe', 'paper'),
    )

    (hook,) = Config.fromfile(folder / 'paper/annotate.py').custom_hooks
    assert hook.selection == dict(counted=[str(drawn / 'val.json')])
    assert hook.held_out == [
        dict(ann_file=str(drawn / 'val.json'), img_prefix=f'{drawn}/val/')
    ]


def test_user_may_say_how_many_labels_there_are_with_labeled_images_too(
    folder, init
):
    drawn = folder / 'drawn'

    shown = init(
        'counted',
        *('--labeled', drawn / 'labeled.json'),
        *('--labeled-images', drawn / 'labeled'),
        *('--val', drawn / 'val.json', '--val-images', drawn / 'val'),
        *PER_IMAGE,
    )

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.rstrip().endswith('counted --control')
    annotate = Config.fromfile(folder / 'counted/annotate.py')
    selection = annotate.custom_hooks[0].selection
    assert selection.selector == dict(
        type='CountSelector', per_image=dict(red=2.0, green=1.0)
    )
    assert selection.calibrates_boxes


def test_training_is_measured_before_there_are_labels(
    folder, init, stages_here, tmp_path
):
    init('timed', '--min-score', '0.5')
    experiment = Experiment(folder / 'timed')
    assert experiment.is_label_free and not experiment.can_evaluate
    annotate = experiment.load('annotate')
    selector = annotate.custom_hooks[0].selection.selector
    assert selector == dict(type='FixedSelector', min_score=0.5)

    with pytest.raises(ValueError, match='timed has none: leave --rounds out'):
        experiment.check(can_teach=True)
    measured = measure_iteration(Stages(experiment, Launcher()), tmp_path)

    assert measured[0] > 0 and measured[1] == '10 iterations'
    made_up = read_json(tmp_path / 'pseudo_labels.json')
    assert len(made_up['annotations']) == len(made_up['images']) == 5
