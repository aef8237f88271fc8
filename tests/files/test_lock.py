"""A folder that is locked as long as the processes that use it."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import pytest
from builders import wait_until

from projects.data_distillation.experiment.processes.child_process import (
    ChildProcess,
)
from projects.data_distillation.experiment.processes.process import (
    make_environment,
)
from projects.data_distillation.files.lock import (
    LOCK,
    LockedError,
    find_holders,
    locked,
    name_locks,
    sharing_locks,
)


def fork(function: Callable, *arguments: object):
    """Call a function in a process of its own."""
    context = multiprocessing.get_context('fork')
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def read_owner(folder: Path) -> dict:
    with suppress(OSError, ValueError):
        return json.loads((folder / LOCK).read_text())
    return {}


def is_free(folder: Path) -> bool:
    try:
        with locked(folder):
            return True
    except LockedError:
        return False


def run_stage(folder: Path, *command: str) -> None:
    with locked(folder):
        ChildProcess(command, make_environment()).run()


def test_second_start_is_told_who_runs(tmp_path):
    with locked(tmp_path / 'new') as is_locked:
        assert is_locked
        with (
            pytest.raises(LockedError, match='is in use by') as error,
            locked(tmp_path / 'new'),
        ):
            pass
        with locked(tmp_path / 'other'):
            pass

    text = str(error.value)
    assert f'{tmp_path}/new is in use by process {os.getpid()} on ' in text
    assert f'{socket.gethostname()}, since 20' in text
    assert is_free(tmp_path / 'new')


@pytest.mark.slow
def test_folder_is_free_after_its_process_was_killed(tmp_path):
    def hold() -> None:
        with locked(tmp_path):
            signal.pause()

    process = fork(hold)
    wait_until(lambda: read_owner(tmp_path).get('pid') == process.pid, 20)
    assert not is_free(tmp_path)

    process.kill()
    process.join()

    assert is_free(tmp_path)


@pytest.mark.slow
def test_stage_of_a_killed_process_keeps_the_folder(tmp_path):
    process = fork(run_stage, tmp_path, 'sleep', '60')
    file = tmp_path / LOCK
    wait_until(lambda: len(find_holders(file)) == 2, 20)
    (stage,) = set(find_holders(file)) - {process.pid}
    process.kill()
    process.join()

    advice = f'stop it with `kill {stage}`'
    with pytest.raises(LockedError, match=advice), locked(tmp_path):
        pass
    os.kill(stage, signal.SIGKILL)

    wait_until(lambda: is_free(tmp_path), 20)


def test_process_that_ends_while_it_is_looked_at_is_no_holder(
    tmp_path, monkeypatch
):
    def end_first(list_folder, path):
        """The process ends just before its files are listed."""
        if str(path) == f'/proc/{process.pid}/fd':
            process.kill()
            process.join()
        return list_folder(path)

    with locked(tmp_path):
        process = fork(signal.pause)
        assert find_holders(tmp_path / LOCK) == [process.pid]
        for name in ('listdir', 'scandir'):
            spy = partial(end_first, getattr(os, name))
            monkeypatch.setattr(os, name, spy)
        holders = find_holders(tmp_path / LOCK)

    assert not process.is_alive()
    assert holders == []


@pytest.mark.slow
def test_worker_that_inherits_nothing_keeps_the_folder(tmp_path, monkeypatch):
    """As torchrun and Slurm start them: without the files of their parent."""

    def work() -> None:
        os.closerange(3, lock.fileno() + 1)
        with sharing_locks():
            (tmp_path / 'shared').touch()
            while not (tmp_path / 'release').exists():
                signal.sigtimedwait([], 0.05)

    with locked(tmp_path):
        lock = (tmp_path / LOCK).open()
        environment = make_environment()
        monkeypatch.setattr(os, 'environ', environment)
        process = fork(work)
        wait_until((tmp_path / 'shared').exists, 20)
    lock.close()
    was_free = is_free(tmp_path)
    (tmp_path / 'release').touch()
    process.join()

    assert not was_free
    assert is_free(tmp_path)


def test_process_that_nobody_started_shares_nothing(tmp_path):
    with sharing_locks():
        assert is_free(tmp_path)


def refuse_locks(monkeypatch, code: int) -> None:
    def refuse(*_) -> None:
        raise OSError(code, 'no')

    monkeypatch.setattr(fcntl, 'flock', refuse)


@pytest.mark.parametrize(
    ('code', 'result'), [(errno.ENOLCK, False), (errno.EIO, None)]
)
def test_file_system_without_locks_is_said(
    tmp_path, monkeypatch, code, result
):
    refuse_locks(monkeypatch, code)
    if result is None:
        with pytest.raises(OSError, match='no'), locked(tmp_path):
            pass
        return
    with locked(tmp_path) as is_locked:
        assert is_locked is result


@pytest.mark.parametrize('code', [errno.ENOLCK, errno.EIO])
def test_lock_of_the_parent_is_shared_where_there_are_locks(
    tmp_path, monkeypatch, code
):
    with locked(tmp_path):
        environment = name_locks()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refuse_locks(monkeypatch, code)
    fails = code == errno.EIO

    with (
        pytest.raises(OSError, match='no') if fails else nullcontext(),
        sharing_locks(),
    ):
        pass


def test_damaged_note_of_the_owner_keeps_the_lock(tmp_path):
    with locked(tmp_path):
        (tmp_path / LOCK).write_text('{')
        with (
            pytest.raises(LockedError, match='in use by another process'),
            locked(tmp_path),
        ):
            pass
