"""Files that are replaced as a whole: a reader sees the old or the new one."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_json(path: Path, content: dict) -> None:
    """Replace a file with a JSON object; a reader sees the old or the new one.

    Args:
        path: The path of the file; missing folders are made.
        content: The object, which is written in ASCII and in one line. Of NaN
            and infinity, Python writes what is no JSON.

    Raises:
        TypeError, ValueError: If JSON cannot hold the content.
        RecursionError: If the content is nested too deeply.
        OSError: If the file cannot be written. After any error, the old file
            stays, see `replacing`.
    """
    with replacing(path) as file:
        file.write(json.dumps(content).encode())


def read_json(path: Path) -> object:
    """Read a JSON file that may be missing or cut short.

    Args:
        path: The file.

    Returns:
        The content; None if it cannot be read, is no JSON, or is nested too
        deeply. A file that holds `null` gives None as well.
    """
    try:
        return json.loads(path.read_bytes())
    # A ValueError: broken JSON, or bytes that are not UTF-8.
    except (OSError, ValueError, RecursionError):
        return None


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes its place when all is written and on disk.

    After an error in the context, a file that was there before stays as it
    was. If the process is killed, `.NAME.HEX` is left beside it.

    Args:
        path: The path that the file gets; missing folders are made. A link
            there is replaced itself, not what it leads to.

    Yields:
        The new file, open for writing bytes.

    Raises:
        OSError: If the file or its folder cannot be written. If only the
            entry in the folder fails, the new file is in its place already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename works only within a file system. The name
    # is random, since two processes may write the same file at once.
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
    try:
        with temporary.open('wb') as file:
            yield file
            # Python's own buffer comes first: `fsync` knows nothing of it.
            file.flush()
            # Otherwise a crash could leave the new name with nothing in it.
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        # After the rename, nothing has this name any more.
        temporary.unlink(missing_ok=True)


def sync_file(file: Path) -> None:
    """Write a file and its entry in its folder to disk, to survive a crash.

    Args:
        file: The file, which is closed, or flushed by whoever writes it.

    Raises:
        OSError: If the file cannot be opened, or its disk fails.
    """
    # Opened only to read: Linux writes out what any process has written.
    with file.open('rb') as opened:
        os.fsync(opened.fileno())
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Write the list of a folder's files to disk, to survive a crash.

    Args:
        folder: The folder, which exists.

    Raises:
        OSError: If the folder cannot be opened, or its disk fails.
    """
    # `open` of Python refuses folders.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[None]:
    """Make room for a new folder; the former one comes back after an error.

    Until the new one is complete, the former one is beside it, with `.former`
    at the end of its name. If the process is killed, it stays there.

    Args:
        folder: The folder. If it exists, it is moved away, so that the context
            can make it anew. If it does not, nothing is done: after an error,
            what the context has made stays. A link to a folder is replaced
            itself; what it leads to stays.

    Yields:
        Nothing. After the context, the former folder is removed. After an
        error or Ctrl-C, it takes the place of the new one, which is removed.

    Raises:
        FileExistsError: If there is still a former folder of a process that
            was killed.
        OSError: If the folder cannot be renamed, or the former one cannot be
            removed.
    """
    former = folder.with_name(f'{folder.name}.former')
    if former.exists():
        raise FileExistsError(
            f'{former} is what {folder} was before a run that was killed: '
            'move it back, or delete it'
        )
    if not folder.exists():
        yield
        return
    folder.rename(former)
    try:
        yield
    # Also after Ctrl-C: the former folder is the only whole one.
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        former.rename(folder)
        raise
    if former.is_symlink():
        former.unlink()
    else:
        shutil.rmtree(former)


@contextmanager
def whole_or_nothing(*paths: Path) -> Iterator[None]:
    """Remove new files or folders if one fails, or is interrupted.

    Half of them would look like the whole, and stop the same command the next
    time.

    Args:
        *paths: The files and folders that the context makes. What was in a
            folder before is removed too.

    Yields:
        Nothing. After an error or Ctrl-C, which is passed on, they are
        removed; what cannot be removed stays without a message.
    """
    try:
        yield
    # Also after Ctrl-C.
    except BaseException:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
        raise
