"""The command lines, as real processes."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from builders import (
    ROOT,
    Call,
    process_environ,
    run,
    wait_until,
    written_cfg,
)
from screens import Screen, check_log, check_screen

from projects.data_distillation import DetectionStore

pytestmark = pytest.mark.slow


def test_many_processes_continue_what_one_began(
    drawn, checkpoint, tmp_path, run_here
):
    config = written_cfg(drawn, checkpoint, tmp_path)
    one, many = tmp_path / 'one', tmp_path / 'many'
    whole = run_here(
        'python', 'tools/test.py', config, checkpoint, '--work-dir', one,
        '--cfg-options', 'custom_hooks.0.images_per_shard=1',
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    # Killed when two images were left.
    shutil.copytree(one, many)
    (many / 'pseudo_labels.json').unlink()
    first, second, *kept = many.glob('detections/*.parquet')
    first.unlink()
    second.unlink()

    with listener(29500):  # Another run, with the default port.
        done = run(
            # torch warns only if the environment does not say it.
            'env', '-u', 'OMP_NUM_THREADS', '-u', 'MKL_NUM_THREADS',
            'tools/dist_test.sh', config, checkpoint, 2, '--work-dir', many,
            '--cfg-options', 'log_level=INFO',
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    check_quiet(done, many)
    # The second process says so too, whatever the level of the log.
    assert 'images are in' in done.stdout
    files = [folder / 'pseudo_labels.json' for folder in (one, many)]
    expected, found = (json.loads(file.read_text()) for file in files)
    assert found['images'] == expected['images']
    assert found['annotations'] == expected['annotations']
    assert len(found['annotations']) == 10
    shards = {*many.glob('detections/*.parquet')}
    assert shards > {*kept} and len(shards) == len(kept) + 2


def check_quiet(done: subprocess.CompletedProcess, work_dir: Path) -> None:
    check_screen(Screen(done.stdout, done.stderr))
    # torchrun of PyTorch 2.1 says what `master_addr` is for.
    lines = done.stderr.splitlines()
    assert not [line for line in lines if 'master_addr' not in line]
    check_log(work_dir)


@contextmanager
def listener(port: int) -> Iterator[None]:
    """Take a port of this machine, if nobody has it."""
    with socket.socket() as taken:
        with suppress(OSError):
            taken.bind(('127.0.0.1', port))
            taken.listen()
        yield


def test_signal_to_a_script_ends_all_its_processes(
    drawn, checkpoint, tmp_path
):
    config = written_cfg(drawn, checkpoint, tmp_path)
    script = subprocess.Popen(
        ['tools/dist_test.sh', config, checkpoint, '2'],
        cwd=ROOT,
        env=process_environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    launcher = psutil.Process(script.pid)
    wait_until(lambda: len(launcher.children()) == 2, 60)
    workers = launcher.children()
    # torchrun forgets a worker if the signal comes while it starts it.
    wait_until(lambda: all(w.cpu_times().user > 0.5 for w in workers), 60)

    script.terminate()

    assert script.wait(60) != 0
    wait_until(lambda: not any(map(runs, workers)), 30)


def runs(process: psutil.Process) -> bool:
    """Where nobody fetches the exit status, an ended process stays."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def test_dry_run_is_for_annotation_only(drawn, checkpoint, tmp_path, run_here):
    config = written_cfg(drawn, checkpoint, tmp_path)
    other = config.with_name('other.py')
    other.write_text(f'_base_ = {str(config)!r}\ncustom_hooks = []\n')

    done = run_here('python', 'tools/test.py', '--dry-run', config, checkpoint)
    refused = run_here(
        'python', 'tools/test.py', other, checkpoint, '--dry-run'
    )

    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / 'detections').iterdir())
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith('in `custom_hooks`, got []')


def test_slow_and_dead_processes_hold_up_no_other(
    drawn, checkpoint, tmp_path, run_here
):
    folder = tmp_path / 'work' / 'detections'
    config = written_cfg(drawn, checkpoint, tmp_path)
    work_dir = '--work-dir', tmp_path / 'work'
    with running(
        'tools/dist_test.sh', config, checkpoint, '2', *work_dir
    ) as launcher:
        # The second one has two images, the first one three.
        wait_until(lambda: list(folder.glob('*.parquet')), 60)
        first, second = ranks_of(launcher)

        # As slow as can be is the one that the other would have to ask.
        first.suspend()
        assert not psutil.wait_procs([second], timeout=60)[1]
        assert DetectionStore(folder).list_images().keys() == {
            '1.png',
            '3.png',
        }
        first.kill()
        assert launcher.wait(60) != 0

    # With another number of processes.
    again = run_here('python', 'tools/test.py', config, checkpoint, *work_dir)
    assert again.returncode == 0, again.stderr
    labels = json.loads((tmp_path / 'work/pseudo_labels.json').read_text())
    assert len(labels['annotations']) == 10
    # Of the second run's shards, none holds an image of the first run.
    assert sum(
        pq.read_metadata(shard).num_rows for shard in folder.glob('*.parquet')
    ) == len(drawn.truth['images'])


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen]:
    """Start it, slowed down; nothing is left of it in the end."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=process_environ(SECONDS_PER_FORWARD='1'),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()


def ranks_of(launcher: subprocess.Popen) -> list[psutil.Process]:
    """The processes that torchrun has started, by rank."""
    workers = psutil.Process(launcher.pid).children()
    return sorted(workers, key=lambda worker: worker.environ()['RANK'])


@pytest.mark.parametrize('option', ['--images', '--images-per-turn'])
def test_benchmark_of_no_image_is_refused(option, call_tool):
    done = call_tool('benchmark_annotation', 'a.py', 'b.pth', option, 0)

    assert done.returncode == 2
    assert f'{option} must be an integer of at least 1, got 0' in done.stderr


@pytest.mark.parametrize('tool', ['test.py', 'benchmark_annotation.py'])
def test_checkpoint_that_runs_code_is_refused(drawn, tmp_path, tool, run_here):
    made = tmp_path / 'made'
    checkpoint = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=Call(open, str(made), 'w')), checkpoint)
    config = written_cfg(drawn, checkpoint, tmp_path)

    done = run_here('python', f'tools/{tool}', config, checkpoint)

    assert done.returncode == 1
    assert not made.exists()
    last = done.stderr.splitlines()[-1]
    assert f'{checkpoint} is refused, because it holds code' in last
    assert 'it calls for `' in last
    assert 'add --trust-checkpoint to the command' in last
    # mmengine's own words pass on PyTorch's advice.
    assert 'weights_only' not in done.stdout + done.stderr


def test_stages_by_hand_find_the_results_of_each_other(
    tiny_experiment, run_here
):
    folder = tiny_experiment.parent
    train, test = ROOT / 'tools/train.py', ROOT / 'tools/test.py'
    stages = ROOT / 'configs/digits'
    short = '--cfg-options', 'train_cfg.max_iters=2', 'randomness.seed=0'

    for command in (
        (train, stages / 'teacher.py', *short),
        (test, stages / 'annotate.py', 'work_dirs/digits/teacher/iter_2.pth'),
        (train, stages / 'student.py', *short),
    ):
        done = run_here('python', *command, cwd=folder)
        assert done.returncode == 0, done.stderr

    (work_dir,) = (folder / 'work_dirs').iterdir()
    assert work_dir.name == 'digits'
    assert (work_dir / 'annotate/pseudo_labels.json').is_file()
    assert (work_dir / 'student/iter_2.pth').is_file()


def test_training_on_a_file_without_categories_is_refused(
    tiny_experiment, run_here
):
    folder = tiny_experiment.parent
    file = folder / 'data/digits/annotations/labeled.json'
    labeled = json.loads(file.read_text())
    del labeled['categories']
    bad = folder / 'bad.json'
    bad.write_text(json.dumps(labeled))

    refused = run_here(
        'python', ROOT / 'tools/train.py', 'experiment/teacher.py',
        '--work-dir', 'refused', '--cfg-options',
        f'train_dataloader.dataset.ann_file={bad}', cwd=folder,
    )  # fmt: skip

    assert refused.returncode != 0
    assert 'bad.json: `categories` is missing' in refused.stderr
    assert not list((folder / 'refused').glob('*.pth'))
