"""tools/merge_views.py, from a stored annotation to pseudo labels."""

import json
from pathlib import Path

import pytest
from builders import annotate, annotate_cfg

from projects.data_distillation import DetectionStore

pytestmark = pytest.mark.slow

NUMBERS = '0', '3'


@pytest.fixture
def kept(drawn, checkpoint, tmp_path) -> Path:
    """A store that keeps the boxes of its 6 views."""
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'kept')
    cfg.model.keep_views = True
    annotate(cfg)
    return tmp_path / 'kept' / 'detections'


def test_labels_are_selected_from_views_that_are_merged_again(
    drawn, kept, call_tool, tmp_path
):
    merger = '--merger', 'type=WBFMerger', 'iou_threshold=0.6'
    labeled = drawn.folder / 'labeled.json'
    labels = tmp_path / 'labels.json'
    again = tmp_path / 'again'

    done = call_tool('merge_views', kept, again, '--views', *NUMBERS, *merger)
    call_tool('select_labels', again, '--labeled', labeled, '--out', labels)

    assert done.stdout == f'5 images are in {again}\n'
    content = json.loads(labels.read_text())
    origin = content['info']['data_distillation']
    assert origin['merger'] == dict(type='WBFMerger', iou_threshold=0.6)
    assert len(origin['views']) == 2
    assert len(content['annotations']) == 10
    assert {label['views'] for label in content['annotations']} == {2}


def test_views_are_listed_with_their_numbers(kept, call_tool):
    lines = call_tool('merge_views', kept, '--list').stdout.splitlines()

    assert len(lines) == 6
    assert lines[0] == '  0 Resize(scale=[400, 60])'
    assert lines[3] == '  3 Resize(scale=[400, 80]) + Flip()'


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        (['--views', '6'], 'numbers of views must be from 0 to 5'),
        (['--merger', 'type=NoMerger'], 'NoMerger is not in'),
        (['--merger', 'type=NMSMerger', 'iou=1'], "argument 'iou'"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    kept, call_tool, tmp_path, options, error
):
    done = call_tool('merge_views', kept, tmp_path / 'again', *options)

    assert done.returncode
    assert error in done.stderr
    assert not (tmp_path / 'again').exists()


@pytest.mark.parametrize('how', ['same', 'around', 'link'])
def test_what_is_read_is_not_written_to(kept, call_tool, tmp_path, how):
    (tmp_path / 'link').symlink_to(kept)
    around = tmp_path / 'kept' / '..' / 'kept' / 'detections'
    out = dict(same=kept, around=around, link=tmp_path / 'link')[how]
    before = sorted(kept.iterdir())

    done = call_tool('merge_views', kept, out)

    assert done.returncode
    assert f'error: {out} would be written to' in done.stderr
    assert 'delete' not in done.stderr
    assert sorted(kept.iterdir()) == before


def test_folder_to_write_to_is_needed(kept, call_tool):
    done = call_tool('merge_views', kept)

    assert 'either OUT or --list must be given' in done.stderr


def test_size_of_the_boxes_of_views_is_said(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'kept')
    cfg.model.keep_views = True
    cfg.log_level = 'INFO'
    annotate(cfg)

    log = next((tmp_path / 'kept').rglob('*.log')).read_text()
    assert 'are the boxes of each view' in log
    assert len(DetectionStore(tmp_path / 'kept' / 'detections').read()) == 5


def test_store_that_cannot_be_written_is_named(kept, call_tool, tmp_path):
    (tmp_path / 'blocked').touch()

    done = call_tool('merge_views', kept, tmp_path / 'blocked/again')

    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert 'blocked' in done.stderr
