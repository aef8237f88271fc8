"""A run that ends early, for any reason, keeps what it has found."""

import atexit
import contextlib
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch
from builders import ToyDetector, annotate, annotate_cfg, masks_cfg
from mmengine.config import Config
from mmengine.runner import Runner
from torch.nn.modules.module import register_module_forward_pre_hook

from projects.data_distillation import DetectionStore
from projects.data_distillation.mmdet_tools import run_mmdet_tool
from projects.data_distillation.pseudo_labels.annotation.interruption import (
    AnnotationStopped,
    StopRequest,
)

NUM_IMAGES = 5
# A batch has the three sizes of the views: this long, three times.
SECONDS = 0.3


class Forwards:
    """Slows down the forward passes of a forked process, and counts them."""

    def __init__(self, most: int | None = None) -> None:
        # Shared with the forked process. It has no lock, because a process
        # that is killed would keep the lock.
        self.begun = multiprocessing.Value('i', lock=False)
        self.most = most

    def before_forward(self, module: torch.nn.Module, _: tuple) -> None:
        if not isinstance(module, ToyDetector):
            return
        if self.begun.value == self.most:
            raise RuntimeError(f'after {self.most} forward passes')
        self.begun.value += 1
        time.sleep(SECONDS)

    def reach_image(self, number: int) -> Callable[[], bool]:
        """Whether this image is run, so that those before it are done."""
        return lambda: self.begun.value > 3 * (number - 1)


@pytest.fixture
def forwards() -> Forwards:
    return Forwards()


def run_forked(cfg: Config, forwards: Forwards) -> int:
    """Run `tools/test.py` slowly, without the seconds that imports take.

    Returns:
        Its id.
    """
    config = Path(cfg.work_dir).with_suffix('.py')
    cfg.dump(config)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        atexit._clear()  # What other tests have left.
        atexit.register(multiprocessing.util._exit_function)
        # Ignored where the tests run in the background of a shell.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        torch.set_num_threads(1)
        register_module_forward_pre_hook(forwards.before_forward)
        sys.argv = ['test.py', str(config), str(cfg.load_from)]
        run_mmdet_tool('test.py')
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
    try:
        # As at the end of any Python process.
        atexit._run_exitfuncs()
    finally:
        os._exit(code)


def when(pid: int, condition: Callable[[], bool]) -> None:
    """Wait for a condition while a process runs."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, 'it did not happen'
        assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE, 'ended'
        time.sleep(0.02)


def end_of(pid: int) -> int:
    end = time.monotonic() + 60
    while (status := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
            raise TimeoutError('it does not end')
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(status[1])


def num_stored(work_dir: Path) -> int:
    return len(DetectionStore(work_dir / 'detections').list_images())


def goes_on(cfg: Config, drawn) -> list[tuple]:
    """Run again, to the end; returns the batches that were run."""
    # Workers that stay would be in this process as long as the tests.
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    runner = Runner.from_cfg(cfg)
    runner.test()
    labels = annotate(cfg)
    assert labels['images'] == drawn.truth['images']
    assert len(labels['annotations']) == 2 * NUM_IMAGES
    return runner.model.module.batches


def stay_until_the_end(loader: dict) -> None:
    """Let a loader have workers, as most of MMDetection's configs do."""
    loader.update(num_workers=2, persistent_workers=True)


@pytest.mark.slow
def test_workers_that_stay_end_with_the_run(
    drawn, checkpoint, tmp_path, forwards
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    stay_until_the_end(cfg.test_dataloader)

    assert end_of(run_forked(cfg, forwards)) == 0

    assert num_stored(tmp_path / 'work') == NUM_IMAGES


@pytest.mark.slow
def test_sigterm_finishes_the_batch_and_writes_it(
    drawn, checkpoint, tmp_path, forwards
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    stay_until_the_end(cfg.test_dataloader)
    pid = run_forked(cfg, forwards)
    when(pid, forwards.reach_image(2))

    # To the workers as well, as Slurm does it.
    os.killpg(pid, signal.SIGTERM)

    assert end_of(pid) == 128 + signal.SIGTERM
    num_done = num_stored(tmp_path / 'work')
    assert 1 < num_done < NUM_IMAGES
    assert len(goes_on(cfg, drawn)) == 3 * (NUM_IMAGES - num_done)


def read_labels(folder: Path) -> bytes:
    """Read the file of pseudo labels without what differs between runs."""
    text = (folder / 'pseudo_labels.json').read_bytes()
    return re.sub(rb'"(date|teacher_config)": *("[^"]*"|null)', b'', text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('number', 'with_masks'),
    [
        (signal.SIGINT, False),
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
    ],
)
def test_what_other_signals_cost(
    drawn, checkpoint, tmp_path, forwards, number, with_masks
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    if with_masks:
        cfg = masks_cfg(drawn, tmp_path / 'work')
    cfg.custom_hooks[0].images_per_shard = 2
    annotate(cfg.copy())
    whole = (tmp_path / 'work').rename(tmp_path / 'whole')
    cfg.experiment_name += '_again'
    pid = run_forked(cfg, forwards)
    when(pid, forwards.reach_image(4))

    os.kill(pid, number)

    assert end_of(pid) == (-number if number == signal.SIGKILL else 1)
    num_done = num_stored(tmp_path / 'work')
    # Ctrl-C costs the batch at hand, SIGKILL the shard.
    assert num_done == (2 if number == signal.SIGKILL else 3)
    assert len(goes_on(cfg, drawn)) == 3 * (NUM_IMAGES - num_done)
    labels = read_labels(tmp_path / 'work')
    assert labels == read_labels(whole)
    assert labels.count(b'"counts"') == 2 * NUM_IMAGES * with_masks


@pytest.mark.slow
def test_a_lost_worker_costs_the_batch_at_hand(
    drawn, checkpoint, tmp_path, forwards
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.num_workers = 1
    pid = run_forked(cfg, forwards)
    when(pid, forwards.reach_image(2))

    psutil.Process(pid).children()[0].kill()

    assert end_of(pid) == 1
    num_done = num_stored(tmp_path / 'work')
    assert 0 < num_done < NUM_IMAGES
    assert len(goes_on(cfg, drawn)) == 3 * (NUM_IMAGES - num_done)


@pytest.mark.slow
def test_an_error_in_the_detector_keeps_what_was_done(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    stay_until_the_end(cfg.test_dataloader)

    # The third image's first view fails.
    assert end_of(run_forked(cfg, Forwards(most=6))) == 1

    assert num_stored(tmp_path / 'work') == 2


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / 'disk'
    folder.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f'cannot make a small disk: {mounted.stderr.strip()}')
    yield folder
    subprocess.run(['umount', '--lazy', folder], check=True)


@pytest.mark.slow
def test_full_disk_ends_the_run_and_keeps_what_was_written(
    drawn, checkpoint, tmp_path, forwards, small_disk, capfd
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'detections').symlink_to(small_disk)
    cfg.custom_hooks[0].images_per_shard = 2
    pid = run_forked(cfg, forwards)
    when(pid, lambda: num_stored(tmp_path / 'work') == 2)
    filler = small_disk / 'filler'
    filler.write_bytes(b'x' * free_bytes(small_disk))

    assert end_of(pid) == 1

    assert 'No space left on device: the detections of 2 images cannot' in (
        capfd.readouterr().err
    )
    assert num_stored(tmp_path / 'work') == 2
    # Nothing half-written stays.
    assert len(list(small_disk.iterdir())) == 2
    filler.unlink()
    assert len(goes_on(cfg, drawn)) == 3 * 3


def free_bytes(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def test_folder_that_cannot_be_written_is_found_at_the_start(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    (tmp_path / 'work').mkdir()
    # Nobody may write there, root neither.
    (tmp_path / 'work' / 'detections').symlink_to('/proc/self')
    runner = Runner.from_cfg(cfg)

    with pytest.raises(OSError, match='/detections'):
        runner.test()

    assert runner.model.module.batches == []


@pytest.mark.parametrize('end', ['whole', 'dry run', 'unreadable', 'stopped'])
def test_signals_are_as_before_after_the_run(
    drawn, checkpoint, tmp_path, caplog, end
):
    before = signal.getsignal(signal.SIGTERM)
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.dry_run = end == 'dry run'
    if end == 'unreadable':
        (drawn.folder / 'unlabeled' / '0.png').unlink()
        cfg.custom_hooks[0].max_unreadable_share = 0
    runner = Runner.from_cfg(cfg)
    if end == 'stopped':
        runner.model.module.register_forward_pre_hook(
            lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        )
    runner.logger.setLevel(logging.INFO)
    runner.logger.addHandler(caplog.handler)

    with contextlib.suppress(AnnotationStopped, ValueError):
        runner.test()

    assert signal.getsignal(signal.SIGTERM) == before
    assert ('stopped by SIGTERM; what is' in caplog.text) == (end == 'stopped')


def test_runner_alone_raises_what_says_how_to_go_on(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.model.module.register_forward_pre_hook(
        lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )

    with pytest.raises(AnnotationStopped, match='work/detections. Run the sa'):
        runner.test()

    assert num_stored(tmp_path / 'work') == 1


def test_a_request_is_noted_until_it_is_forgotten(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    stop = StopRequest()
    stop.listen(torch.utils.data.DataLoader([1, 2]))
    os.kill(os.getpid(), signal.SIGTERM)
    stop.forget()

    assert stop.is_made
    assert signal.getsignal(signal.SIGTERM) == before


def test_workers_begin_as_the_loader_wants(tmp_path):
    loader = torch.utils.data.DataLoader(
        [1],
        num_workers=1,
        worker_init_fn=lambda number: (tmp_path / f'{number}').touch(),
    )
    stop = StopRequest()
    stop.listen(loader)
    assert list(loader) == [torch.tensor([1])]
    stop.forget()

    assert [file.name for file in tmp_path.iterdir()] == ['0']


def test_workers_end_with_the_run_though_their_process_goes_on():
    loader = torch.utils.data.DataLoader(
        [1], num_workers=1, persistent_workers=True
    )
    stop = StopRequest()
    stop.listen(loader)
    assert list(loader) == [torch.tensor([1])]
    (worker,) = multiprocessing.active_children()
    stop.forget()

    worker.terminate()

    worker.join(60)
    assert worker.exitcode == 0


def test_workers_end_with_a_process_that_ends_within_the_run():
    loader = torch.utils.data.DataLoader(
        [1], num_workers=1, persistent_workers=True
    )
    pid = os.fork()
    if pid:
        assert end_of(pid) == 0
        return
    code = 1
    try:
        # Otherwise it would wait for its worker for ever.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        atexit._clear()  # What other tests have left.
        atexit.register(multiprocessing.util._exit_function)
        StopRequest().listen(loader)
        assert list(loader) == [torch.tensor([1])]
        # As at the end of any Python process.
        atexit._run_exitfuncs()
        code = 0
    finally:
        os._exit(code)


@pytest.mark.slow
def test_workers_of_a_later_run_stay_again():
    loader = torch.utils.data.DataLoader(
        [1], num_workers=1, persistent_workers=True
    )
    stop = StopRequest()
    stop.listen(torch.utils.data.DataLoader([1]))
    stop.forget()
    stop.listen(loader)
    assert list(loader) == [torch.tensor([1])]
    (worker,) = multiprocessing.active_children()

    worker.terminate()

    worker.join(0.2)
    assert worker.is_alive()
    stop.forget()
    worker.terminate()
    worker.join(60)


def test_in_another_thread_signals_stay_as_they_are():
    before = signal.getsignal(signal.SIGTERM)
    stop = StopRequest()
    loader = torch.utils.data.DataLoader([1, 2])

    with ThreadPoolExecutor() as pool:
        pool.submit(stop.listen, loader).result()

    assert signal.getsignal(signal.SIGTERM) == before
    stop.forget()
    assert signal.getsignal(signal.SIGTERM) == before
