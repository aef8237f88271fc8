"""Files with the same content under other names."""

import functools
import os
from collections import defaultdict
from collections.abc import Iterable

from .digest import hash_bytes

# The bytes that are compared before whole files are: the last ones, because
# many images begin with the same header.
TAIL = 4096


def find_copies(paths: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Find files that have the content of known ones, whatever their names.

    Only files of the same size are read: first their ends, and whole files
    only if these are the same. This process remembers what it has read as long
    as the size and the time of the file stay. Content is compared by SHA-256.

    Args:
        paths: The paths of the files to look at.
        known: The paths of the known files, in the order of preference.

    Returns:
        Path -> the first known path with the same content, in the order of
        `paths`. Files without a copy are left out, and so are those that are
        missing or empty. A path that is known itself has a copy; if it cannot
        be read, only itself.
    """
    by_size: dict[int, list[tuple]] = defaultdict(list)
    for path in known:
        if (key := stat_file(path)) is not None:
            by_size[key[1]].append(key)
    # Filled only for sizes that occur in `paths`: most of the known files
    # are never opened.
    by_end: dict[int, dict[bytes | None, list[tuple]]] = {}
    found = {}
    for path in paths:
        key = stat_file(path)
        if key is None or key[1] not in by_size:
            continue
        if key[1] not in by_end:
            by_end[key[1]] = group_by_end(by_size[key[1]])
        # Under None are the files that cannot be read: of these, only the path
        # itself is the same.
        alike = by_end[key[1]].get(hash_end(*key), [])
        copies = (other[0] for other in alike if are_same(key, other))
        if (copy := next(copies, None)) is not None:
            found[path] = copy
    return found


def group_by_end(files: Iterable[tuple]) -> dict[bytes | None, list[tuple]]:
    """Group files of one size by the hash of their ends.

    Args:
        files: Files as `stat_file` describes them.

    Returns:
        SHA-256 of the end -> files, in order; None is the hash of those that
        cannot be read. Empty without files.
    """
    groups: dict[bytes | None, list[tuple]] = defaultdict(list)
    for file in files:
        groups[hash_end(*file)].append(file)
    return groups


def stat_file(path: str) -> tuple[str, int, int] | None:
    """Look up the size and the time of a file.

    Args:
        path: The path; it need not exist.

    Returns:
        The path, the size in bytes and the time of the last change of the
        content in ns, of what a link leads to; None if the file is empty, or
        cannot be looked up.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: the path has a null byte.
        return None
    size = status.st_size
    return (path, size, status.st_mtime_ns) if size else None


def are_same(one: tuple, other: tuple) -> bool:
    """Return whether two files with the same size and end are the same.

    Args:
        one: A file as `stat_file` describes it.
        other: Another file of the same size, whose `hash_end` is equal.

    Returns:
        Whether they are: True if they have the same path, otherwise False if
        one cannot be read.
    """
    if one[0] == other[0]:
        return True
    # The end of a file that is not longer than `TAIL` is all of it.
    whole = hash_end(*one) if one[1] <= TAIL else hash_whole(*one)
    if whole is None:  # It cannot be read.
        return False
    return one[1] <= TAIL or whole == hash_whole(*other)


@functools.lru_cache(1_000_000)
def hash_end(path: str, size: int, time: int) -> bytes | None:
    """Hash the last `TAIL` bytes of a file, once for each size and time.

    Args:
        path: The path.
        size: The size in bytes.
        time: The time of the last change in ns, so that a changed file is read
            anew.

    Returns:
        The SHA-256, 32 bytes; None if the file cannot be read, which is
        remembered as well.
    """
    return hash_from(path, max(size - TAIL, 0))


@functools.lru_cache(1_000_000)
def hash_whole(path: str, size: int, time: int) -> bytes | None:
    """Hash a file, once for each size and time.

    Args:
        path: The path.
        size: The size in bytes.
        time: The time of the last change in ns, so that a changed file is read
            anew.

    Returns:
        The SHA-256, 32 bytes; None if the file cannot be read, which is
        remembered as well.
    """
    return hash_from(path, 0)


def hash_from(path: str, start: int) -> bytes | None:
    """Hash a file from a place on.

    Args:
        path: The path.
        start: The place of the first byte that counts, from 0.

    Returns:
        The SHA-256, 32 bytes; None if the file cannot be read.
    """
    try:
        return hash_bytes(path, start)
    except OSError:
        return None
