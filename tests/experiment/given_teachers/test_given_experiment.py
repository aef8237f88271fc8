"""An experiment whose teacher is given, from its configs to the table."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from builders import DrawnImages
from given_teachers import KNOWN, write_detector, write_teacher, write_val
from mmengine.config import Config

from projects.data_distillation.experiment.given_teachers.evaluation import (
    check_teachers,
)
from projects.data_distillation.experiment.given_teachers.options import (
    TeacherOptions,
)
from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.experiment.scaffold.init import (
    init_experiment,
)
from projects.data_distillation.experiment.scaffold.plan import (
    ExperimentOptions,
)
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.files.digest import compute_sha256
from projects.data_distillation.multi_view.inference.checkpoint_error import (
    CheckpointError,
)

pytestmark = pytest.mark.slow
MAP = ['scarlet=red']
OPTIONS = dict(
    ratio=(6, 4), batch_size=1, iterations=1, student_iterations=2, scales=[1]
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Data, a detector for the student, and two teachers."""
    folder = tmp_path_factory.mktemp('given')
    write_detector(folder / 'student.py')
    write_teacher(folder / 'big.pth', width=32)
    write_teacher(folder / 'small.pth', ('red', 'green'), width=8)
    return folder


@pytest.fixture(scope='module')
def sources(folder) -> dict:
    return write_val(DrawnImages(folder / 'drawn'))


def init(folder: Path, sources: dict, name: str, **teacher) -> list[str]:
    return init_experiment(
        folder / name,
        str(folder / 'student.py'),
        Sources(**sources),
        ExperimentOptions(**OPTIONS),
        TeacherOptions(**teacher),
    )


@pytest.fixture(scope='module')
def experiment(folder, sources) -> Path:
    """Two given teachers, of which the first has other names."""
    teachers = [folder / 'big.pth', folder / 'small.pth']
    init(folder, sources, 'exp', teacher=teachers, class_map=MAP)
    return folder / 'exp'


def test_no_teacher_is_trained_and_all_are_named(
    experiment, tmp_path, call_tool, stages_here
):
    big, small = (experiment.parent / f'{n}.pth' for n in ('big', 'small'))
    work = tmp_path / 'work'

    done = call_tool('distill', experiment, '--work-dir', work, '--control')

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    trained = [x for x in done.stdout.splitlines() if 'train.py ' in x]
    assert len(trained) == 2
    assert 'teacher.py' not in ''.join(trained)
    table = done.stdout.split('Comparison')[1]
    assert 'as given: big.pth' in table
    assert 'as given: small.pth' in table
    summary = json.loads((work / 'summary.json').read_text())
    models = summary['given']['teachers']
    assert [one['sha256'] for one in models] == [
        *map(compute_sha256, (big, small))
    ]
    sizes = [
        one['parameters'] for one in (*models, summary['given']['student'])
    ]
    assert sizes[1] < sizes[2] < sizes[0]
    assert all(one['images_per_second'] > 0 for one in models)
    assert summary.keys() >= {'teacher', 'teacher2', 'supervised_long'}
    assert summary['best_model'] in ('student', 'supervised_long')
    labels = json.loads((work / 'annotate/pseudo_labels.json').read_text())
    assert {a['category_id'] for a in labels['annotations']} == {7, 3}
    report = (work / 'report.html').read_text()
    assert 'as given: small.pth' in report
    assert 'million parameters' in report
    assert 'The boxes of teacher, supervised_long, student on ' in report

    again = call_tool('distill', experiment, '--work-dir', work, '--control')

    assert '$ ' not in again.stdout
    assert table.split('report:')[0] in again.stdout
    plan = call_tool(
        'distill', experiment, '--work-dir', work, '--control', '--dry-run'
    )
    assert plan.returncode == 0, plan.stderr
    assert ' as given ' in plan.stdout


def swap_classes(file: Path) -> Path:
    """Write the same teacher, with its two classes in the other order."""
    content = torch.load(file, weights_only=False)
    for name in ('weight', 'bias'):
        name = f'bbox_head.gfl_cls.{name}'
        content['state_dict'][name] = content['state_dict'][name].flip(0)
    classes = content['meta']['dataset_meta']['classes'][::-1]
    content['meta']['dataset_meta'] = dict(classes=classes)
    torch.save(content, file.with_name('swapped.pth'))
    return file.with_name('swapped.pth')


@pytest.fixture(scope='module')
def plain(folder, sources) -> Path:
    """An experiment in which a teacher would be trained."""
    init(folder, sources, 'plain')
    return folder / 'plain'


def test_teacher_of_any_experiment_may_be_given(
    plain, tmp_path, stages_here, monkeypatch
):
    """It is evaluated with the classes of the labeled file."""
    monkeypatch.chdir(tmp_path)
    first = write_teacher(tmp_path / 'first.pth', ('red', 'green'), width=16)
    found = []
    for file in (first, swap_classes(first)):
        option = 'model.bbox_head.stacked_convs=2'
        experiment = Experiment(plain, options=(option,), given=(file,))
        check_teachers(experiment, num_rounds=2)
        stages = Stages(experiment, Launcher())
        stages.evaluate_given(0, tmp_path / file.stem)
        results = tmp_path / file.stem / 'teacher/test/results.bbox.json'
        found.append(json.loads(results.read_text()))

    assert {one['category_id'] for one in found[0]} == {7, 3}
    assert found[1] == found[0]


def test_teacher_that_does_not_fit_is_named_before_anything_runs(
    folder, plain, experiment, call_tool, tmp_path
):
    for teacher, message in (
        (folder / 'big.pth', 'tools/init_experiment.py --teacher'),
        (folder / 'big.pth', f'{folder}/big.pth cannot be the teacher of'),
        ('nowhere.pth', 'checkpoint of the teacher not found: nowhere.pth'),
    ):
        refused = call_tool(
            'distill', plain, '--work-dir', tmp_path, '--teacher', teacher
        )

        assert refused.returncode == 1
        assert message in refused.stderr
        assert '$ ' not in refused.stdout
    with pytest.raises(ValueError, match='--rounds needs a teacher with the'):
        check_teachers(Experiment(experiment), num_rounds=2)


def test_second_teacher_that_is_cut_short_is_named(
    folder, plain, call_tool, tmp_path
):
    cut = tmp_path / 'cut.pth'
    cut.write_bytes((folder / 'small.pth').read_bytes()[:1000])
    first = write_teacher(tmp_path / 'first.pth', ('red', 'green'), width=16)

    refused = call_tool(
        'distill', plain, '--work-dir', tmp_path / 'w', '--teacher', first, cut
    )

    assert refused.returncode == 1
    assert refused.stderr.startswith(f'error: {cut} cannot be loaded: ')


def test_merger_that_is_not_there_is_named_with_the_file(
    folder, plain, call_tool, tmp_path
):
    typo = folder / 'typo'
    shutil.copytree(plain, typo)
    annotate = typo / 'annotate.py'
    annotate.write_text(annotate.read_text().replace('WBFMer', 'WFBMer'))

    refused = call_tool(
        'distill', typo, '--work-dir', tmp_path, '--teacher',
        write_teacher(tmp_path / 'first.pth', ('red', 'green'), width=16),
    )  # fmt: skip

    assert refused.returncode == 1
    assert refused.stderr.startswith(
        f'error: `model` of {annotate} cannot be built: KeyError: '
    )
    assert 'WFBMerger' in refused.stderr


def test_teachers_of_the_command_line_take_the_places_of_those_before(
    plain, experiment
):
    files = tuple(map(Path, ('a.pth', 'b.pth', 'c.pth')))
    key = 'model.other_teachers'

    of_plain = Experiment(plain, given=files).make_values('annotate')
    of_two = Experiment(experiment, given=files).load('tune')[
        key.split('.')[0]
    ]

    assert of_plain == {key: [dict(checkpoint=f'{n}.pth') for n in 'bc']}
    second, third = of_two.other_teachers
    assert (second.checkpoint, third.checkpoint) == ('b.pth', 'c.pth')
    assert second.module.type == 'GFL' and 'module' not in third
    assert Experiment(plain, given=files[:1]).make_values('annotate') == {}
    assert Experiment(plain, given=files).make_values('student') == {}
    one = Experiment(experiment, given=files[:1])
    assert one.make_values('annotate') == {key: []}
    assert one.teachers == files[:1]
    assert not Experiment(plain).teachers


def test_options_of_the_model_are_those_of_the_student(experiment):
    one = Experiment(
        experiment,
        options=(
            'model.bbox_head.reg_max=4',
            'model.mode=fast',
            'model.module.test_cfg.nms_pre=9',
        ),
    )
    own = 'model.module.test_cfg.nms_pre=9'

    assert one.list_options('annotate') == ['model.mode=fast', own]
    assert one.list_options('teacher') == [own]
    assert one.list_options('student')[0] == 'model.bbox_head.reg_max=4'


def test_missing_class_leaves_nothing_behind(folder, sources):
    with pytest.raises(CheckpointError, match=r"big.pth: .* lacks 1 .*'red'"):
        init(folder, sources, 'never', teacher=[folder / 'big.pth'])

    assert not (folder / 'never').exists()


def test_experiment_says_which_teachers_are_given(experiment, folder, sources):
    teachers = [folder / 'big.pth', folder / 'small.pth']

    lines = init(folder, sources, 'again', teacher=teachers, class_map=MAP)

    assert f'teacher     as given: {teachers[0]}, GFL, 4 classes' in (
        '\n'.join(lines)
    )
    assert f'teacher2    as given: {teachers[1]}, GFL, 2 classes' in (
        '\n'.join(lines)
    )
    cfg = Config.fromfile(experiment / 'annotate.py')
    assert cfg.given_teachers == [*map(str, teachers)]
    assert cfg.model.module.bbox_head.num_classes == len(KNOWN)
    # The student is another detector, in another size.
    assert cfg.model.views[0][0].scale == (96, 96)
    student = Config.fromfile(experiment / 'student.py')
    assert student.model.bbox_head.num_classes == 2
    assert student.train_cfg.max_iters == 2
    control = Config.fromfile(experiment / 'supervised_long.py')
    assert control.train_cfg.max_iters == 2
    assert control.train_dataloader.dataset.ann_file == str(sources['labeled'])


def test_class_that_is_a_word_of_python_needs_another_name(
    folder, sources, tmp_path
):
    teacher = write_teacher(tmp_path / 'teacher.pth', ('green', 'class'))
    class_map = ['class=red']

    with pytest.raises(ValueError, match="got 'class': .* --classes-from"):
        init(folder, sources, 'words', teacher=[teacher], class_map=class_map)
    assert not (folder / 'words').exists()

    names = tmp_path / 'names.txt'
    names.write_text('green\nred\n')
    init(folder, sources, 'words', teacher=[teacher], classes_from=[names])
    assert Config.fromfile(folder / 'words/annotate.py').pretty_text
