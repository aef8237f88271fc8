"""The campaigns can be started: their runs take too long for a test."""

import subprocess
import sys

import pytest
from builders import ROOT, process_environ

# In one process, which imports most of what they need once.
IMPORT_ALL = """
import importlib, sys
sys.path[:0] = ['tools/campaigns']
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


@pytest.mark.slow
def test_campaigns_find_what_they_import():
    names = sorted(file.stem for file in ROOT.glob('tools/campaigns/*.py'))

    done = subprocess.run(
        [sys.executable, '-c', IMPORT_ALL, *names],
        cwd=ROOT,
        env=process_environ(),
        capture_output=True,
        text=True,
    )

    assert len(names) > 5
    assert done.returncode == 0, done.stderr
