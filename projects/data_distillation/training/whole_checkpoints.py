"""Writes checkpoints as a whole, and finds out whether they still are."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.fileio.backends import LocalBackend

from ..attributes import replaced
from ..files.atomic import replacing
from ..text import format_error, format_megabytes

# What zipfile raises where bytes are damaged. Of a record, they can change the
# name, the size, the compression, or the flag that says it is encrypted.
UNREADABLE = (
    zipfile.BadZipFile,
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)


class SaveError(OSError):
    """A checkpoint cannot be written; the message says what to do."""


@contextmanager
def whole_checkpoints() -> Iterator[None]:
    """Let MMEngine replace files on this machine in one step.

    Otherwise a disk that is full keeps a checkpoint that is cut short, and
    room for the next one is then missing too.

    Yields:
        Nothing. A file that cannot be written raises `SaveError`.
    """
    with replaced(LocalBackend, 'put', put_whole):
        yield


def put_whole(
    backend: LocalBackend, obj: bytes | memoryview, filepath: str | Path
) -> None:
    """Write a file; a file that was there before stays if this fails.

    Args:
        backend: The backend of MMEngine; it is not used.
        obj: The content, in bytes.
        filepath: The path of the file; missing folders are made.

    Raises:
        SaveError: If it cannot be written.
    """
    path = Path(filepath)
    try:
        with replacing(path) as file:
            file.write(obj)
    except OSError as error:
        # `len` of a memoryview counts elements, which may be larger than
        # bytes.
        size = format_megabytes(memoryview(obj).nbytes)
        raise SaveError(
            f'{path.name} of {size} cannot be saved: '
            f'{error.strerror or error}. Nothing is left of it, and the '
            f'checkpoints before it are whole. Make room in {path.parent}, '
            'and run the same command again: it goes on from the last one'
        ) from error


def is_zipfile(file: Path) -> bool:
    """Return whether a file is a zip file, as a whole checkpoint is.

    Args:
        file: The file; it need not exist.

    Returns:
        True if its directory is at its end. The records are not read.
    """
    try:
        return zipfile.is_zipfile(file)
    # Of a directory that seems to go on in another file.
    except zipfile.BadZipFile:
        return False


def find_checksum_fault(file: Path) -> str:
    """Check the bytes of a checkpoint against their checksums.

    Args:
        file: A checkpoint that is a whole zip file.

    Returns:
        What is wrong, to follow the name of the file; empty if nothing is.
    """
    try:
        with zipfile.ZipFile(file) as records:
            damaged = records.testzip()
    except UNREADABLE as error:
        return f'cannot be read ({format_error(error)})'
    return f'is damaged ({damaged})' if damaged else ''
