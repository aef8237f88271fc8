"""A disk that is full leaves the checkpoints that were there, and no other."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from builders import ROOT
from mmengine.fileio.backends import LocalBackend
from mmengine.runner.checkpoint import save_checkpoint

from projects.data_distillation.training.whole_checkpoints import (
    SaveError,
    whole_checkpoints,
)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file have more than `size` bytes, as on a disk that is full.

    No fixture: pytest writes its own file between a test and the end of
    its fixtures, if its output goes to one.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_checkpoint_that_does_not_fit_leaves_nothing(tmp_path):
    before = tmp_path / 'iter_1.pth'
    before.write_bytes(b'whole')
    content = dict(meta={}, state_dict={}, text='x' * 5000)

    with full_disk(2000), whole_checkpoints():
        for name in ('iter_1.pth', 'iter_2.pth'):
            message = f'^{name} of 0 MB cannot be saved: File too large. '
            with pytest.raises(SaveError, match=message):
                save_checkpoint(content, str(tmp_path / name))

    assert before.read_bytes() == b'whole'
    assert list(tmp_path.iterdir()) == [before]


@pytest.mark.slow
def test_training_says_that_its_disk_is_full(
    tiny_experiment, tmp_path, run_here
):
    with full_disk(10**6):
        done = run_here(
            'python', ROOT / 'tools/train.py', tiny_experiment / 'teacher.py',
            '--work-dir', tmp_path, cwd=tiny_experiment.parent,
        )  # fmt: skip

    assert done.returncode == 1
    assert 'SaveError: iter_1.pth of 4 MB cannot be saved: ' in done.stderr
    assert 'run the same command again' in done.stderr
    assert not list(tmp_path.glob('*.pth'))


def test_checkpoint_that_fits_is_written(tmp_path):
    put = LocalBackend.put

    with whole_checkpoints():
        LocalBackend().put(memoryview(b'some'), tmp_path / 'new/iter_1.pth')

    assert (tmp_path / 'new/iter_1.pth').read_bytes() == b'some'
    assert LocalBackend.put is put
