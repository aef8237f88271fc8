"""Writes checkpoints as a whole: what cannot be written leaves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.fileio.backends import LocalBackend

from ..attributes import replaced
from ..files.atomic import replacing
from ..text import format_megabytes


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
            f'checkpoints before it are whole. Make room in {path.parent} '
            '(default_hooks.checkpoint.max_keep_ckpts=1 keeps fewer), and run '
            'the same command again: it goes on from the last one'
        ) from error
