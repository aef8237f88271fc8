"""Tools that cannot write end with a message, not with a traceback."""

import tempfile
from pathlib import Path

import pytest
from builders import store_truth

from projects.data_distillation.files import atomic
from projects.data_distillation.files.atomic import write_json

OF_LABELS = {
    'check_coco': ['LABELS', '--fix', 'OUT/mended.json'],
    'convert_dataset': ['to-yolo', 'LABELS', 'OUT', '--images', 'IMAGES'],
    'merge_labels': [
        *('LABELS', '--labeled', 'LABELS', '--unlabeled', 'OTHER'),
        *('--out', 'OUT'),
    ],
    'split_coco': ['LABELS', '--count', '1', '--out', 'OUT'],
}
OF_DETECTIONS = {
    'label_quality': [
        *('WORK', 'LABELS', '--labels', 'WORK/labels.json'),
        *('--out', 'OUT'),
    ],
    'select_labels': [
        *('STORE', '--labeled', 'LABELS', '--out', 'OUT/labels.json'),
    ],
    'suspicious_labels': ['STORE', 'LABELS', '--out', 'OUT'],
}


def call_blocked(call_tool, drawn, name: str, arguments: list[str]):
    """Call a tool whose output is to be in a folder that is a file."""
    blocked = drawn.folder / 'blocked'
    blocked.touch()
    arguments = [one.replace('OUT', str(blocked)) for one in arguments]
    return call_places(call_tool, drawn, name, arguments)


def call_places(call_tool, drawn, name: str, arguments: list[str]):
    """Call a tool whose arguments stand for places with drawn images."""
    other = dict(drawn.truth['images'][0], file_name='other.png')
    places = dict(
        LABELS=drawn.folder / 'truth.json',
        OTHER=drawn.write('other.json', dict(drawn.truth, images=[other])),
        IMAGES=drawn.folder / 'unlabeled',
        WORK=drawn.folder / 'work',
        STORE=drawn.folder / 'work/detections',
    )
    for place, path in places.items():
        arguments = [one.replace(place, str(path)) for one in arguments]
    return call_tool(name, *arguments)


def check(done) -> None:
    assert done.returncode == 1, done
    last = done.stderr.splitlines()[-1]
    assert last.startswith('error: ')
    assert 'blocked' in last


@pytest.mark.parametrize('name', OF_LABELS)
def test_labels_that_cannot_be_written_are_named(name, drawn, call_tool):
    check(call_blocked(call_tool, drawn, name, OF_LABELS[name]))


@pytest.mark.parametrize('name', OF_DETECTIONS)
def test_results_that_cannot_be_written_are_named(name, drawn, call_tool):
    store = store_truth(drawn)
    select = ['STORE', '--labeled', 'LABELS', '--out', 'WORK/labels.json']
    assert store.parent == drawn.folder / 'work'
    done = call_blocked(call_tool, drawn, 'select_labels', select)
    assert done.returncode == 0, done

    check(call_blocked(call_tool, drawn, name, OF_DETECTIONS[name]))


PAIRS = {
    'merge_labels': OF_LABELS['merge_labels'],
    'split_coco': OF_LABELS['split_coco'],
    'convert_dataset': [
        *('from-yolo', 'YOLO', 'OUT/all.json', '--split', 'train'),
        *('--unlabeled', 'OUT/new.json'),
    ],
}


@pytest.mark.parametrize('name', PAIRS)
def test_half_of_the_files_does_not_stop_the_next_try(
    name, drawn, call_tool, monkeypatch, tmp_path
):
    yolo = tmp_path / 'yolo'
    truth, images = drawn.folder / 'truth.json', drawn.folder / 'unlabeled'
    call_tool('convert_dataset', 'to-yolo', truth, yolo, '--images', images)
    arguments = [
        one.replace('OUT', str(tmp_path / 'out')).replace('YOLO', str(yolo))
        for one in PAIRS[name]
    ]
    left = []

    def write(path: Path, content: dict) -> None:
        if len(left) == 1:
            raise OSError('the disk is full')
        left.append(path)
        write_json(path, content)

    monkeypatch.setattr(atomic, 'write_json', write)
    failed = call_places(call_tool, drawn, name, arguments)
    monkeypatch.setattr(atomic, 'write_json', write_json)
    again = call_places(call_tool, drawn, name, arguments)

    assert failed.stderr == 'error: the disk is full\n'
    assert left
    assert again.returncode == 0, again.stderr


def test_experiment_that_is_missing_is_named(call_tool, tmp_path):
    done = call_tool('report', tmp_path / 'nowhere')

    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert 'nowhere' in done.stderr


@pytest.mark.parametrize('name', ['quality', 'scale', 'selection'])
def test_benchmark_without_a_place_for_its_files_ends(
    name, call_tool, tmp_path, monkeypatch
):
    blocked = tmp_path / 'blocked'
    blocked.touch()
    monkeypatch.setattr(tempfile, 'tempdir', str(blocked))

    check(call_tool(f'benchmark_{name}'))


def test_benchmark_of_a_missing_config_ends(call_tool, tmp_path):
    check(call_tool('benchmark_training', tmp_path / 'blocked.py'))
