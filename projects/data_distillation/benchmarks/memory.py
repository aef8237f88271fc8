"""The peak memory of a benchmark."""

from pathlib import Path

import torch


def reset_peak_memory() -> None:
    """Start to measure the peak memory again: on the GPU, if there is one.

    Raises:
        FileNotFoundError: If there is no GPU, and the system is not Linux.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:  # On Linux, 5 resets the peak of the resident memory.
        Path('/proc/self/clear_refs').write_text('5')


def read_peak_memory_mib() -> float:
    """Read the most memory in use so far.

    With a GPU, this is the memory that torch has allocated there; without one,
    it is the process's resident memory. Both count since the last call of
    `reset_peak_memory`, or since the process began.

    Returns:
        MiB (2 ** 20 bytes).

    Raises:
        FileNotFoundError: If there is no GPU, and the system is not Linux.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return read_process_peak_mib()


def read_process_peak_mib() -> float:
    """Read the most resident memory that this process has had.

    Where there is no GPU, `reset_peak_memory` lets it begin again.
    `getrusage` cannot be used: it counts the memory of the parent as well.

    Returns:
        MiB (2 ** 20 bytes).

    Raises:
        FileNotFoundError: If the system is not Linux.
    """
    status = Path('/proc/self/status').read_text()
    # The kernel writes `kB` and means KiB.
    return int(status.partition('VmHWM:')[2].split()[0]) / 2**10
