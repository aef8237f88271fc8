"""The screens of the tools, as real processes."""

import json
from pathlib import Path

import pytest
from builders import ROOT, DrawnImages, run
from screens import Screen, check_log, check_screen

pytestmark = pytest.mark.slow
# All in one process: each takes seconds to start.
RUN_ALL = """
import runpy
import sys

for sys.argv in {commands!r}:
    for stream in (sys.stdout, sys.stderr):
        print({mark!r}, file=stream, flush=True)
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit:
        pass
"""
MARK = '=== the next command ==='


@pytest.fixture(scope='module')
def folder(tiny_experiment) -> Path:
    return tiny_experiment.parent


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> DrawnImages:
    return DrawnImages(tmp_path_factory.mktemp('drawn'))


def write_labels(images: DrawnImages) -> tuple[Path, Path]:
    """Labels with a name that is not ASCII, and such that are broken."""
    content = json.loads((images.folder / 'labeled.json').read_text())
    content['categories'][0]['name'] = '\u00e4'
    labels = images.write('labels.json', content)
    content['images'][0].pop('file_name')
    return labels, images.write('\u00fc.json', content)


@pytest.fixture(scope='module')
def screens(folder, images) -> dict[str, Screen]:
    """Command -> its screen; the last one fails."""
    sound = images.folder / 'labeled.json'
    labels, broken = write_labels(images)
    no_classes = folder / 'data/digits/annotations/broken.json'
    labeled = json.loads(no_classes.with_name('labeled.json').read_text())
    no_classes.write_text(json.dumps(dict(labeled, categories=[])))
    train = 'tools/train.py', 'experiment/teacher.py', '--work-dir'
    commands = dict(
        check=('tools/check_coco.py', sound),
        convert=(
            'tools/convert_dataset.py', 'to-yolo', labels,
            images.folder / 'yolo', '--images', images.folder / 'labeled',
        ),
        check_broken=('tools/check_coco.py', broken),
        train=(*train, 'teacher'),
        test=(
            'tools/test.py', 'experiment/teacher.py', 'teacher/iter_2.pth',
            '--work-dir', 'tested',
        ),
        train_broken=(
            *train, 'broken', '--cfg-options',
            f'train_dataloader.dataset.ann_file={no_classes}',
        ),
    )  # fmt: skip
    words = [
        [str(ROOT / tool), *map(str, o)] for tool, *o in commands.values()
    ]

    done = run(
        *('env', 'PYTHONIOENCODING=ascii', 'python', '-c'),
        RUN_ALL.format(commands=words, mark=MARK),
        cwd=folder,
    )

    assert done.returncode == 1
    # Before the first mark is what the imports of the packages say.
    outputs = [text.split(f'{MARK}\n') for text in (done.stdout, done.stderr)]
    screens = map(Screen, *outputs)
    return dict(zip(['start', *commands], screens, strict=True))


def test_screen_of_a_training_has_its_progress(screens, folder):
    check_screen(screens['train'])
    assert 'Iter(train) [1/2]' in screens['train'].stdout
    assert len(screens['train'].stdout.splitlines()) < 20
    check_log(folder / 'teacher')


def test_screen_of_an_evaluation_has_its_result(screens, folder):
    check_screen(screens['test'])
    assert 'Iter(test) [1/1]' in screens['test'].stdout
    check_log(folder / 'tested')


def test_check_prints_its_problems_only_and_escapes_names(screens, images):
    (line,) = screens['check'].stdout.splitlines()
    assert line.startswith(f'{images.folder / "labeled.json"}: 2 images, ')
    assert '(\\xe4: 2, green: 2)' in screens['convert'].stdout
    assert '/\\xfc.json: ' in screens['check_broken'].stdout
    # The import of the packages says nothing either.
    for name in ('start', 'check', 'convert', 'check_broken'):
        assert not screens[name].stderr


def test_error_is_shown_with_its_stack(screens):
    assert 'Traceback' in screens['train_broken'].stderr
    last = screens['train_broken'].stderr.splitlines()[-1]
    assert 'broken.json' in last
