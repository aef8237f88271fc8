"""`tools/test.py --preview`, on drawn images."""

import json
import runpy
import sys

import pytest
from builders import ROOT, written_cfg

from projects.data_distillation.report.preview import (
    Preview,
    parse_mmdet_args,
)

TOOL = str(ROOT / 'tools/test.py')


@pytest.fixture
def arguments(drawn, checkpoint, tmp_path) -> list[str]:
    config = written_cfg(drawn, checkpoint, tmp_path / 'work')
    return ['test.py', str(config), str(checkpoint)]


@pytest.mark.slow
def test_few_images_are_annotated_in_a_folder_of_their_own(
    arguments, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, 'argv', [*arguments, '--preview', '2'])

    runpy.run_path(TOOL, run_name='__main__')

    folder = tmp_path / 'work/preview'
    labels = json.loads((folder / 'pseudo_labels.json').read_text())
    assert [i['file_name'] for i in labels['images']] == ['0.png', '2.png']
    assert labels['annotations']
    assert not (tmp_path / 'work/pseudo_labels.json').exists()
    page = folder / 'report.html'
    assert page.is_file()
    assert capsys.readouterr().out.endswith(f'report: {page}\n')


def test_arguments_stay_as_they_are_without_the_flag(arguments):
    before = [*arguments, '--work-dir', 'w']

    assert Preview.take(before) is None
    assert before == [*arguments, '--work-dir', 'w']


def test_preview_has_all_images_if_there_are_fewer(
    arguments, tmp_path, monkeypatch
):
    argv = [*arguments, '--work-dir', str(tmp_path / 'w'), '--preview=50']
    monkeypatch.setattr(sys, 'argv', argv)

    preview = Preview.take(argv)

    assert preview.folder == tmp_path / 'w/preview'
    assert argv[-1].endswith('indices=[0,1,2,3,4]')


@pytest.mark.parametrize(
    'options', [['--preview=0'], ['--preview=1', '--launcher=pytorch']]
)
def test_preview_that_makes_no_sense_is_refused(
    arguments, options, monkeypatch
):
    argv = [*arguments, *options]
    monkeypatch.setattr(sys, 'argv', argv)

    with pytest.raises(ValueError, match='at least 1 image and no launcher'):
        Preview.take(argv)


def test_preview_of_a_config_that_annotates_nothing_is_refused(
    arguments, monkeypatch
):
    with open(arguments[1], 'a') as config:
        config.write('\ncustom_hooks = []\n')
    argv = [*arguments, '--preview', '1']
    monkeypatch.setattr(sys, 'argv', argv)

    with pytest.raises(ValueError, match='needs one of'):
        Preview.take(argv)


def test_flags_of_the_project_stay_among_the_arguments(arguments, monkeypatch):
    own = ['--trust-checkpoint', '--dry-run', '--cfg-json', '{"a": 1}']
    monkeypatch.setattr(sys, 'argv', [*arguments, *own])

    found = parse_mmdet_args('test.py')

    assert found.config == arguments[1]
    assert sys.argv == [*arguments, *own]
