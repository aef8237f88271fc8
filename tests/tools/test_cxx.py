"""tools/cxx.sh compiles a header once for all files that include it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADER = """
#ifndef COMMON
#define COMMON
inline int answer() { return ANSWER; }
#endif
"""
# GCC finds a compiled header by itself only if it is included first.
PROGRAM = """
int zero = 0;
#include "common.hpp"
int main() { return answer() + zero; }
"""

# As setuptools gives them.
COMPILE = '-MMD -MF main.d -c -c main.cpp -o main.o'

pytestmark = pytest.mark.skipif(
    shutil.which('g++') is None, reason='g++ is not installed'
)


@pytest.fixture
def source(tmp_path):
    (tmp_path / 'common.hpp').write_text(HEADER)
    (tmp_path / 'main.cpp').write_text(PROGRAM)
    return tmp_path


def call(source: Path, *arguments: str) -> None:
    """Call the script as torch and setuptools call a compiler."""
    environment = dict(COMPILER='g++', HEADER=str(source / 'common.hpp'))
    subprocess.run(
        [ROOT / 'tools/cxx.sh', *arguments],
        cwd=source,
        env=os.environ | environment,
        check=True,
    )


def compile_and_run(source: Path, *flags: str) -> int:
    """Return what the program returns that the script has compiled."""
    call(source, *flags, *COMPILE.split())
    call(source, *flags, 'main.o', '-o', 'main')
    return subprocess.run([source / 'main'], check=False).returncode


@pytest.mark.slow
def test_a_header_is_compiled_once(source):
    assert compile_and_run(source, '-O3', '-DANSWER=42') == 42
    header = source / 'common.hpp'
    header.write_text(HEADER.replace('inline', '#error "read again"'))
    assert compile_and_run(source, '-O3', '-DANSWER=42') == 42


@pytest.mark.slow
def test_a_header_that_was_compiled_with_other_flags_is_read_again(source):
    assert compile_and_run(source, '-DANSWER=42') == 42
    assert compile_and_run(source, '-DANSWER=7') == 7


def test_a_header_that_is_being_compiled_is_read(source):
    (source / 'common.hpp.begun').mkdir()
    assert compile_and_run(source, '-DANSWER=42') == 42
    assert not (source / 'common.hpp.gch').exists()


def test_question_for_the_version_compiles_nothing(source):
    call(source, '-v')

    assert not (source / 'common.hpp.gch').exists()
