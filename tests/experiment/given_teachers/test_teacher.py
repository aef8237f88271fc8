"""A checkpoint that somebody gives, and what is said of a bad one."""

import shutil
from pathlib import Path

import pytest
import torch
from builders import Call
from given_teachers import KNOWN, write_teacher

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
)
from projects.data_distillation.experiment.given_teachers.options import (
    TeacherOptions,
)
from projects.data_distillation.experiment.given_teachers.teacher import (
    read_teacher,
)
from projects.data_distillation.multi_view.inference.checkpoint_error import (
    CheckpointError,
)


@pytest.fixture(scope='module')
def known(tmp_path_factory) -> Path:
    return write_teacher(tmp_path_factory.mktemp('given') / 'teacher.pth')


@pytest.fixture
def given(known, tmp_path) -> Path:
    """A copy to change."""
    return Path(shutil.copy(known, tmp_path / 'teacher.pth'))


def change(file: Path, **changes: object) -> Path:
    content = torch.load(file, weights_only=False)
    content['meta'] = {
        key: value
        for key, value in {**content['meta'], **changes}.items()
        if value is not None
    }
    torch.save(content, file)
    return file


def test_config_and_classes_are_those_of_the_checkpoint(known):
    teacher = read_teacher(known, None)

    assert teacher.classes == list(KNOWN)
    assert teacher.cfg.model.bbox_head.num_classes == len(KNOWN)
    assert teacher.module['data_preprocessor']['pad_size_divisor'] == 16
    assert '4 classes' in teacher.describe()
    with pytest.raises(CheckpointError, match='teacher.pth: .* lacks 1 of'):
        teacher.check(['red', 'green'])


@pytest.mark.slow
def test_config_may_be_a_file_and_classes_a_list(given):
    config = given.with_suffix('.py')
    config.write_text(torch.load(given, weights_only=False)['meta']['cfg'])
    names = given.with_name('names.txt')
    names.write_text('\n'.join(['green', 'a', 'red', 'b', '']))
    change(given, cfg=None, dataset_meta=None)
    options = dict(teacher=[given], teacher_config=[str(config)])

    (teacher,) = TeacherOptions(**options, classes_from=[names]).read()

    teacher.check(['red', 'green'])
    with pytest.raises(CheckpointError, match='does not say with which conf'):
        TeacherOptions(teacher=[given]).read()
    names.write_text('red\nred\n')
    with pytest.raises(ValueError, match='each once, got 2 lines with 1'):
        TeacherOptions(**options, classes_from=[names]).read()


@pytest.mark.slow
def test_each_teacher_takes_the_names_that_it_has(given, tmp_path):
    other = change(
        Path(shutil.copy(given, tmp_path / 'other.pth')),
        dataset_meta=dict(classes=('green', 'a', 'b', 'crimson')),
    )
    class_map = ['scarlet=red', 'crimson=red']

    teachers = TeacherOptions(
        teacher=[given, other], class_map=class_map
    ).read()

    for teacher in teachers:
        teacher.check(['red', 'green'])
    options = TeacherOptions(teacher=[given], class_map=['scarlett=red'])
    with pytest.raises(CheckpointError, match=r"'scarlett', .*: scarlet"):
        options.read()[0].check(['red', 'green'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(class_map=['a=b']), '--class-map goes only with --teacher'),
        (dict(teacher_config=['a']), '--teacher-config goes only with'),
        (
            dict(teacher=['a'] * 3, classes_from=['b'] * 2),
            'one file for each of the 3 teachers, or one for all, got 2',
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TeacherOptions(**options)


@pytest.mark.parametrize('text', ['a', 'a=', '=b', ''])
def test_class_map_has_two_names(known, text):
    options = TeacherOptions(teacher=[known], class_map=[text])

    with pytest.raises(ValueError, match='takes NAME_OF_TEACHER=NAME'):
        options.read()


def test_checkpoint_that_could_run_code_is_refused(given, tmp_path):
    evidence = tmp_path / 'evidence'
    torch.save(dict(meta=Call(Path.touch, evidence)), given)

    with pytest.raises(CheckpointError, match='holds code'):
        read_teacher(given, None)

    assert not evidence.exists()


@pytest.mark.parametrize(
    'text',
    [
        "model = dict(type='GFL')\nopen({evidence!r}, 'w')",
        "model = dict(type='builtins.open', file={evidence!r}, mode='w')",
        "custom_imports = open({evidence!r}, 'w')",
    ],
)
def test_config_that_could_run_code_is_refused(given, tmp_path, text):
    evidence = tmp_path / 'evidence'
    change(given, cfg=text.format(evidence=str(evidence)))

    with pytest.raises(CheckpointError, match='teacher.pth: .*--teacher-conf'):
        read_teacher(given, None)

    assert not evidence.exists()


def test_what_is_no_teacher_is_refused(given, tmp_path):
    with pytest.raises(FileNotFoundError, match='teacher not found: nowhere'):
        read_teacher(Path('nowhere.pth'), None)
    with pytest.raises(ValueError, match='download it first'):
        read_teacher(Path('https://example.org/a.pth'), None)
    change(given, cfg='model = None')
    with pytest.raises(DetectorError, match='no `model` with a `type`'):
        read_teacher(given, None)
    change(given, cfg='data = dict()\noptimizer = dict()')
    with pytest.raises(DetectorError, match='MMDetection 2.x'):
        read_teacher(given, None)
    given.write_bytes(given.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match='cannot be loaded'):
        read_teacher(given, None)
    torch.save([1], given)
    with pytest.raises(CheckpointError, match='must hold a dictionary'):
        read_teacher(given, None)


@pytest.mark.slow
def test_weights_of_another_model_are_refused(given):
    config = given.with_suffix('.py')
    text = torch.load(given, weights_only=False)['meta']['cfg']
    config.write_text(text.replace('num_classes=4', 'num_classes=5'))

    with pytest.raises(CheckpointError, match='weights do not fit'):
        read_teacher(given, str(config)).check(['green'])
    config.write_text(text.replace("type='GFL'", "type='Nothing'"))
    with pytest.raises(DetectorError, match='cannot be built from'):
        read_teacher(given, str(config)).check(['green'])
