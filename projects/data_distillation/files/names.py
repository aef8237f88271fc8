r"""Names of image files as tools write them, and the files that they mean.

Tools write paths of other machines (`C:\data\a.jpg`, `../a.jpg`), URLs
(`/data/local-files/?d=images/a.jpg`), the folder itself (`images/a.jpg`), and
letters in another case or in another Unicode form. The last part of the name
is that of the file all the same.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from .images import IMAGE_SUFFIXES, list_image_names

# Label Studio puts 8 hexadecimal digits before the name of an uploaded file.
UPLOAD_MARK = re.compile('^[0-9a-f]{8}-(?=.)')


@dataclass(frozen=True)
class ImageFinder:
    """Finds the images of a folder by names as tools write them.

    Args:
        by_key: The key of a last part of a name, see `make_key` -> the names
            of the images below the folder that have it.
    """

    by_key: dict[str, list[str]]

    @classmethod
    def of(cls, folder: Path) -> 'ImageFinder':
        """Search a folder at any depth; see `list_image_names`.

        Names that are not valid Unicode are left out: JSON cannot hold them.

        Args:
            folder: The folder.

        Returns:
            A finder of the images that were there at this time.
        """
        by_key: dict[str, list[str]] = defaultdict(list)
        for name in list_image_names(folder):
            if not re.search('[\ud800-\udfff]', name):
                by_key[make_key(name.rpartition('/')[2])].append(name)
        return cls(dict(by_key))

    def find(self, name: str) -> list[str]:
        """Find the images that a name may mean.

        The first reading of the name that leads to an image counts. Of several
        images, the one is meant whose last folders are those of the name.

        Args:
            name: The name, as it is written in a file of labels.

        Returns:
            The names of the images, relative to the folder, with `/`: one if
            it is clear which is meant, several if it is not, and none if there
            is no such image.
        """
        for parts in read_name(name):
            found = self.by_key.get(make_key(parts[-1]), [])
            same = [n for n in found if n.rpartition('/')[2] == parts[-1]]
            if found := same or found:
                return prefer_same_folders(found, parts)
        return []


def make_key(name: str) -> str:
    """Reduce a name to what it has in common in any case and Unicode form.

    Args:
        name: The name of a file or folder.

    Returns:
        The key, which is equal for such names.
    """
    return unicodedata.normalize('NFC', name).casefold()


def read_name(name: str) -> Iterator[list[str]]:
    r"""Yield the ways in which the name of an image can be read.

    Args:
        name: A path with `/` or `\`, or a URL.

    Yields:
        The parts of the path, the likeliest reading first; none is empty.
    """
    for path in dict.fromkeys((name, *read_url(name), unquote(name))):
        parts = [p for p in path.replace('\\', '/').split('/') if p.strip()]
        if parts:
            yield parts
            if UPLOAD_MARK.search(parts[-1]):
                yield [*parts[:-1], UPLOAD_MARK.sub('', parts[-1])]


def read_url(name: str) -> Iterator[str]:
    """Yield the paths in a URL: those in its query, and its own.

    Args:
        name: The URL, or another text, which has none.

    Yields:
        Each path, without escapes; first those of the query, if they end like
        an image.
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


def prefer_same_folders(names: list[str], parts: list[str]) -> list[str]:
    """Keep the names that share most of their last folders with a path.

    Args:
        names: Names of images, relative to a folder, with `/`.
        parts: The parts of the path.

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
