"""A temporary folder is gone, whatever ends the process."""

import os
import signal
import time
from pathlib import Path

import pytest

from projects.data_distillation.experiment.processes.temporary import (
    leaving_on_signals,
    temporary_folder,
)


def stop_inside(number: int, made: list[Path]) -> None:
    """Send a signal to this process while it has a temporary folder."""
    with temporary_folder() as folder:
        made.append(folder)
        (folder / 'a').write_text('b')
        os.kill(os.getpid(), number)
        time.sleep(5)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signal_removes_the_folder(number, request):
    # A shell that starts a job in the background has it ignore SIGINT.
    given = signal.signal(number, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, given))
    before = signal.getsignal(number)
    made: list[Path] = []

    with pytest.raises(SystemExit, match=f'^{128 + number}$'):
        stop_inside(number, made)

    assert not made[0].exists()
    assert signal.getsignal(number) is before


def test_folder_is_there_until_the_end():
    with temporary_folder() as folder:
        assert Path(folder).is_dir()
    assert not folder.exists()


def test_signal_that_is_ignored_stays_so(request):
    given = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # As nohup does.
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, given))

    with leaving_on_signals():
        os.kill(os.getpid(), signal.SIGHUP)

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
