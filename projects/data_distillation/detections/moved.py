"""Finds the detections of images that were moved to another folder or renamed.

An image is the same if its file has the same bytes. The shards have their
SHA-256. Only if a store has detections of images that are not wanted under
that name, or in that folder, the files of the images without detections are
hashed.

```
find_moved: name ──► shard and row      take_over: rows ──► new shards
```
"""

import os
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ..files.digest import sha256_of
from ..files.images import ImageError, check_kind
from .provenance import IMAGE_FOLDER, find_differing_keys
from .shard_files import list_shards, name_shard
from .shards import ShardError, ShardIndex, copy_rows, read_index

# The folder within a store for shards of images that are elsewhere now.
MOVED = 'moved'


@dataclass(frozen=True)
class MovedImages:
    """What a store has of images under other names.

    Args:
        folder: The folder of the store.
        rows: The name of each image that has none, but whose content has:
            the shard, and the number of the row.
        elsewhere: The shards of images in another folder. They are to be
            moved away if `rows` has any image.
    """

    folder: Path
    rows: Mapping[str, tuple[Path, int]] = field(default_factory=dict)
    elsewhere: tuple[Path, ...] = ()

    def take_over(
        self, provenance: dict, image_ids: Mapping[str, int | None]
    ) -> None:
        """Give the detections to the images; what was there is kept.

        Nothing is moved or written if `rows` is empty.

        At no moment the store has shards of two image folders. If this is
        interrupted, it can be done again.

        Args:
            provenance: The provenance of the new shards.
            image_ids: File name -> id of at least the images of `rows`; None
                if they have none.

        Raises:
            OSError: If a shard cannot be written.
            ShardError: If a shard of `rows` is damaged.
        """
        if not self.rows:
            return
        for shard in self.elsewhere:
            (self.folder / MOVED).mkdir(exist_ok=True)
            # Another job may do the same.
            with suppress(FileNotFoundError):
                shard.rename(self.folder / MOVED / shard.name)
        in_order = sorted(self.rows, key=self.rows.__getitem__)
        for shard, names in groupby(in_order, lambda n: self.rows[n][0]):
            is_moved = shard in self.elsewhere
            source = self.folder / MOVED / shard.name if is_moved else shard
            copy_rows(
                source,
                name_shard(self.folder),
                {n: (self.rows[n][1], image_ids[n]) for n in names},
                provenance,
            )


def find_moved(
    folder: Path, provenance: dict, paths: Mapping[str, str], wanted: Set[str]
) -> MovedImages:
    """Find detections of images that had other names or another folder.

    Args:
        folder: The folder of the store, which need not exist.
        provenance: What would make the detections now. Shards that differ in
            more than the image folder are not used.
        paths: The path of each image to look for, by name.
        wanted: The names of all images of the data set, of which `paths` may
            have a part.

    Returns:
        What was found; nothing if the store holds other detections too.
    """
    own: set[str] = set()
    elsewhere: list[Path] = []
    known: dict[str, tuple[Path, int]] = {}
    for shard, index in read_indices(folder):
        differing = find_differing_keys(index.provenance, provenance)
        is_here = shard.parent == folder
        if not {IMAGE_FOLDER}.issuperset(differing):
            if is_here:
                return MovedImages(folder)
            continue
        if is_here and differing:
            elsewhere.append(shard)
        elif is_here:
            own.update(index.names)
        if not (is_here and not differing and wanted >= set(index.names)):
            known |= locate(shard, index)
    left = {name: paths[name] for name in paths.keys() - own if known}
    digests = hash_images(left)
    rows = {name: known[one] for name, one in digests if one in known}
    return MovedImages(folder, rows, tuple(elsewhere))


def locate(shard: Path, index: ShardIndex) -> dict[str, tuple[Path, int]]:
    """Map the content of each image to the place of its detections.

    Args:
        shard: The path of the shard.
        index: Which images it has.

    Returns:
        SHA-256 of an image -> the shard and the number of its row, from 0.
        Images of which no SHA-256 is known are left out.
    """
    return {one: (shard, n) for n, one in enumerate(index.digests) if one}


def read_indices(folder: Path) -> Iterator[tuple[Path, ShardIndex]]:
    """Read which images are in the whole shards of a store.

    Args:
        folder: The folder of the store.

    Yields:
        Each shard, also those that were moved away, and its images.
    """
    for place in (folder, folder / MOVED):
        for shard in list_shards(place):
            # Whoever opens the store names those that are damaged.
            with suppress(ShardError):
                yield shard, read_index(shard)


def hash_images(paths: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Hash image files, several at once.

    Args:
        paths: The path of each image, by name.

    Yields:
        The name and the SHA-256 of each; None for a file that is no image.
    """
    with ThreadPoolExecutor() as pool:
        digests = pool.map(hash_image, paths.values())
        yield from zip(paths, digests, strict=True)


def hash_image(path: str) -> str | None:
    """Return the SHA-256 of an image; None if its file cannot be read.

    Args:
        path: The path, which may also be that of a pipe.
    """
    try:
        check_kind(os.stat(path))
        return sha256_of(path)
    except (OSError, ValueError, ImageError):
        return None
