"""The command lines, as real processes."""

import json
import os
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
from mmengine.config import Config

from projects.data_distillation import DetectionStore
from projects.data_distillation.coco_writer import read_origin


@pytest.mark.parametrize('num_processes', [2, 3])
def test_many_processes_write_the_labels_of_one(
    drawn, checkpoint, tmp_path, num_processes
):
    config = written_cfg(drawn, checkpoint, tmp_path)

    one = run(
        'python', 'tools/test.py', config, checkpoint,
        '--work-dir', tmp_path / 'one',
    )  # fmt: skip
    with listener(29500):  # Another run, with the default port.
        many = run(
            'tools/dist_test.sh', config, checkpoint, num_processes,
            '--work-dir', tmp_path / 'many',
        )  # fmt: skip

    assert one.returncode == 0, one.stderr
    assert many.returncode == 0, many.stderr
    files = [tmp_path / run / 'pseudo_labels.json' for run in ('one', 'many')]
    expected, found = (json.loads(file.read_text()) for file in files)
    assert found['images'] == expected['images']
    assert found['annotations'] == expected['annotations']
    assert len(found['annotations']) == 10
    shards = list((tmp_path / 'many' / 'detections').glob('*.parquet'))
    assert len(shards) == num_processes

    # Killed with one image done, and run again.
    shards[0].unlink()
    files[1].unlink()
    run(
        'tools/dist_test.sh', config, checkpoint, num_processes,
        '--work-dir', tmp_path / 'many',
    )  # fmt: skip

    again = json.loads(files[1].read_text())
    assert again['annotations'] == expected['annotations']


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
    wait_until(lambda: len(psutil.Process(script.pid).children()) == 2, 60)
    workers = psutil.Process(script.pid).children()

    script.terminate()

    assert script.wait(60) != 0
    assert not any(worker.is_running() for worker in workers)


def test_dry_run_is_for_annotation_only(drawn, checkpoint, tmp_path):
    config = written_cfg(drawn, checkpoint, tmp_path)
    other = config.with_name('other.py')
    other.write_text(f'_base_ = {str(config)!r}\ncustom_hooks = []\n')

    done = run('python', 'tools/test.py', '--dry-run', config, checkpoint)
    refused = run('python', 'tools/test.py', other, checkpoint, '--dry-run')

    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / 'detections').iterdir())
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith('in `custom_hooks`, got []')


def test_slow_and_dead_processes_hold_up_no_other(drawn, checkpoint, tmp_path):
    folder = tmp_path / 'work' / 'detections'
    config = written_cfg(drawn, checkpoint, tmp_path)
    work_dir = '--work-dir', tmp_path / 'work'
    with running(
        'tools/dist_test.sh', config, checkpoint, '3', *work_dir
    ) as launcher:
        # The last one has one image, the others two.
        wait_until(lambda: list(folder.glob('*.parquet')), 60)
        first, *others = ranks_of(launcher)

        # As slow as can be is the one that the others would have to ask.
        first.suspend()
        assert not psutil.wait_procs(others, timeout=60)[1]
        assert DetectionStore(folder).images().keys() == {
            '1.png', '2.png', '4.png'
        }  # fmt: skip
        first.kill()
        assert launcher.wait(60) != 0

    # With another number of processes.
    again = run('python', 'tools/test.py', config, checkpoint, *work_dir)
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


def test_slurm_environment_starts_a_process(drawn, checkpoint, tmp_path):
    config = written_cfg(drawn, checkpoint, tmp_path)
    slurm = dict(
        SLURM_JOB_ID='1',
        SLURM_STEP_ID='0',
        SLURM_NODELIST='localhost',
        SLURM_PROCID='0',
        SLURM_LOCALID='0',
        SLURM_NTASKS='1',
    )

    done = run(
        'env', *(f'{k}={v}' for k, v in slurm.items()),
        'python', 'tools/test.py', config, checkpoint,
        '--work-dir', tmp_path / 'slurm', '--launcher', 'slurm',
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    labels = json.loads((tmp_path / 'slurm/pseudo_labels.json').read_text())
    assert len(labels['annotations']) == 10


@pytest.mark.parametrize('tool', ['test.py', 'benchmark_annotation.py'])
def test_checkpoint_that_runs_code_is_refused(drawn, tmp_path, tool):
    made = tmp_path / 'made'
    checkpoint = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=Call(open, str(made), 'w')), checkpoint)
    config = written_cfg(drawn, checkpoint, tmp_path)

    done = run('python', f'tools/{tool}', config, checkpoint)

    assert done.returncode == 1
    assert not made.exists()
    last = done.stderr.splitlines()[-1]
    assert 'could run code, it is refused: Unsupported global: GLOBAL ' in last
    assert last.endswith(
        'put TORCH_FORCE_WEIGHTS_ONLY_LOAD=0 before the command: '
        '`TORCH_FORCE_WEIGHTS_ONLY_LOAD=0 python tools/test.py ...`'
    )


def distill(experiment: Path, *options: object):
    return run(
        'python', ROOT / 'tools/distill.py', experiment.name,
        '--work-dir', 'work', '--oracle', '--control', '--seed', 1,
        '--cfg-options', 'default_hooks.logger.interval=1', *options,
        cwd=experiment.parent,
    )  # fmt: skip


def test_distill_runs_all_stages_and_not_again(tiny_experiment):
    done = distill(tiny_experiment)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    work = tiny_experiment.parent / 'work'
    summary = json.loads((work / 'summary.json').read_text())
    models = ('teacher', 'supervised_long', 'student', 'oracle')
    assert summary.keys() == {*models, 'gap_closed', 'pseudo_labels'}
    assert all(0 <= summary[m]['bbox_mAP'] <= 1 for m in models)
    quality = summary['pseudo_labels']
    assert quality.keys() == {'images', 'instances', 'precision', 'recall'}
    assert quality['images'] == 4
    assert list((work / 'annotate' / 'detections').glob('*.parquet'))
    student = Config.fromfile(next((work / 'student').glob('student.py')))
    assert student.randomness.seed == 1
    parts = student.train_dataloader.dataset.datasets
    assert parts[1].ann_file == 'work/annotate/pseudo_labels.json'
    for stage in (*models, 'annotate'):
        dumped = Config.fromfile(work / stage / f'{stage}.py')
        assert dumped.default_hooks.logger.interval == 1
    for model in models:
        assert model in done.stdout.split('Comparison')[-1]

    num_cores = min(len(os.sched_getaffinity(0)), 8)
    if num_cores > 1:
        started = 'dist_test.sh experiment/annotate.py work/teacher/iter_2.pth'
        assert f'{started} {num_cores} --work-dir' in done.stdout

    again = distill(tiny_experiment)

    assert again.returncode == 0, again.stderr
    assert '$ python' not in again.stdout
    assert again.stdout.split('Comparison')[1] in done.stdout


def test_two_processes_go_on_with_a_half_done_stage(tiny_experiment):
    work = tiny_experiment.parent / 'work'
    assert distill(tiny_experiment).returncode == 0
    (work / 'student' / 'finished').unlink()
    (work / 'student' / 'last_checkpoint').write_text('iter_1.pth')

    again = distill(tiny_experiment, '--launcher', 'pytorch', '--gpus', 2)

    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    commands = [line for line in again.stdout.splitlines() if '$ ' in line]
    assert len(commands) == 2
    assert 'dist_test.sh experiment/student.py work/stud' in commands[1]
    assert 'dist_train.sh experiment/student.py 2 ' in commands[0]
    assert '--resume work/student/iter_1.pth' in commands[0]
    assert 'resumed epoch: 0, iter: 1' in again.stdout
    assert (work / 'student' / 'finished').is_file()


def test_distill_refuses_results_of_other_settings(tiny_experiment):
    assert distill(tiny_experiment).returncode == 0

    refused = distill(tiny_experiment, '--seed', 2)

    assert refused.returncode == 1
    assert "work/teacher holds results of other settings (['seed']" in (
        refused.stderr
    )
    assert '$ ' not in refused.stdout


def test_distill_selects_again_without_inference(tiny_experiment):
    assert distill(tiny_experiment).returncode == 0
    config = tiny_experiment / 'annotate.py'
    before = config.read_text()
    config.write_text(
        f'{before}\ncustom_hooks = [dict(_base_.custom_hooks[0], '
        'selection=dict(selector=dict(type="MatchedSelector", floor=0.3)))]\n'
    )

    again = distill(tiny_experiment)

    config.write_text(before)
    assert again.stdout.count('$ ') == 1
    assert '4 of 4 images are in' in again.stdout
    labels = tiny_experiment.parent / 'work/annotate/pseudo_labels.json'
    used = read_origin(labels)['selection']['selector']
    assert used == dict(type='MatchedSelector', floor=0.3)
    # The student of the labels before is not thrown away.
    assert "(['pseudo_labels'] changed): delete it" in again.stderr


def test_distill_finds_bad_data_before_the_first_training(tiny_experiment):
    experiment = tiny_experiment.parent / 'leaking'
    shutil.copytree(tiny_experiment, experiment)
    with (experiment / 'annotate.py').open('a') as config:
        config.write(
            'held_out = dict(ann_file=_base_.unlabeled_truth, '
            "img_prefix=_base_.data_root + 'images/unlabeled/')\n"
            'custom_hooks = [dict(_base_.custom_hooks[0], '
            'held_out=[held_out])]\n'
        )

    refused = distill(experiment, '--work-dir', 'never')

    assert refused.returncode == 1
    assert '4 of 4 unlabeled images are in' in refused.stderr
    assert '$ ' not in refused.stdout


def test_training_on_a_file_without_categories_is_refused(tiny_experiment):
    folder = tiny_experiment.parent
    file = folder / 'data/digits/annotations/labeled.json'
    labeled = json.loads(file.read_text())
    del labeled['categories']
    bad = folder / 'bad.json'
    bad.write_text(json.dumps(labeled))

    refused = run(
        'python', ROOT / 'tools/train.py', 'experiment/teacher.py',
        '--work-dir', 'refused', '--cfg-options',
        f'train_dataloader.dataset.ann_file={bad}', cwd=folder,
    )  # fmt: skip

    assert refused.returncode != 0
    assert 'bad.json: `categories` is missing' in refused.stderr
    assert not list((folder / 'refused').glob('*.pth'))


def test_distill_names_what_is_missing(tmp_path):
    refused = run('python', 'tools/distill.py', tmp_path)

    assert refused.returncode == 1
    assert refused.stderr.strip().endswith('annotate.py not found')


def test_split_coco_writes_three_files(drawn, tmp_path):
    done = run(
        'python', 'tools/split_coco.py', drawn.folder / 'truth.json',
        '--count', 2, '--seed', 1, '--out', tmp_path / 'out',
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert 'labeled.json: 2 images, 4 instances' in done.stdout
    files = sorted(file.name for file in (tmp_path / 'out').iterdir())
    assert files == ['labeled.json', 'unlabeled.json', 'unlabeled_truth.json']
