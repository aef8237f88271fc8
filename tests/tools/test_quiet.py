"""The screens of the tools, as real processes."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from builders import ROOT, run, written_cfg

pytestmark = pytest.mark.slow
# What no screen has.
NOISE = re.compile(
    r'OneDL|index|[Dd]eprecat|Warning|environment:|Config:|default_scope'
    r'|RuntimeInfoHook|loading ann|Done \(|DONE \(|NUM_THREADS'
)
# What the log file has, although no screen does.
KEPT = 'System environment:', "default_scope = 'mmdet'", 'RuntimeInfoHook'


def check_screen(done: subprocess.CompletedProcess) -> None:
    lines = f'{done.stdout}\n{done.stderr}'.splitlines()
    assert [line for line in lines if NOISE.search(line)] == []


def check_log(work_dir: Path) -> None:
    (log,) = work_dir.glob('*/*.log')
    text = log.read_text()
    assert [part for part in KEPT if part not in text] == []


@pytest.fixture(scope='module')
def folder(tiny_experiment) -> Path:
    return tiny_experiment.parent


@pytest.fixture(scope='module')
def trained(folder) -> subprocess.CompletedProcess:
    return run(
        'python', ROOT / 'tools/train.py', 'experiment/teacher.py',
        '--work-dir', 'teacher', cwd=folder,
    )  # fmt: skip


def test_screen_of_a_training_has_its_progress(trained, folder):
    assert trained.returncode == 0, trained.stderr
    check_screen(trained)
    assert 'Iter(train) [1/2]' in trained.stdout
    assert len(trained.stdout.splitlines()) < 20
    check_log(folder / 'teacher')


def test_screen_of_an_evaluation_has_its_result(trained, folder):
    done = run(
        'python', ROOT / 'tools/test.py', 'experiment/teacher.py',
        'teacher/iter_2.pth', '--work-dir', 'tested', cwd=folder,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    check_screen(done)
    assert 'Iter(test) [1/1]' in done.stdout
    check_log(folder / 'tested')


def test_processes_print_no_noise(drawn, checkpoint, tmp_path):
    config = written_cfg(drawn, checkpoint, tmp_path / 'work')

    done = run(
        # torch warns only if the environment does not say it.
        'env', '-u', 'OMP_NUM_THREADS', '-u', 'MKL_NUM_THREADS',
        ROOT / 'tools/dist_test.sh', config, checkpoint, 2,
        '--cfg-options', 'log_level=INFO',
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    check_screen(done)
    # torchrun of PyTorch 2.1 says what `master_addr` is for.
    lines = done.stderr.splitlines()
    assert not [line for line in lines if 'master_addr' not in line]
    check_log(tmp_path / 'work')
    assert len(list((tmp_path / 'work/detections').glob('*.parquet'))) == 2
    assert (tmp_path / 'work/pseudo_labels.json').is_file()


# One process: each takes seconds to start.
RUN_ALL = """
import runpy
import sys

for sys.argv in {commands!r}:
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit:
        pass
"""


def test_check_prints_its_problems_only_and_escapes_names(drawn):
    content = json.loads((drawn.folder / 'labeled.json').read_text())
    content['categories'][0]['name'] = '\u00e4'
    labels = drawn.write('labels.json', content)
    content['images'][0].pop('file_name')
    broken = drawn.write('\u00fc.json', content)
    sound = drawn.folder / 'labeled.json'

    to_yolo = ['tools/convert_dataset.py', 'to-yolo', str(labels)]
    images = ['--images', str(drawn.folder / 'labeled')]
    commands = [
        ['tools/check_coco.py', str(sound)],
        [*to_yolo, str(drawn.folder / 'yolo'), *images],
        ['tools/check_coco.py', str(broken)],
    ]
    done = run(
        *('env', 'PYTHONIOENCODING=ascii', 'python', '-c'),
        RUN_ALL.format(commands=commands),
    )

    first, *others = done.stdout.splitlines()
    assert first.startswith(f'{sound}: 2 images, ')
    assert '(\\xe4: 2, green: 2)' in others[0]
    assert '/\\xfc.json: ' in done.stdout
    # The import of the packages says nothing either.
    assert not done.stderr


def test_error_is_shown_with_its_stack(folder):
    file = folder / 'data/digits/annotations/broken.json'
    labeled = json.loads(file.with_name('labeled.json').read_text())
    file.write_text(json.dumps(dict(labeled, categories=[])))

    done = run(
        'python', ROOT / 'tools/train.py', 'experiment/teacher.py',
        '--work-dir', 'broken', '--cfg-options',
        f'train_dataloader.dataset.ann_file={file}', cwd=folder,
    )  # fmt: skip
    shutil.rmtree(folder / 'broken')

    assert done.returncode == 1
    assert 'Traceback' in done.stderr
    assert 'broken.json' in done.stderr.splitlines()[-1]
