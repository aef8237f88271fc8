"""What `--overwrite` may delete, and what not."""

import pytest

from projects.data_distillation.experiment.creation.overwriting import (
    check_is_experiment,
)
from projects.data_distillation.experiment.rehearsal.record import NOTE

WRITTEN = (
    'teacher.py', 'annotate.py', 'given_teacher.py', 'detector.py', NOTE,
    'annotations/labeled.json', '__pycache__/teacher.pyc',
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name in WRITTEN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_experiment_may_be_replaced(folder):
    check_is_experiment(folder / 'not there')
    check_is_experiment(folder, {NOTE})


def test_folder_without_a_teacher_is_no_experiment(tmp_path):
    with pytest.raises(FileExistsError, match='has no teacher.py'):
        check_is_experiment(tmp_path)


@pytest.mark.parametrize(
    ('others', 'named'),
    [
        (['images/1.png'], 'experiment: images; move them'),
        (['labeled.json'], 'experiment: labeled.json; move them'),
        (['my_head.py'], 'experiment: my_head.py; move them'),
        (['annotations/val.json'], 'experiment: annotations/val.json; move'),
        (list('dcba'), 'experiment: a, b, c, ...; move them'),
    ],
)
def test_files_of_the_user_are_not_deleted(folder, others, named):
    for name in others:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()

    with pytest.raises(FileExistsError, match=named):
        check_is_experiment(folder, {NOTE})


def test_link_is_not_taken_for_a_folder_of_the_tools(folder, tmp_path_factory):
    """Its target would stay, but not the link."""
    target = tmp_path_factory.mktemp('elsewhere')
    cache = folder / '__pycache__'
    (cache / 'teacher.pyc').unlink()
    cache.rmdir()
    cache.symlink_to(target)

    with pytest.raises(FileExistsError, match='__pycache__'):
        check_is_experiment(folder, {NOTE})


def test_tool_deletes_nothing_of_the_user(folder, call_tool):
    def overwrite():
        return call_tool(
            'init_experiment', folder, '--detector', 'none.py',
            '--unlabeled', 'images', '--overwrite',
        )  # fmt: skip

    allowed = overwrite()
    (folder / 'mine.png').touch()
    refused = overwrite()

    assert 'name the labeled images' in allowed.stderr
    assert refused.returncode == 1
    assert refused.stderr.startswith('error: --overwrite deletes all in ')
    assert (folder / 'mine.png').exists()
