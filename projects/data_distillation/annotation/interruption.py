"""Ends a run between two batches when it is told to stop."""

import atexit
import functools
import os
import signal
import threading
from collections.abc import Callable
from ctypes import c_bool
from multiprocessing.sharedctypes import RawValue
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader

# What Python calls on a signal, or what the system does.
Handler = Callable[[int, FrameType | None], Any] | int | None


class StopRequest:
    """Notes a SIGTERM instead of dying of it.

    Slurm sends it when the time is up, torchrun when another process died,
    both some seconds before SIGKILL.
    """

    def __init__(self) -> None:
        self.is_made = False
        self._before: Handler = None

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
        is_leaving = RawValue(c_bool, False)
        # Runs before multiprocessing ends its processes, by SIGTERM.
        atexit.register(setattr, is_leaving, 'value', True)
        loader.worker_init_fn = functools.partial(
            init_worker, loader.worker_init_fn, is_leaving
        )

    def forget(self) -> None:
        """Let SIGTERM do what it did before."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_made = True


def init_worker(
    init: Callable[[int], None] | None, is_leaving: c_bool, worker_id: int
) -> None:
    """Let a worker of a data loader ignore SIGTERM.

    But for the one that it gets when the process that it works for ends:
    `persistent_workers` are there until then.

    Args:
        init: What else it begins with.
        is_leaving: Shared, whether that process is about to end.
        worker_id: Its number.
    """

    def end(number: int, frame: FrameType | None) -> None:
        """Ignore the signal until then."""
        if is_leaving.value:
            os._exit(0)

    signal.signal(signal.SIGTERM, end)
    if init:
        init(worker_id)
