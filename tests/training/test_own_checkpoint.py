"""Whose checkpoint is it, and is it on disk?"""

import os
from pathlib import Path

import pytest
import torch
from builders import ROOT
from toy_training import make_trainer

from projects.data_distillation.files import atomic
from projects.data_distillation.training.own_checkpoint import (
    RUN_KEY,
    RUN_VARIABLE,
    find_own_checkpoint,
    read_run,
)


def save(file: Path, run: str | None) -> Path:
    meta = {RUN_KEY: run} if run else {}
    torch.save(dict(meta=meta, state_dict=dict(w=torch.ones(1))), file)
    return file


def note(folder: Path, name: str) -> None:
    (folder / 'last_checkpoint').write_text(str(folder / name))


def test_checkpoint_that_the_run_has_named_last_is_its_own(tmp_path):
    save(tmp_path / 'iter_60.pth', 'before')
    own = save(tmp_path / 'iter_40.pth', 'mine')
    note(tmp_path, 'iter_40.pth')

    assert find_own_checkpoint(tmp_path, 'mine') == own


def test_checkpoint_of_another_run_is_not_taken(tmp_path):
    """The other is at 40 iterations when this one has done its 60."""
    own = save(tmp_path / 'iter_60.pth', 'mine')
    save(tmp_path / 'iter_40.pth', 'other')
    note(tmp_path, 'iter_40.pth')

    assert find_own_checkpoint(tmp_path, 'mine') == own


@pytest.mark.parametrize('other', ['other', None])
def test_checkpoint_that_another_run_has_overwritten_is_not_taken(
    tmp_path, other
):
    save(tmp_path / 'iter_50.pth', 'mine')
    save(tmp_path / 'iter_60.pth', other)
    note(tmp_path, 'iter_60.pth')

    assert find_own_checkpoint(tmp_path, 'mine') is None
    resumed = tmp_path / 'iter_60.pth'
    assert find_own_checkpoint(tmp_path, 'mine', resumed) is None


def test_run_that_had_nothing_left_to_train_keeps_the_checkpoint(tmp_path):
    file = save(tmp_path / 'iter_60.pth', 'before')
    note(tmp_path, 'iter_60.pth')

    assert find_own_checkpoint(tmp_path, 'mine') is None
    assert find_own_checkpoint(tmp_path, 'mine', file) == file
    earlier = tmp_path / 'iter_50.pth'
    assert find_own_checkpoint(tmp_path, 'mine', earlier) is None


def test_file_that_tells_no_run_has_none(tmp_path):
    (tmp_path / 'a').write_bytes(b'a')
    torch.save([1], tmp_path / 'b')
    torch.save(dict(meta=1), tmp_path / 'c')

    for name in 'abcd':
        assert read_run(tmp_path / name) is None


@pytest.mark.parametrize('run', ['mine', None])
def test_checkpoint_says_its_run_and_is_on_disk(
    drawn, tmp_path, monkeypatch, run
):
    synced = []

    def sync(descriptor: int) -> None:
        synced.append(Path(os.readlink(f'/proc/self/fd/{descriptor}')).name)

    runner = make_trainer(drawn, tmp_path / 'work')
    monkeypatch.setattr(atomic.os, 'fsync', sync)
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    if run:
        monkeypatch.setenv(RUN_VARIABLE, run)
    told = dict(told='so')

    runner.save_checkpoint(
        str(tmp_path), 'iter_3.pth', save_optimizer=False, meta=told
    )

    assert 'iter_3.pth' in synced
    assert read_run(tmp_path / 'iter_3.pth') == run
    content = torch.load(tmp_path / 'iter_3.pth', weights_only=False)
    assert content['meta']['told'] == 'so'
    assert RUN_KEY not in told


@pytest.mark.slow
@pytest.mark.parametrize('run', ['mine', None])
def test_checkpoint_is_on_disk_before_anything_names_it(
    tiny_experiment, tmp_path, run_here, monkeypatch, run
):
    work = tmp_path / 'work'
    named = {}

    def sync(descriptor: int) -> None:
        file = Path(os.readlink(f'/proc/self/fd/{descriptor}'))
        last = work / 'last_checkpoint'
        named[file.name] = last.read_text() if last.is_file() else ''

    monkeypatch.setattr(atomic.os, 'fsync', sync)
    if run:
        monkeypatch.setenv(RUN_VARIABLE, run)
    done = run_here(
        'python', ROOT / 'tools/train.py', 'experiment/teacher.py',
        '--work-dir', work, cwd=tiny_experiment.parent,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert named['iter_1.pth'] == ''
    assert named['iter_2.pth'].endswith('iter_1.pth')
    assert work.name in named
    assert (work / 'last_checkpoint').read_text().endswith('iter_2.pth')
    assert read_run(work / 'iter_2.pth') == run
