"""Finds the detections of images that are elsewhere, or whose files changed.

An image is the same if its file has the same bytes. The shards have their
SHA-256, and the size and times that the files had. If a file has others now,
it is hashed. If the content is another one, the shard is moved away, and its
other images keep their detections.

If a store has detections of images that are not wanted under that name, or in
that folder, the files of the images without detections are hashed.

```
find_moved: name ──► shard and row      take_over: rows ──► new shards
```
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ...files.known_digests import KnownDigests
from .differences import IMAGE_FOLDER, find_differing_keys
from .image_contents import Content, ShardIndex
from .shard_files import list_shards, name_shard
from .shards import ShardError, copy_rows, read_index

# The folder within a store for shards of images that are elsewhere now.
MOVED = 'moved'
# A shard and which images it has.
Indexed = tuple[Path, ShardIndex]


@dataclass(frozen=True)
class MovedImages:
    """What a store has of images under other names, and of other content.

    Args:
        folder: The folder of the store.
        rows: The name of each image that has no detections where they should
            be, but whose content has: the shard, and the number of the row.
        elsewhere: The shards of images in another folder. They are to be
            moved away if `rows` has any image.
        outdated: The shards of images whose files have other content now.
            They are to be moved away.
        changed: The names of these images.
        in_place: The names of the images whose detections stay where they
            are.
        stayed: The names of the other images of the outdated shards, which
            keep their detections.
    """

    folder: Path
    rows: Mapping[str, tuple[Path, int]] = field(default_factory=dict)
    elsewhere: tuple[Path, ...] = ()
    outdated: tuple[Path, ...] = ()
    changed: frozenset[str] = frozenset()
    in_place: frozenset[str] = frozenset()
    stayed: frozenset[str] = frozenset()

    def take_over(
        self, provenance: dict, image_ids: Mapping[str, int | None]
    ) -> None:
        """Give the detections to the images; what was there is kept.

        Nothing is written if `rows` is empty. Then only outdated shards are
        moved away.

        At no moment the store has shards of two image folders. If this is
        interrupted, it can be done again.

        Args:
            provenance: The provenance of the new shards.
            image_ids: File name -> id of at least the images of `rows`; an id
                is None for an image of a folder.

        Raises:
            OSError: If a shard cannot be moved or written.
            ShardError: If a shard of `rows` is damaged.
            KeyError: If `map_image_ids` lacks an image of `rows`.
        """
        away = {*self.outdated, *(self.elsewhere if self.rows else ())}
        for shard in away:
            (self.folder / MOVED).mkdir(exist_ok=True)
            # Another job may do the same.
            with suppress(FileNotFoundError):
                shard.rename(self.folder / MOVED / shard.name)
        # `groupby` joins neighbors, so the rows of a shard must be together.
        in_order = sorted(self.rows, key=self.rows.__getitem__)
        for shard, names in groupby(in_order, lambda n: self.rows[n][0]):
            copy_rows(
                self.folder / MOVED / shard.name if shard in away else shard,
                name_shard(self.folder),
                {n: (self.rows[n][1], image_ids[n]) for n in names},
                provenance,
            )


def find_moved(
    folder: Path,
    provenance: dict,
    paths: Mapping[str, str],
    wanted: Set[str],
    known: KnownDigests,
) -> MovedImages:
    """Find detections of images that are elsewhere, or of other content.

    Args:
        folder: The folder of the store, which need not exist.
        provenance: What would make the detections now. Shards that differ in
            more than the image folder are not used.
        paths: The path of each image to look for, by name.
        wanted: The names of all images of the dataset, of which `paths` may
            have a part.
        known: What is known of the files of the images. It is changed in
            place: what is found is added.

    Returns:
        What was found; nothing if the store does not exist or holds other
        detections too. Damaged shards are left out.
    """
    found = sort_shards(folder, provenance)
    if found is None:
        return MovedImages(folder)
    here, elsewhere, before = found
    changed = find_changed(here, paths, known)
    outdated = {shard for shard, _ in changed}
    kept = [one for one in here if one[0] not in outdated]
    in_place = {name for _, index in kept for name in index.names}
    sources = [*before, *elsewhere]
    # A file may have been exchanged for one that has detections.
    sources += here if outdated else find_unwanted(kept, wanted)
    left = {name: paths[name] for name in paths.keys() - in_place}
    others = [one for one in here if one[0] in outdated]
    names = {(shard, name) for shard, one in others for name in one.names}
    return MovedImages(
        folder,
        find_rows(sources, left, known),
        tuple(shard for shard, _ in elsewhere),
        tuple(sorted(outdated)),
        frozenset(name for _, name in changed),
        frozenset(in_place),
        frozenset(name for _, name in names - changed),
    )


def sort_shards(
    folder: Path, provenance: dict
) -> tuple[list[Indexed], list[Indexed], list[Indexed]] | None:
    """Sort the shards of a store by where their images were.

    Args:
        folder: The folder of the store.
        provenance: What would make the detections now.

    Returns:
        The shards of images that were where they are now, of images in
        another folder, and those that were moved away before, sorted by name;
        None if the store holds other detections too. Of what was moved away,
        other detections are left out, and so are damaged shards.
    """
    here: list[Indexed] = []
    elsewhere: list[Indexed] = []
    before: list[Indexed] = []
    for shard, index in read_indices(folder):
        differing = find_differing_keys(index.provenance, provenance)
        is_usable = {IMAGE_FOLDER}.issuperset(differing)
        if shard.parent != folder:
            if is_usable:
                before.append((shard, index))
        elif not is_usable:
            return None
        else:
            (elsewhere if differing else here).append((shard, index))
    return here, elsewhere, before


def find_changed(
    shards: Iterable[Indexed],
    paths: Mapping[str, str],
    known: KnownDigests,
) -> set[tuple[Path, str]]:
    """Find the images whose files have other content than when they ran.

    Args:
        shards: The shards with their detections.
        paths: The path of each image to look at, by name.
        known: What is known of their files.

    Returns:
        The shard and the name of each such image. A file that cannot be read
        now is not among them, nor one whose content is not known.
    """
    contents: dict[tuple[Path, str], Content] = {
        (shard, name): content
        for shard, index in shards
        for name, content in zip(index.names, index.contents, strict=True)
        if content.digest is not None and name in paths
    }
    others = {
        paths[name]: (content.state or '', content.digest or '')
        for (_, name), content in contents.items()
    }
    # The keys are the paths, and the values what the files were then.
    found = known.find(others, others)
    return {
        key
        for key, content in contents.items()
        if found[paths[key[1]]] not in (None, content.digest)
    }


def find_unwanted(
    shards: Iterable[Indexed], wanted: Set[str]
) -> list[Indexed]:
    """Choose the shards with images that are not in the dataset.

    Args:
        shards: The shards.
        wanted: The names of all images of the dataset.

    Returns:
        Those whose detections may be of an image that has another name now.
    """
    return [one for one in shards if not wanted >= set(one[1].names)]


def find_rows(
    sources: Iterable[Indexed],
    paths: Mapping[str, str],
    known: KnownDigests,
) -> dict[str, tuple[Path, int]]:
    """Find the detections of images by their content.

    Args:
        sources: The shards to search.
        paths: The path of each image to look for, by name.
        known: What is known of their files.

    Returns:
        The name of each image that was found: the shard, and the number of its
        row; of several rows with this content, the last one. No image file is
        read if no shard tells the content of its images.
    """
    places = {
        content.digest: (shard, number)
        for shard, index in sources
        for number, content in enumerate(index.contents)
        if content.digest
    }
    if not places:
        return {}
    found = known.find(paths.values())
    digests = {name: found[path] for name, path in paths.items()}
    return {
        name: places[digest]
        for name, digest in digests.items()
        if digest in places
    }


def read_indices(folder: Path) -> Iterator[Indexed]:
    """Read which images are in the whole shards of a store.

    Args:
        folder: The folder of the store.

    Yields:
        Each shard, also those that were moved away, and its images; sorted by
        name, the ones that were moved away last. Damaged ones are left out.
    """
    for place in (folder, folder / MOVED):
        for shard in list_shards(place):
            # Whoever opens the store names those that are damaged.
            with suppress(ShardError):
                yield shard, read_index(shard)
