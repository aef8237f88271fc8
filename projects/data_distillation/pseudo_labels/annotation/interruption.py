"""Ends a run between two batches when the process is asked to stop."""

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


class AnnotationStopped(BaseException):
    """A run has stopped early, as SIGTERM asks it to; its work is on disk.

    It is to SIGTERM what `KeyboardInterrupt` is to Ctrl-C, and for the same
    reason it is not an `Exception`: code that goes on after an error must not
    go on after this. `run_mmdet_tool` ends the process with `exit_code`.
    """

    # What a shell says of a process that this signal has ended.
    exit_code = 128 + signal.SIGTERM


class StopRequest:
    """Notes a SIGTERM, which would otherwise end the process at once.

    Slurm sends SIGTERM when the time is up, and torchrun sends it when another
    process has died. Both send SIGKILL some seconds later.

    Attributes:
        is_made: Whether SIGTERM has come since `listen`.
    """

    def __init__(self) -> None:
        self.is_made = False
        self._before: Handler = None
        # Whether workers obey SIGTERM; they share this memory.
        self._is_leaving = RawValue(c_bool, False)

    def listen(self, loader: DataLoader) -> None:
        """Start to note SIGTERM.

        Python handles signals in the main thread only. In any other thread,
        this method changes nothing.

        Args:
            loader: The data loader of the run, which has not started its
                workers yet. The signal may reach the workers too, and they
                must stay until the batch is through. So its `worker_init_fn`
                is replaced by one that calls `init_worker`.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._before = signal.signal(signal.SIGTERM, self._note)
        self._is_leaving.value = False
        # This runs before multiprocessing ends its processes with SIGTERM.
        atexit.register(setattr, self._is_leaving, 'value', True)
        loader.worker_init_fn = functools.partial(
            init_worker, loader.worker_init_fn, self._is_leaving
        )

    def forget(self) -> None:
        """Let SIGTERM do what it did before `listen`, in workers too."""
        self._is_leaving.value = True
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_made = True


def init_worker(
    init: Callable[[int], None] | None, is_leaving: c_bool, worker_id: int
) -> None:
    """Let a worker of a data loader ignore SIGTERM while the run goes on.

    After the run, the process that the worker belongs to sends SIGTERM to its
    workers. They must obey that one: with `persistent_workers` they live until
    then.

    Args:
        init: The loader's own `worker_init_fn`, which runs afterwards; None if
            it has none.
        is_leaving: Whether the run is over or its process is about to end, in
            memory that both processes share.
        worker_id: The number of the worker.
    """

    def end_if_leaving(number: int, frame: FrameType | None) -> None:
        """End the worker if its run is over."""
        if is_leaving.value:
            # At once: `SystemExit` would be raised inside whatever line runs.
            os._exit(0)

    signal.signal(signal.SIGTERM, end_if_leaving)
    if init:
        init(worker_id)
