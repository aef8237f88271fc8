"""Writing folders of labeled images: text, links, and all or nothing."""

import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .labels import FormatError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that takes its place when all is written.

    Args:
        path: The path that the folder gets. Nothing is there, or an empty
            folder; missing folders above it are made.

    Yields:
        The folder to fill, which is beside `path` under a hidden name. If the
        filling fails, nothing is left of it, and the error is passed on.

    Raises:
        FormatError: If something is there.
        OSError: If the folder cannot be made or renamed.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FormatError(f'{path} exists already: delete it, or take another')
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, where renaming takes one step.
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
    temporary.mkdir()
    try:
        yield temporary
        # It can take the place of an empty folder.
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a file in UTF-8; missing folders are made.

    Args:
        path: The file; what it held is replaced.
        lines: The lines, without line breaks; without any, the file is empty.

    Raises:
        OSError: If the file or its folder cannot be written.
        UnicodeEncodeError: If a line has half of a surrogate pair.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines), 'utf-8')


def link_image(source: Path, path: Path) -> None:
    """Make a link to an image; missing folders are made.

    Args:
        source: The path of the image, which is not looked at.
        path: The path of the link, which leads to the absolute path of the
            image, without links.

    Raises:
        FileExistsError: If something is there.
        OSError: If the link or its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Absolute: a relative link would begin at its own folder.
    path.symlink_to(source.resolve())
