"""The commands that start a stage."""

from pathlib import Path

import pytest

from projects.data_distillation.experiment.stages.launcher import (
    TOOLS,
    Launcher,
)

CONFIG, WEIGHTS, WORK_DIR = Path('e/annotate.py'), Path('t.pth'), Path('w')


def test_one_process_is_python():
    launcher = Launcher()

    assert launcher.make_training(CONFIG, WORK_DIR, '--resume', WEIGHTS) == [
        'python', f'{TOOLS}/train.py', 'e/annotate.py',
        '--work-dir', 'w', '--resume', 't.pth',
    ]  # fmt: skip
    assert launcher.make_test(CONFIG, WEIGHTS, WORK_DIR) == [
        'python', f'{TOOLS}/test.py', 'e/annotate.py', 't.pth',
        '--work-dir', 'w',
    ]  # fmt: skip


def test_processes_of_this_machine_are_the_last_argument_by_position():
    launcher = Launcher('pytorch', 3)

    assert launcher.make_training(CONFIG, WORK_DIR) == [
        f'{TOOLS}/dist_train.sh', 'e/annotate.py', '3', '--work-dir', 'w',
    ]  # fmt: skip
    assert launcher.make_test(CONFIG, WEIGHTS, WORK_DIR) == [
        f'{TOOLS}/dist_test.sh', 'e/annotate.py', 't.pth', '3',
        '--work-dir', 'w',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('environ', 'num', 'per_node'), [({}, 2, 2), ({}, 16, 8), (4, 16, 4)]
)
def test_tasks_of_slurm(monkeypatch, environ, num, per_node):
    monkeypatch.delenv('GPUS_PER_NODE', raising=False)
    if environ:
        monkeypatch.setenv('GPUS_PER_NODE', str(environ))
    launcher = Launcher('slurm', num, 'gpu')
    environment = ['env', f'GPUS={num}', f'GPUS_PER_NODE={per_node}']

    assert launcher.make_training(CONFIG, WORK_DIR, '--resume') == [
        *environment, f'{TOOLS}/slurm_train.sh', 'gpu', 'annotate',
        'e/annotate.py', 'w', '--resume',
    ]  # fmt: skip
    assert launcher.make_test(CONFIG, WEIGHTS, WORK_DIR) == [
        *environment, f'{TOOLS}/slurm_test.sh', 'gpu', 'annotate',
        'e/annotate.py', 't.pth', '--work-dir', 'w',
    ]  # fmt: skip
    assert launcher.choose_for_annotation() == launcher


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('slrum',), "launcher must be one of .*'slurm'.*, got 'slrum'"),
        (('pytorch', 0), 'gpus must be at least 1, got 0'),
        (('none', 2), "2 processes need a launcher, got 'none'"),
        (('slurm', 2), 'needs a partition'),
        (('pytorch', 2, 'gpu'), "got 'pytorch' and 'gpu'"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Launcher(*arguments)
