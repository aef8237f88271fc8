"""Ends a run between two batches when it is told to stop."""

import functools
import signal
import threading
from collections.abc import Callable
from types import FrameType

from torch.utils.data import DataLoader


class StopRequest:
    """Notes a SIGTERM instead of dying of it.

    Slurm sends it when the time is up, torchrun when another process died,
    both some seconds before SIGKILL.
    """

    def __init__(self) -> None:
        self.is_made = False
        self._before: object = None

    def listen(self, loader: DataLoader) -> None:
        """Note SIGTERM from now on.

        Args:
            loader: Its workers, which the signal may reach as well, stay
                until the batch is through.
        """
        # Signals are the main thread's; in another one, all stays as it was.
        if threading.current_thread() is not threading.main_thread():
            return
        self._before = signal.signal(signal.SIGTERM, self._note)
        loader.worker_init_fn = functools.partial(
            init_worker, loader.worker_init_fn
        )

    def forget(self) -> None:
        """Let SIGTERM do what it did before."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_made = True


def init_worker(init: Callable[[int], None] | None, worker_id: int) -> None:
    """Let a worker of a data loader ignore SIGTERM.

    It ends with the process that it works for.

    Args:
        init: What else it begins with.
        worker_id: Its number.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if init:
        init(worker_id)
