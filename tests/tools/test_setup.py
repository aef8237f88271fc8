"""tools/setup.sh says what is missing before it does anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare_clone(tmp_path: Path) -> Path:
    (tmp_path / 'tools').mkdir()
    shutil.copy(ROOT / 'tools/setup.sh', tmp_path / 'tools')
    shutil.copy(ROOT / 'requirements.txt', tmp_path)
    return tmp_path


def refusal(clone: Path, **environment: str) -> str:
    """Run the set-up, which must fail, and return its last line."""
    done = subprocess.run(
        [clone / 'tools/setup.sh'],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert not (clone / '.venv').exists()
    return done.stderr.splitlines()[-1]


def test_missing_compiler_is_named(bare_clone):
    line = refusal(bare_clone, CXX='no-such-compiler')

    assert 'no C++ compiler (no-such-compiler): install one' in line


def test_missing_python_is_named(bare_clone):
    line = refusal(bare_clone, PYTHON='no-such-python')

    assert 'no-such-python not found: install Python 3.10 to 3.13' in line


def test_unsupported_python_is_named(bare_clone):
    old = bare_clone / 'python3.9'
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18\n')
    old.chmod(0o755)

    line = refusal(bare_clone, PYTHON=str(old))

    assert 'Python 3.9.18 is not supported: use Python 3.10 to 3.13' in line


def test_finished_setup_is_not_repeated(bare_clone):
    marks = bare_clone / '.venv/setup'
    marks.mkdir(parents=True)
    shutil.copy(ROOT / 'requirements.txt', marks / 'check')

    done = subprocess.run(
        [bare_clone / 'tools/setup.sh'],
        env={**os.environ, 'PYTHON': 'no-such-python'},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
