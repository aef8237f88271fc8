"""A test that hangs does not hold up the run, and its stacks are shown."""

import subprocess
import sys
from pathlib import Path

import pytest
from builders import ROOT, process_environ

pytestmark = pytest.mark.slow

CONFTEST = """
import time_limits

time_limits.FAST_LIMIT = time_limits.GRACE = 1
pytest_plugins = ['time_limits']
"""
TESTS = """
import ctypes
import threading


def deadlock(library):
    mutex = ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def test_that_hangs():
    {hang}


def test_that_passes():
    pass
"""


def run_tests(folder: Path, hang: str) -> subprocess.CompletedProcess:
    """Run two tests as `pytest` does; the first one hangs."""
    (folder / 'conftest.py').write_text(CONFTEST)
    (folder / 'test_hanging.py').write_text(TESTS.format(hang=hang))
    config = '--config-file', ROOT / 'pyproject.toml', '--rootdir', folder
    return subprocess.run(
        [sys.executable, '-m', 'pytest', *config, folder],
        env=process_environ(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_waiting_test_fails_and_the_others_run(tmp_path):
    done = run_tests(tmp_path, 'threading.Event().wait()')

    assert 'Failed: Timeout (>1.0s)' in done.stdout
    assert '1 failed, 1 passed' in done.stdout


@pytest.mark.parametrize(
    'library',
    [
        pytest.param('CDLL', id='other threads run'),
        pytest.param('PyDLL', id='other threads stand still'),
    ],
)
def test_deadlock_ends_the_run_with_its_stacks(tmp_path, library):
    done = run_tests(tmp_path, f'deadlock(ctypes.{library}(None))')

    assert done.returncode == 1
    assert 'in test_that_hangs' in done.stderr
    assert "crashed while running 'test_hanging.py::test_that_hangs'" in (
        done.stdout
    )
