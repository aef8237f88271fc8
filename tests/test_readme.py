"""What the README claims exists and fits."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from projects.data_distillation.experiment.stages.model_names import TRAINED

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / 'README.md').read_text()
BLOCKS = [
    block.replace('\\\n', ' ')
    for block in re.findall(r'```bash\n(.*?)```', TEXT, re.DOTALL)
]
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line]
NEW = 'configs/cells'
TARGETS = sorted(set(re.findall(r'`make (\w+)`', TEXT)))
# Words in backticks that look like files of this repository.
PATHS = sorted(
    set(re.findall(r'`((?:configs|projects|tests|tools)/[\w./-]*)`', TEXT))
)


def test_there_is_something_to_check():
    assert len(COMMANDS) >= 7
    assert len(PATHS) >= 4


def test_readme_is_short_and_comes_to_the_point():
    lines = TEXT.splitlines()

    assert len(TEXT.split()) <= 600
    assert lines.index('```') < lines.index('```bash') < 25
    assert not re.search('@[A-Z1-9]', TEXT)


@pytest.mark.parametrize('path', PATHS)
def test_path_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize('command', COMMANDS)
def test_command_names_files_that_exist(command):
    program, *arguments = shlex.split(command)
    if program == 'make':
        subprocess.run(['make', '--dry-run', *arguments], cwd=ROOT, check=True)
        return
    files = [
        word for word in arguments if re.match(r'(configs|tools|tests)/', word)
    ]
    assert files or program == 'source' or '=' in program
    # What tools/init_experiment.py writes is not there yet.
    assert all((ROOT / file).exists() for file in files if file != NEW)


@pytest.mark.parametrize('target', TARGETS)
def test_make_target_exists(target):
    subprocess.run(['make', '--dry-run', target], cwd=ROOT, check=True)


def test_table_has_the_models_of_the_comparison():
    names = [model.replace('supervised_long', 'control') for model in TRAINED]
    assert all(f' {name} ' in TEXT for name in names)
