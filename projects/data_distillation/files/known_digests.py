"""SHA-256 of many files, computed again only where a file may have changed.

```
path ──► state: size, times ──► known for this state? ──► SHA-256
                                no: the file is read
```
"""

import functools
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from .atomic import replacing
from .decoding import ImageError, check_kind
from .digest import TICK, hash_bytes

# The file in a work folder that keeps what was computed.
IMAGE_DIGESTS = 'image_digests'
# The number of files that a thread looks at before it takes others.
FILES_AT_ONCE = 500
# Path -> the state of a file, and the SHA-256 that it had in this state.
Known = Mapping[str, tuple[str, str]]
NOTHING: Known = MappingProxyType({})


def read_state(path: str) -> str:
    """Return what is different after a file was written or replaced.

    Args:
        path: The path of the file.

    Returns:
        Its size in bytes, the times of the last change of its content and of
        its status in ns, and its number on the disk (inode), with spaces; of
        what a link leads to. Empty if there is no such file, or if it has
        changed so lately (`TICK`) that it may change again and keep its times.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ''
    # No program can set the time of this change.
    if time.time_ns() - status.st_ctime_ns <= TICK:
        return ''
    times = f'{status.st_mtime_ns} {status.st_ctime_ns}'
    return f'{status.st_size} {times} {status.st_ino}'


def hash_image(path: str) -> str | None:
    """Return the SHA-256 of an image file, which is not decoded.

    Args:
        path: The path. It may also be that of a pipe, which is not opened.

    Returns:
        64 hexadecimal digits in lower case; None if there is no such file, if
        it is no regular file, is empty or larger than `MAX_BYTES`, or if it
        cannot be read.
    """
    try:
        check_kind(os.stat(path))
        return hash_bytes(path).hex()
    except (OSError, ValueError, ImageError):
        return None


class KnownDigests:
    """SHA-256 of image files, kept in a file for the next time.

    Args:
        file: The file that keeps them, which need not exist. If it is damaged
            in any way, all is computed again.

    Attributes:
        file: The same file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._kept = read_kept(file)
        self._exchanged: set[str] = set()
        self._is_new = False

    def find(
        self, paths: Collection[str], others: Known = NOTHING
    ) -> dict[str, str | None]:
        """Return the SHA-256 of files; only those that have changed are read.

        What is read is kept until `save` writes it. A file that had another
        digest before is noted for `take_exchanged`.

        Args:
            paths: Their paths; keys are compared as they are written.
            others: What is known of some of them from elsewhere: path -> what
                `read_state` returned, and the SHA-256. It counts where the
                own file does not know the state, and is not kept in it.

        Returns:
            Path -> what `hash_image` returns, in the order of `paths`; empty
            without paths.
        """
        every = list(paths)
        parts = [
            every[start : start + FILES_AT_ONCE]
            for start in range(0, len(every), FILES_AT_ONCE)
        ]
        # Threads are enough: files are read, and large blocks hashed, without
        # the lock of the interpreter.
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda part: self._find_part(part, others), parts)
            return dict(chain.from_iterable(found))

    def _find_part(
        self, paths: Sequence[str], others: Known
    ) -> list[tuple[str, str | None]]:
        return [(path, self._find_one(path, others)) for path in paths]

    def _find_one(self, path: str, others: Known) -> str | None:
        state = read_state(path)
        for known_state, digest in self._list_known(path, others):
            # Without a state, the file may still change: it is read anew.
            if state and state == known_state:
                return digest
        found = hash_image(path)
        before = {digest for _, digest in self._list_known(path, others)}
        if found and before and found not in before:
            self._exchanged.add(path)
        # In place of another digest it is kept even without a state: otherwise
        # the next call would report the same exchange again.
        is_worth_it = state or before
        if found and is_worth_it and self._kept.get(path) != (state, found):
            self._kept[path] = state, found
            self._is_new = True
        return found

    def _list_known(
        self, path: str, others: Known
    ) -> Iterator[tuple[str, str]]:
        for known in (self._kept, others):
            if path in known:
                yield known[path]

    def take_exchanged(self) -> list[str]:
        """Return the files that had other content before, each only once.

        Returns:
            The paths that `find` has read since the last call, and of which
            another SHA-256 was known; sorted, empty if there are none.
        """
        exchanged, self._exchanged = self._exchanged, set()
        return sorted(exchanged)

    def save(self) -> None:
        """Write what was computed to the file, if there is something new.

        The file is replaced as a whole; missing folders are made.

        Raises:
            OSError: If the file cannot be written.
        """
        if not self._is_new:
            return
        content = json.dumps(self._kept).encode()
        with replacing(self.file) as opened:
            opened.write(make_hash_line(content))
            opened.write(content)
        self._is_new = False


@functools.lru_cache(16)
def open_digests(file: Path) -> KnownDigests:
    """Return what is known in this process, also if it is not saved yet.

    Args:
        file: The file that keeps it.

    Returns:
        The same object for the same path, as long as at most 16 files are in
        use; otherwise one that knows only what was saved.
    """
    return KnownDigests(file)


def make_hash_line(content: bytes) -> bytes:
    """Return the first line of a file, which says that the rest is whole.

    Args:
        content: The rest of the file.

    Returns:
        The SHA-256 of the rest in hexadecimal digits, with a line break.
    """
    return hashlib.sha256(content).hexdigest().encode() + b'\n'


def read_kept(file: Path) -> dict[str, tuple[str, str]]:
    """Read what `KnownDigests.save` wrote.

    Args:
        file: The path of the file.

    Returns:
        Path -> state and SHA-256 of each image; empty if the file is missing,
        cannot be read, or has changed since it was written.
    """
    try:
        head, _, content = file.read_bytes().partition(b'\n')
    except OSError:
        return {}
    if head + b'\n' != make_hash_line(content):
        return {}
    # The hash has shown that `save` wrote this, so that nothing is checked.
    return {key: (one[0], one[1]) for key, one in json.loads(content).items()}
