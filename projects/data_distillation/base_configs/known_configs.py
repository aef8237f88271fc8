"""Spares a command the time to read the same configs again and again."""

import copy
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from ..attributes import replaced

# Path of a file -> its bytes.
Contents = dict[str, bytes]
# How a config names an environment variable.
ENVIRONMENT = re.compile(rb'\{\{.?\s*\$')


class KnownConfigs:
    """The configs that were read, for as long as their files stay the same.

    A run looks into the configs of its stages a hundred times. To execute one
    with all its bases takes over twenty times as long as to compare the files
    and copy the config. What else the code of a config reads is not compared.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Contents, Config]] = {}

    def read(self, file: str | Path) -> Config:
        """Read a config, or take the one that is known.

        Configs that name environment variables, and those that are written
        with `read_base()`, are read each time.

        Args:
            file: The path of the config. A relative one starts at the current
                folder.

        Returns:
            The config. The caller may change it.

        Raises:
            FileNotFoundError: If a file of it does not exist (any more).
            ImportError: If it imports a module that is not there.
            Exception: Whatever else its code raises.
        """
        # MMEngine notes the path as it is given.
        key = os.getcwd(), str(file)
        contents, cfg = self._known.get(key, ({}, None))
        if cfg is None or not is_current(contents):
            with noting_files() as contents:
                cfg = Config.fromfile(file)
            if not contents or any(map(ENVIRONMENT.search, contents.values())):
                return cfg
            self._known[key] = contents, cfg
        return copy.deepcopy(cfg)


@contextmanager
def noting_files() -> Iterator[Contents]:
    """Note the files that MMEngine reads for a config.

    Yields:
        Path -> bytes, of each file that was read in the context so far. It
        stays empty for a config that is written with `read_base()`.
    """
    contents: Contents = {}
    read = Config._file2dict

    def note(filename: str, *args: object, **kwargs: object) -> tuple:
        """Note a file, and read it."""
        # Before it is run: a change in between is noticed the next time.
        contents[str(filename)] = Path(filename).read_bytes()
        return read(filename, *args, **kwargs)

    # MMEngine calls it for each base, too: so all files are noted.
    with replaced(Config, '_file2dict', staticmethod(note)):
        yield contents


def is_current(contents: Contents) -> bool:
    """Return whether files hold what they held before.

    Args:
        contents: Path of each file -> the bytes that it held.

    Returns:
        Whether all of them are the same; True if there are no files.

    Raises:
        FileNotFoundError: If one is gone.
    """
    return all(
        Path(path).read_bytes() == content
        for path, content in contents.items()
    )
