"""What the names have in common that tools make of the name of an image.

Exports write names without a suffix or with another one (`a.png` for `a.jpg`).
Roboflow puts a mark into the name of each version of an image
(`a_jpg.rf.0123abcd.jpg` for `a.jpg`), and Label Studio one before it
(`0123abcd-a.jpg`); both write other signs in place of spaces.
"""

import re
import unicodedata
from collections.abc import Iterator

from .decoding import IMAGE_SUFFIXES

# Label Studio puts 8 hexadecimal digits before the name of an uploaded file.
# Cameras put a date there, YYYYMMDD, which belongs to the name.
UPLOAD_MARK = re.compile(
    r'^(?!(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])-)[0-9a-f]{8}-(?=.)'
)
ROBOFLOW_MARK = re.compile(r'\.rf\.([0-9A-Za-z_-]{8,})(?=\.\w+$|$)')
# Images that cannot be decoded, and files of labels that are named like their
# image. Other texts after a dot are part of a name: `scan.v2`.
OTHER_SUFFIXES = {
    '.arw', '.cr2', '.dng', '.heic', '.heif', '.json', '.nef', '.txt', '.xml',
}  # fmt: skip
SUFFIXES = IMAGE_SUFFIXES | OTHER_SUFFIXES


def make_key(name: str) -> str:
    """Reduce a name to what it has in common in any case and Unicode form.

    Args:
        name: The name of a file or folder.

    Returns:
        The key, which is equal for such names.
    """
    # Names from macOS may be decomposed (NFD): an `e` and its accent.
    return unicodedata.normalize('NFC', name).casefold()


def cut_suffix(name: str) -> str:
    """Return a name without the suffix of an image or of a file of labels.

    Args:
        name: The last part of a path.

    Returns:
        The name without a suffix of `SUFFIXES`, in any case; the name itself
        if it has none, or if nothing else would be left.
    """
    stem, dot, suffix = name.rpartition('.')
    return stem if stem and dot + suffix.lower() in SUFFIXES else name


def list_stems(name: str) -> Iterator[str]:
    """Yield the keys that a name shares with those of another suffix.

    Args:
        name: The last part of a path.

    Yields:
        The key of the name as it is, and that of the name without its suffix;
        in no particular order, and only once if they are equal.
    """
    yield from {make_key(name), make_key(cut_suffix(name))}


def is_marked(name: str) -> bool:
    """Return whether a tool has put a mark into a name.

    Args:
        name: The last part of a path.

    Returns:
        Whether Roboflow or Label Studio has.
    """
    return bool(ROBOFLOW_MARK.search(name) or UPLOAD_MARK.search(name))


def make_source_key(name: str) -> str:
    """Reduce a name to that of the image before a tool had it.

    Args:
        name: The last part of a path, with or without a mark.

    Returns:
        The key, which is equal for all names that tools make of one name. It
        has no suffix. Each run of other characters than letters and digits is
        one `-`, and there is none at the ends. Empty for a name without
        letters and digits.
    """
    plain = UPLOAD_MARK.sub('', name)
    if mark := ROBOFLOW_MARK.search(plain):
        # Roboflow writes `_jpg` for `.jpg`.
        stem, _, suffix = plain[: mark.start()].rpartition('_')
        # Without `_`, `rpartition` leaves the whole name in `suffix`.
        plain = f'{stem}.{suffix}' if stem else suffix
    # `\w` includes `_`, which tools write for a space.
    return re.sub(r'[\W_]+', '-', make_key(cut_suffix(plain))).strip('-')


def find_upload(name: str) -> str:
    """Find the mark of Label Studio in a name.

    Args:
        name: The last part of a path.

    Returns:
        The mark with its `-`; `''` if there is none, or it may be a date.
    """
    mark = UPLOAD_MARK.search(name)
    return mark[0] if mark else ''


def find_version(name: str) -> str:
    """Find the mark of Roboflow in a name.

    Args:
        name: A path or a name.

    Returns:
        The mark, which stands between `.rf.` and the suffix; `''` if there is
        none.
    """
    mark = ROBOFLOW_MARK.search(name)
    return mark[1] if mark else ''


def is_other_version(name: str, other: str) -> bool:
    """Return whether two names are those of two versions from Roboflow.

    Versions of an image may be scaled, turned or cut, so that the labels of
    one do not fit the other.

    Args:
        name: The path or the name of a file.
        other: The path or the name of another file.

    Returns:
        True if both have a mark of Roboflow, and the marks differ.
    """
    return len({find_version(name), find_version(other)} - {''}) > 1
