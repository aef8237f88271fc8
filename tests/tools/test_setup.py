"""tools/setup.sh says what is missing before it does anything."""

import os
import shutil
import subprocess
import sys
import sysconfig
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


@pytest.fixture
def header(bare_clone) -> Path:
    """What mmcv's files include, and what an interrupted build leaves."""
    name = 'source/mmcv-2/mmcv/ops/csrc/common/pytorch_cpp_helper.hpp'
    header = bare_clone / name
    header.with_name(f'{header.name}.begun').mkdir(parents=True)
    header.with_name(f'{header.name}.gch').touch()
    header.touch()
    return header


def choose_compiler(clone: Path, **environment: str) -> dict[str, str]:
    """Return the environment in which the ops would be compiled."""
    commands = 'source tools/setup.sh; SOURCE=source; choose_compiler; env -0'
    done = subprocess.run(
        ['bash', '-c', commands],
        cwd=clone,
        env={**os.environ, 'VENV': sys.prefix, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    parts = done.stdout.rstrip('\0').split('\0')
    return dict(part.split('=', 1) for part in parts)


@pytest.mark.skipif(shutil.which('g++') is None, reason='needs g++')
def test_ops_are_compiled_as_python_was_and_headers_once(bare_clone, header):
    environ = choose_compiler(bare_clone, CXX='g++')

    own = sysconfig.get_config_var('CFLAGS')
    assert environ['CFLAGS'] == f'{own} -g0'
    assert environ['CXX'] == str(bare_clone / 'tools/cxx.sh')
    assert environ['COMPILER'] == 'g++'
    assert environ['HEADER'] == str(header)
    assert [file.name for file in header.parent.iterdir()] == [header.name]


def test_other_compilers_are_used_as_they_are(bare_clone, header):
    other = bare_clone / 'other'
    other.write_text('#!/bin/sh\necho other\n')
    other.chmod(0o755)

    assert choose_compiler(bare_clone, CXX=str(other))['CXX'] == str(other)


@pytest.mark.skipif(shutil.which('g++') is None, reason='needs g++')
def test_folder_whose_name_has_a_space_has_no_wrapper(bare_clone, header):
    clone = bare_clone.with_name('a clone')
    bare_clone.rename(clone)

    assert choose_compiler(clone, CXX='g++')['CXX'] == 'g++'
