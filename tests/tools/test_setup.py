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


def compile_twice(tmp_path: Path, compiler: str) -> list[Path]:
    """Compile a file with the wrapper that reads headers once."""
    header = tmp_path / 'all.hpp'
    header.write_text('#pragma once\ninline int one() { return 1; }\n')
    source = tmp_path / 'two.cpp'
    source.write_text('#include "all.hpp"\nint two() { return 2 * one(); }\n')
    objects = [tmp_path / name for name in ('first.o', 'second.o')]
    for target in objects:
        files = [
            '-MMD',
            '-MF',
            f'{target}.d',
            '-c',
            '-c',
            source,
            '-o',
            target,
        ]
        subprocess.run(
            [ROOT / 'tools/cxx.sh', '-O1', *files, '-fPIC'],
            env={**os.environ, 'COMPILER': compiler, 'HEADER': str(header)},
            check=True,
        )
    return objects


def test_headers_are_compiled_once(tmp_path):
    first, second = compile_twice(tmp_path, 'g++')

    assert first.stat().st_size == second.stat().st_size > 0
    compiled = tmp_path / 'all.hpp.gch'
    # With -H, GCC names each header, and a compiled one with `!`.
    done = subprocess.run(
        [
            ROOT / 'tools/cxx.sh',
            *('-O1', '-fPIC', '-H', '-c', tmp_path / 'two.cpp'),
            *('-o', tmp_path / 'third.o'),
        ],
        env={
            **os.environ,
            'COMPILER': 'g++',
            'HEADER': str(tmp_path / 'all.hpp'),
        },
        capture_output=True,
        text=True,
    )
    assert f'! {compiled}' in done.stderr


def test_other_compilers_read_headers_as_ever(tmp_path):
    other = tmp_path / 'other'
    other.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exec echo other\nexec g++ "$@"\n'
    )
    other.chmod(0o755)

    compile_twice(tmp_path, str(other))

    assert not (tmp_path / 'all.hpp.gch').exists()
