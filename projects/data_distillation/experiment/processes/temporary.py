"""A temporary folder that a signal to this process removes too."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .stop_signals import handling_stop_signals


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Turn a signal to stop into `SystemExit`, so that what is open is closed.

    Without a handler, SIGTERM ends Python before it can put anything in order.
    Only the main thread may call this.

    Yields:
        Nothing.

    Raises:
        SystemExit: If this process has received a signal to stop. The exit
            code is 128 plus the number of the signal.
        ValueError: If another thread calls it.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        """End the process as the signal would, but in order."""
        sys.exit(128 + number)

    with handling_stop_signals(leave):
        yield


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards, also after a signal to stop.

    Yields:
        The folder.

    Raises:
        SystemExit: If this process has received a signal to stop, see
            `leaving_on_signals`.
        ValueError: If another thread than the main one calls it.
        OSError: If the folder cannot be made or removed.
    """
    with (
        # It ends last, so that signals are handled until the folder is gone.
        leaving_on_signals(),
        tempfile.TemporaryDirectory(prefix='data_distillation_') as name,
    ):
        yield Path(name)
