"""`data-distillation COMMAND`, which pip installs."""

import os
import re
import subprocess
import sys

import pytest
from builders import ROOT, load_tool

main = load_tool('commands').main


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, 'argv', ['data-distillation', *arguments])
        code = None
        try:
            main()
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out

    return call


def test_commands_are_listed(call):
    code, out = call()

    assert code is None
    names = re.findall(r'^  (\S+) +\S', out, re.MULTILINE)
    stems = {file.stem for file in ROOT.glob('tools/[a-z]*.py')}
    assert names == sorted(
        stem.replace('_', '-') for stem in stems - {'commands'}
    )
    assert {'distill', 'train', 'init-experiment', 'doctor'} <= {*names}
    assert 'select-labels         Select pseudo labels' in out


@pytest.mark.parametrize('name', ['split-coco', 'split_coco'])
def test_command_has_the_other_arguments(call, name):
    code, out = call(name, '--help')

    assert code == 0
    assert out.startswith('usage: split_coco.py ')


def test_unknown_command_is_refused(call):
    code, _ = call('distil')

    assert code.endswith('error: no such command: distil')
    assert '  distill ' in code


def test_command_does_not_see_its_own_name(call):
    code, out = call('doctor')

    assert code is None
    assert out.endswith('everything that is needed is there\n')


@pytest.mark.slow
def test_doctor_runs_where_the_project_cannot_be_imported(tmp_path):
    (tmp_path / 'pyarrow.py').write_text("raise ImportError('needs numpy 2')")

    ended = subprocess.run(
        [sys.executable, ROOT / 'tools/commands.py', 'doctor'],
        env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 1
    assert 'this project  ImportError: needs numpy 2' in ended.stdout
    assert 'BROKEN' in ended.stdout
