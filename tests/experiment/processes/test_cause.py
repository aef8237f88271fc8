"""Why a command failed, as its output tells."""

import subprocess
import sys

import pytest

from projects.data_distillation.experiment.processes.cause import (
    explain_failure,
)


def output_of(code: str) -> str:
    """Return what Python prints when it runs some code."""
    done = subprocess.run(
        [sys.executable, '-S', '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


CHAINED = """
try:
    open('lost.png')
except OSError as error:
    raise KeyError('of the registry') from error
"""
CAUGHT = """
import traceback
try:
    open('lost.png')
except OSError:
    traceback.print_exc()
print('2026/01/01 12:00:00 - mmengine - INFO - goes on')
raise ValueError('one line\\nand another')
"""
LOADER = (
    'Traceback (most recent call last):\n'
    '  File "/x/site-packages/torch/_utils.py", line 700, in reraise\n'
    '    raise exception\n'
    'FileNotFoundError: Caught FileNotFoundError in DataLoader worker.\n'
    'Original Traceback (most recent call last):\n'
    '  File "/x/site-packages/mmengine/local_backend.py", line 33, in get\n'
    "    with open(filepath, 'rb') as f:\n"
    "FileNotFoundError: No such file or directory: 'images/7.png'\n"
    '\n'
)
RANK = (
    '[rank{n}]: Traceback (most recent call last):\n'
    '[rank{n}]:   File "/x/site-packages/a/b.py", line {n}, in f\n'
    '[rank{n}]:     g()\n'
    '[rank{n}]: {what}\n'
)
LAUNCHER = (
    'E1128 12:00:00.000000 7 site-packages/torch/api.py:874] failed (1)\n'
    'Traceback (most recent call last):\n'
    '  File "/x/bin/torchrun", line 10, in <module>\n'
    '    sys.exit(main())\n'
    'torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n'
    '====\n'
)


def test_exception_is_named_with_its_message_and_place():
    text = output_of('open("lost.png")')

    cause = explain_failure(1, f'a line\n{text}')

    assert cause.startswith('FileNotFoundError: [Errno 2] No such file or dir')
    assert cause.endswith("'lost.png' (<string>, line 1)")


@pytest.mark.parametrize(
    ('text', 'cause'),
    [
        (output_of(CHAINED), "KeyError: 'of the registry' (<string>, line 5)"),
        (
            output_of(CAUGHT),
            'ValueError: one line\nand another (<string>, line 8)',
        ),
        (
            LOADER,
            "FileNotFoundError: No such file or directory: 'images/7.png' "
            '(mmengine/local_backend.py, line 33)',
        ),
        (
            'tool.py: error: the following arguments are required: config\n',
            'the following arguments are required: config',
        ),
        ('x\nerror: first\nsecond\n\nx\n', 'first\nsecond'),
        (
            'Traceback (most recent call last):\n  File "a.py", line 2, in b\n'
            'a.b.StoreError: of another teacher\n'
            '11/28 21:00:00 - mmengine - INFO - the end\n',
            'StoreError: of another teacher (a.py, line 2)',
        ),
        (
            'Traceback (most recent call last):\n  File "a.py", line 2, in b\n'
            'AssertionError\n',
            'AssertionError (a.py, line 2)',
        ),
    ],
)
def test_last_exception_or_message_is_the_cause(text, cause):
    assert explain_failure(1, text) == cause


def test_first_process_that_fails_is_the_cause():
    lost = RANK.format(n=1, what='RuntimeError: [gloo] Connection closed')
    text = RANK.format(n=0, what='ValueError: a reason') + lost + LAUNCHER

    assert explain_failure(1, text) == 'ValueError: a reason (a/b.py, line 0)'


def test_launcher_alone_is_no_cause():
    assert 'exit code 1, after' in explain_failure(1, LAUNCHER)


@pytest.mark.parametrize(
    ('code', 'text', 'cause'),
    [
        (-9, 'a line\n', 'SIGKILL ended it (is the memory full?)'),
        (-15, '', 'SIGTERM ended it'),
        # A real-time signal has no name.
        (-40, '', 'signal 40 ended it'),
        (
            1,
            f'W1128 Signal 9 (SIGKILL) received by PID 7\n{LAUNCHER}',
            'SIGKILL ended it (is the memory full?)',
        ),
    ],
)
def test_signal_is_named(code, text, cause):
    assert explain_failure(code, text) == cause
