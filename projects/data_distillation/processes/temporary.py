"""A temporary folder that a signal to this process removes too."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .child_process import STOP_SIGNALS


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Turn a signal to stop into `SystemExit`, so that what is open is closed.

    Without a handler, SIGTERM ends Python before it can put anything in order.
    Only the main thread may call this.

    Raises:
        SystemExit: If this process has received a signal to stop. The exit
            code is 128 plus the number of the signal.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def leave(number: int, frame: FrameType | None) -> None:
        """End the process as the signal would, but in order."""
        sys.exit(128 + number)

    for number in STOP_SIGNALS:
        if before[number] is not signal.SIG_IGN:  # nohup wants that.
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards, also after a signal to stop.

    Yields:
        The folder.

    Raises:
        SystemExit: If this process has received a signal to stop, see
            `leaving_on_signals`.
    """
    with (
        leaving_on_signals(),
        tempfile.TemporaryDirectory(prefix='data_distillation_') as name,
    ):
        yield Path(name)
