r"""Names of image files as tools write them, and the files that they mean.

Tools write paths of other machines (`C:\data\a.jpg`, `../a.jpg`), URLs
(`/data/local-files/?d=images/a.jpg`), the folder itself (`images/a.jpg`), and
letters in another case or in another Unicode form. The last part of the name
is that of the file all the same, or that which a tool has made of it: see
`versions`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from .decoding import IMAGE_SUFFIXES, list_image_names
from .versions import (
    find_upload,
    is_marked,
    list_stems,
    make_key,
    make_source_key,
)


@dataclass(frozen=True)
class ImageFinder:
    """Finds the images of a folder by names as tools write them.

    Each index is of the last parts of the names of the images.

    Args:
        by_key: See `make_key` -> the names of the images that have this key.
        by_stem: See `list_stems` -> the same.
        by_source: See `make_source_key` -> the same.
    """

    by_key: dict[str, list[str]]
    by_stem: dict[str, list[str]]
    by_source: dict[str, list[str]]

    @classmethod
    def of(cls, folder: Path) -> 'ImageFinder':
        """Search a folder at any depth; see `list_image_names`.

        Names that are not valid Unicode are left out: JSON cannot hold them.

        Args:
            folder: The folder.

        Returns:
            A finder of the images that were there at this time.
        """
        return cls.of_names(
            name
            for name in list_image_names(folder)
            if not re.search('[\ud800-\udfff]', name)
        )

    @classmethod
    def of_names(cls, names: Iterable[str]) -> 'ImageFinder':
        """Make a finder of images with known names.

        Args:
            names: The names, with `/` between folders.

        Returns:
            The finder.
        """
        names = list(names)
        return cls(
            make_index(names, lambda last: [make_key(last)]),
            make_index(names, list_stems),
            make_index(names, lambda last: [make_source_key(last)]),
        )

    def find(self, name: str) -> list[str]:
        """Find the images that a name may mean.

        The first reading of the name (see `read_name`) that leads to an image
        counts. First, the last part must be the same but for case and Unicode
        form, where the exact one wins. Only if none is, other suffixes and
        then the marks of tools are looked at. Of several images, those are
        meant that share most of their last folders with the name. An image
        with another mark of Label Studio is never meant: it is another upload.

        Args:
            name: The name, as it is written in a file of labels.

        Returns:
            The names of the images, relative to the folder, with `/`: one if
            it is clear which is meant, several if it is not (sorted, if those
            of the finder are), and none if there is no such image, or the
            name has no part.
        """
        readings = list(read_name(name))
        marks = {find_upload(parts[-1]) for parts in readings}
        # From the surest way to the least sure.
        for find in (self._find_same, self._find_stem, self._find_source):
            for parts in readings:
                if found := leave_out_others(find(parts[-1]), marks):
                    return prefer_same_folders(found, parts)
        return []

    def _find_same(self, last: str) -> list[str]:
        found = self.by_key.get(make_key(last), [])
        # `A.jpg` and `a.jpg` may both be there: the exact name wins.
        same = [n for n in found if n.rpartition('/')[2] == last]
        return same or found

    def _find_stem(self, last: str) -> list[str]:
        found = (self.by_stem.get(key, []) for key in list_stems(last))
        return sorted({name for names in found for name in names})

    def _find_source(self, last: str) -> list[str]:
        found = self.by_source.get(make_source_key(last), [])
        # One of the two must have a mark: without one, `a b.jpg` and `a_b.jpg`
        # are two images, which no tool has renamed.
        if is_marked(last):
            return found
        return [n for n in found if is_marked(n.rpartition('/')[2])]


def make_index(
    names: Iterable[str], list_keys: Callable[[str], Iterable[str]]
) -> dict[str, list[str]]:
    """Collect names by the keys of their last part.

    Args:
        names: Names of images, with `/`.
        list_keys: Returns the keys of the last part of a name.

    Returns:
        Key -> the names that have it, in order; empty without names.
    """
    index: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for key in list_keys(name.rpartition('/')[2]):
            index[key].append(name)
    return dict(index)


def read_name(name: str) -> Iterator[list[str]]:
    r"""Yield the ways in which the name of an image can be read.

    Args:
        name: A path with `/` or `\`, or a URL.

    Yields:
        The parts of the path without empty ones, the likeliest reading first:
        the name as it is, the paths of `read_url`, the name without escapes
        such as `%20`; each is followed by itself without the mark that Label
        Studio puts before a name. Nothing if the name has no part.
    """
    # Each reading once: most names are neither URLs nor escaped.
    for path in dict.fromkeys((name, *read_url(name), unquote(name))):
        parts = [p for p in path.replace('\\', '/').split('/') if p.strip()]
        if parts:
            yield parts
            # Second: the name of an image may itself begin with such digits.
            if mark := find_upload(parts[-1]):
                yield [*parts[:-1], parts[-1].removeprefix(mark)]


def read_url(name: str) -> Iterator[str]:
    """Yield the paths in a URL: those in its query, and its own.

    Args:
        name: The URL, or another text.

    Yields:
        Each path, without escapes: first those of the query that end like an
        image, then the one before the query or the fragment. Nothing for a
        text without query and fragment, or one that cannot be a URL.
    """
    try:
        url = urlsplit(name)
    except ValueError:  # Brackets that are not of an address, for example.
        return
    for _, value in parse_qsl(url.query):
        if Path(value).suffix.lower() in IMAGE_SUFFIXES:
            yield value
    if url.query or url.fragment:
        yield unquote(url.path)


def leave_out_others(names: list[str], marks: set[str]) -> list[str]:
    """Leave out images that were uploaded to Label Studio another time.

    Args:
        names: Names of images, with `/`.
        marks: The marks of Label Studio in a name (see `find_upload`); `''`
            for a reading of the name that has none.

    Returns:
        The names without a mark or with one of these, in order; all of them if
        there are no marks.
    """
    if marks <= {''}:
        return names
    own = marks | {''}
    return [n for n in names if find_upload(n.rpartition('/')[2]) in own]


def prefer_same_folders(names: list[str], parts: list[str]) -> list[str]:
    """Keep the names that share most of their last folders with a path.

    Args:
        names: Names of images, relative to a folder, with `/`; at least one.
        parts: The parts of the path, the last of which is a file name.

    Returns:
        Those names, in order; all of them if none shares a folder.
    """
    shared = [count_shared(name.split('/')[:-1], parts[:-1]) for name in names]
    most = max(shared)
    return [name for name, n in zip(names, shared, strict=True) if n == most]


def count_shared(folders: list[str], others: list[str]) -> int:
    """Count how many of the last folders of two paths are the same.

    Args:
        folders: The folders of one path, from the outermost on.
        others: Those of the other path.

    Returns:
        The number; case and Unicode form do not matter.
    """
    pairs = zip(reversed(folders), reversed(others), strict=False)
    count = 0
    for folder, other in pairs:
        if make_key(folder) != make_key(other):
            break
        count += 1
    return count
