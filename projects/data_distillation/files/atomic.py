"""Files that are replaced as a whole: a reader sees the old or the new one."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file at once: a reader sees the old or the new one, whole.

    Args:
        path: The file; missing folders are made.
        content: What to write.
    """
    with replacing(path) as file:
        file.write(json.dumps(content).encode())


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its place when all is written and on disk.

    Args:
        path: Where it will be; missing folders are made. If writing fails,
            what was there stays.

    Yields:
        The file to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
    try:
        with temporary.open('wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Let the names of a folder's files survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
