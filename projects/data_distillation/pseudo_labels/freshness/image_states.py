"""What is in the image files of a stage, to notice when it has changed."""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from ...base_configs.config_reading import list_mappings
from ...files.digest import compute_sha256
from ...files.known_digests import IMAGE_DIGESTS, open_digests
from ..detections.moved import read_indices


def hash_images(loaders: object, folder: Path) -> dict[str, str | None]:
    """Compute one SHA-256 of all images of each COCO file in a config.

    Files that have not changed since the last time are not read again.

    Args:
        loaders: A part of a config, for example a data loader.
        folder: The folder that keeps what is known of the files. It is written
            by `save_digests`.

    Returns:
        Path of the COCO file -> digest of the names of its images and of their
        files, whose order does not matter; None if one of them cannot be read.
        Annotation files without images, or that are missing or no COCO files,
        are left out. Of datasets with one COCO file, the last one counts.

    Raises:
        OSError: If a COCO file exists, but cannot be read.
    """
    found: dict[str, str | None] = {}
    for ann_file, images in find_image_folders(loaders):
        names = list_file_names(ann_file, compute_sha256(ann_file))
        if names:
            paths = {str(images / name): name for name in names}
            found[ann_file] = hash_named(paths, folder)
    return found


def hash_detected(detections: Path, names: Set[str]) -> str | None:
    """Compute one SHA-256 of images that have detections.

    Args:
        detections: The folder of the store.
        names: The names of the images, all of which have some.

    Returns:
        The digest of the names of the images and of the files that ran, by
        their last shard; None if one of them is not known. Damaged shards are
        left out.
    """
    digests = {
        name: content.digest
        for shard, index in read_indices(detections)
        # `read_indices` also gives the shards that were moved away.
        if shard.parent == detections
        for name, content in zip(index.names, index.contents, strict=True)
        if name in names
    }
    return join_digests(digests)


def hash_named(names: Mapping[str, str], folder: Path) -> str | None:
    """Compute one SHA-256 of images as they are now.

    Args:
        names: The name of each image, by its path.
        folder: The folder that keeps what is known of the files.

    Returns:
        The digest that `hash_detected` gives after they ran; None if one of
        them cannot be read.
    """
    digests = open_digests(folder / IMAGE_DIGESTS).find(names)
    return join_digests({names[path]: one for path, one in digests.items()})


def take_exchanged(folder: Path) -> list[str]:
    """Return the images that had other content before, each only once.

    Args:
        folder: The folder that `hash_images` was given.

    Returns:
        Their paths, sorted; empty if there is none, and when this is called
        again.
    """
    return open_digests(folder / IMAGE_DIGESTS).take_exchanged()


def save_digests(folder: Path) -> None:
    """Keep what was found out about image files for the next run.

    Args:
        folder: The folder that `hash_images` was given.

    Raises:
        OSError: If it cannot be written.
    """
    open_digests(folder / IMAGE_DIGESTS).save()


def find_image_folders(value: object) -> Iterator[tuple[str, Path]]:
    """Find the annotation files in a part of a config, with their images.

    A dataset counts if it has an `ann_file` and a `data_prefix`.

    Args:
        value: The part.

    Yields:
        The path of its annotation file and of the folder (`img` of the
        prefix), both below the `data_root` beside them, in the order of the
        config.
    """
    for part in list_mappings(value):
        file, prefix = part.get('ann_file'), part.get('data_prefix')
        if isinstance(file, str) and file and isinstance(prefix, Mapping):
            root = part.get('data_root') or ''
            images = prefix.get('img') or ''
            yield str(Path(root, file)), Path(root, str(images))


@functools.lru_cache(16)
def list_file_names(ann_file: str, sha256: str | None) -> tuple[str, ...]:
    """List the images of a COCO file, which is read once.

    Args:
        ann_file: The path of the file.
        sha256: What is different after the file has changed; None if it is
            not there.

    Returns:
        Their names, each once, sorted; none if it is no COCO file, which
        whoever loads it finds out.
    """
    try:
        images = json.loads(Path(ann_file).read_bytes())['images']
        return tuple(sorted({image['file_name'] for image in images}))
    # JSON of another form, or nested too deeply, is no COCO file either.
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ()


def join_digests(digests: Mapping[str, str | None]) -> str | None:
    """Compute one digest of many files.

    Args:
        digests: Name -> SHA-256 of each file; None if it is not known.

    Returns:
        The SHA-256 of them all, 64 hexadecimal digits, whatever their order;
        None if one is not known.
    """
    if None in digests.values():
        return None
    # In JSON, names and digests stay apart whatever letters a name has.
    text = json.dumps(sorted(digests.items()))
    return hashlib.sha256(text.encode()).hexdigest()
