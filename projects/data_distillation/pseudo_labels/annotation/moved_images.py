"""Keeps detections with the content of their images.

Images that were moved or renamed get their detections back. Images whose files
have other content now lose them.
"""

from collections.abc import Collection
from pathlib import Path

from mmengine.dist import barrier, get_rank

from ...files.known_digests import IMAGE_DIGESTS, open_digests
from ..detections.moved import MovedImages, find_moved
from .annotation_log import log_from_any_rank
from .unlabeled import UnlabeledDataset


def find_moved_images(
    folder: Path,
    provenance: dict,
    dataset: UnlabeledDataset,
    names: Collection[str] | None = None,
    saves: bool = False,
) -> MovedImages:
    """Find the images of a dataset that are elsewhere, or of other content.

    Args:
        folder: The folder of the store. What is known of the files of images
            is beside it.
        provenance: What would make the detections now.
        dataset: The images.
        names: The names of those to look for, all of them in the dataset;
            None for all.
        saves: Whether to keep what was found out about the files.

    Returns:
        What was found, see `find_moved`; nothing if there is no such folder,
        or if the store holds other detections too.

    Raises:
        OSError: If what was found out about the files cannot be saved.
        KeyError: If the dataset lacks one of the names.
    """
    if not folder.is_dir():
        return MovedImages(folder)
    infos = map(dataset.get_data_info, range(len(dataset)))
    paths = {info['file_name']: info['img_path'] for info in infos}
    some = paths if names is None else {name: paths[name] for name in names}
    known = open_digests(folder.parent / IMAGE_DIGESTS)
    # All names, also of other jobs: their images are wanted too.
    found = find_moved(folder, provenance, some, paths.keys(), known)
    if saves:
        known.save()
    return found


def take_over_moved_images(
    folder: Path,
    provenance: dict,
    dataset: UnlabeledDataset,
    names: Collection[str],
    is_dry_run: bool = False,
) -> frozenset[str]:
    """Take over the detections of images that were moved or renamed.

    Those of images that have other content now are moved away. Only rank 0
    looks, and logs what has changed. The other processes wait, so that all
    find the same.

    Args:
        folder: The folder of the store.
        provenance: What would make the detections now.
        dataset: The images.
        names: The names of the images of this job.
        is_dry_run: Whether to look, but to change nothing on disk.

    Returns:
        Of `names`, those of images that have other content now; none for the
        other processes.

    Raises:
        OSError: If shards cannot be moved or written, or what was found out
            about the files cannot be saved.
        ShardError: If a shard to take them from is damaged.
        KeyError: If the dataset lacks one of the names.
    """
    changed: frozenset[str] = frozenset()
    if get_rank() == 0:
        moved = find_moved_images(
            folder, provenance, dataset, names, saves=not is_dry_run
        )
        changed = moved.changed
        if not is_dry_run:
            moved.take_over(provenance, dataset.map_image_ids())
        for line in describe_moved(moved):
            log_from_any_rank(line)
    # The others must not list shards that rank 0 is about to move.
    barrier()
    return changed


def describe_moved(moved: MovedImages) -> list[str]:
    """Say which images have other detections than before.

    Args:
        moved: What was found.

    Returns:
        The lines for the log, at most two; empty if nothing has changed.
    """
    lines = []
    if moved.changed:
        lines.append(
            f'{describe_changed(moved.changed)}: what was detected before '
            'counts no more, and is kept in detections/moved/'
        )
    # Images that stayed are copied too, but under the same name.
    if num_found := len(moved.rows.keys() - moved.stayed):
        lines.append(
            f'{num_found:,} images have another name or folder than before, '
            'but the same content: their detections are kept'
        )
    return lines


def describe_changed(names: Collection[str]) -> str:
    """Say which images have other content than before.

    Args:
        names: Their names, at least one.

    Returns:
        The words, with the first name in alphabetical order.
    """
    first = min(names)
    if len(names) == 1:
        return f'the image {first} was exchanged under its name'
    return (
        f'{len(names):,} images were exchanged under their names, the first '
        f'is {first}'
    )
