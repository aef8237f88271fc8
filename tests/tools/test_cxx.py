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


def compile_and_run(source: Path, compiler: str, *flags: str) -> int:
    """Return what the program returns that the script has compiled."""
    environment = os.environ | {
        'COMPILER': compiler,
        'HEADER': str(source / 'common.hpp'),
    }
    script = [ROOT / 'tools/cxx.sh']
    for words in (COMPILE, 'main.o -o main'):
        command = [*script, *flags, *words.split()]
        subprocess.run(command, cwd=source, env=environment, check=True)
    return subprocess.run([source / 'main'], check=False).returncode


def test_a_header_is_compiled_once(source):
    assert compile_and_run(source, 'g++', '-O3', '-DANSWER=42') == 42
    header = source / 'common.hpp'
    header.write_text(HEADER.replace('inline', '#error "read again"'))
    assert compile_and_run(source, 'g++', '-O3', '-DANSWER=42') == 42


def test_a_header_that_was_compiled_with_other_flags_is_read_again(source):
    assert compile_and_run(source, 'g++', '-DANSWER=42') == 42
    assert compile_and_run(source, 'g++', '-DANSWER=7') == 7


def test_a_header_that_is_being_compiled_is_read(source):
    (source / 'common.hpp.begun').mkdir()
    assert compile_and_run(source, 'g++', '-DANSWER=42') == 42
    assert not (source / 'common.hpp.gch').exists()


def test_question_for_the_version_compiles_nothing(source):
    environ = os.environ | {
        'COMPILER': 'g++',
        'HEADER': str(source / 'common.hpp'),
    }
    asked = [ROOT / 'tools/cxx.sh', '-v']
    subprocess.run(asked, env=environ, check=True, capture_output=True)

    assert not (source / 'common.hpp.gch').exists()
