"""The notebook of docs/, cell by cell."""

import json
from pathlib import Path

import matplotlib
import pytest
from builders import ROOT

from projects.data_distillation.digits.dataset import Recipe, write_digits

NOTEBOOK = ROOT / 'docs/python.ipynb'


@pytest.fixture
def clone(tmp_path) -> Path:
    """A repository of its own, with a handful of digits."""
    for name in ('configs', 'projects'):
        (tmp_path / name).symlink_to(ROOT / name)
    images = dict(labeled=3, unlabeled=4, val=2)
    write_digits(tmp_path / 'data/digits', recipe=Recipe(images=images))
    return tmp_path


def read_cells() -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text())
    return [
        ''.join(cell['source'])
        for cell in notebook['cells']
        if cell['cell_type'] == 'code'
    ]


@pytest.mark.slow
def test_cells_run_one_after_the_other(clone, monkeypatch, capsys, run_here):
    matplotlib.use('agg')
    monkeypatch.chdir(clone)
    known: dict = {}
    for cell in read_cells():
        exec(cell.replace('ITERATIONS = 300', 'ITERATIONS = 2'), known)

    out = capsys.readouterr().out
    assert "4 images of the classes ['0', '1'" in out
    assert 'boxes of each view: [' in out
    assert "WBFMerger {'images': 4, " in out
    assert (clone / 'work_dirs/notebook/merged/pseudo_labels.json').is_file()


def test_notebook_holds_no_results():
    notebook = json.loads(NOTEBOOK.read_text())

    for cell in notebook['cells']:
        assert not cell.get('outputs')
        assert cell.get('execution_count') is None
