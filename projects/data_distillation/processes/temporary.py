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
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards, also after a signal to stop.

    Without a handler, SIGTERM ends Python before it can remove anything. Only
    the main thread may call this.

    Yields:
        The folder.

    Raises:
        SystemExit: If this process has received a signal to stop. The exit
            code is 128 plus the number of the signal.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def leave(number: int, frame: FrameType | None) -> None:
        """End the process as the signal would, but remove the folder."""
        sys.exit(128 + number)

    for number in STOP_SIGNALS:
        if before[number] is not signal.SIG_IGN:  # nohup wants that.
            signal.signal(number, leave)
    try:
        with tempfile.TemporaryDirectory(prefix='data_distillation_') as name:
            yield Path(name)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
