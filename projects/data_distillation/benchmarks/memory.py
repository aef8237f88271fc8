"""Time and memory of a process."""

import time
from pathlib import Path

import torch


def peak_mib() -> int:
    """Return the most memory this process had, in MiB.

    Not what `getrusage` says, which counts the parent's as well.
    """
    status = Path('/proc/self/status').read_text()
    return int(status.partition('VmHWM:')[2].split()[0]) // 1024


def read_clock() -> float:
    """Return the time in seconds when a GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def reset_peak_memory() -> None:
    """Begin to measure the most memory anew."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:  # Linux: forget the process's peak of resident memory.
        Path('/proc/self/clear_refs').write_text('5')


def peak_memory_mib() -> float:
    """Return the most memory since the last reset, in MiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path('/proc/self/status').read_text()
    kib = status.split('VmHWM:')[1].split()[0]
    return int(kib) / 2**10
