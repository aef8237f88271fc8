"""Tools that cannot write end with a message, not with a traceback."""

import pytest
from builders import store_truth

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
    other = dict(drawn.truth['images'][0], file_name='other.png')
    places = dict(
        LABELS=drawn.folder / 'truth.json',
        OTHER=drawn.write('other.json', dict(drawn.truth, images=[other])),
        IMAGES=drawn.folder / 'unlabeled',
        OUT=blocked,
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


def test_experiment_that_is_missing_is_named(call_tool, tmp_path):
    done = call_tool('report', tmp_path / 'nowhere')

    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert 'nowhere' in done.stderr
