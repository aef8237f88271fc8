"""SHA-256 of files."""

import functools
import hashlib
import os
import time
from pathlib import Path

# Within this time, in nanoseconds, a file may change twice and keep its times.
TICK = 2 * 10**9


def compute_sha256(file: str | Path) -> str | None:
    """Return the SHA-256 of a file's bytes.

    This process remembers it as long as nothing has been written to the file:
    a checkpoint may be large, and several stages depend on it. A file that was
    changed in the last `TICK` nanoseconds is read again each time.

    Args:
        file: A path, or the URL of a checkpoint.

    Returns:
        64 hexadecimal digits in lower case; None if there is no such file on
        this machine, as for a URL, or if it is a folder or a pipe.

    Raises:
        OSError: If the file cannot be read.
    """
    if not Path(file).is_file():
        return None
    status = os.stat(file)
    # No program can set the time of this change, and a clock that has jumped
    # back makes it lie in the future.
    if time.time_ns() - status.st_ctime_ns <= TICK:
        return hash_bytes(file).hex()
    # The inode is another one if a file was moved to this path, even if it
    # has the size and the time of the former one.
    state = status.st_dev, status.st_ino, status.st_size
    return hash_once(str(file), *state, status.st_mtime_ns, status.st_ctime_ns)


@functools.lru_cache(10_000)
def hash_once(file: str, *state: int) -> str:
    """Hash a file once for each state, which says that it is the same.

    Args:
        file: The path.
        *state: What is different after the file has changed.

    Returns:
        The SHA-256, 64 hexadecimal digits in lower case.

    Raises:
        OSError: If the file cannot be read.
    """
    return hash_bytes(file).hex()


def hash_bytes(file: str | Path, start: int = 0) -> bytes:
    """Hash the bytes of a file.

    Args:
        file: The path of the file.
        start: The place of the first byte that counts, from 0.

    Returns:
        The SHA-256, 32 bytes; that of no bytes if `start` is at the end, or
        beyond it.

    Raises:
        OSError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(file, 'rb') as content:
        content.seek(start)
        # In parts: a checkpoint need not fit into memory.
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.digest()
