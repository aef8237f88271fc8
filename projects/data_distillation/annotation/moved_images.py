"""Gives detections back to images that were moved or renamed."""

from collections.abc import Iterable
from pathlib import Path

from mmengine.dist import barrier, get_rank

from ..detections.moved import MovedImages, find_moved
from .dataset import UnlabeledDataset
from .log import log_from_any_rank


def find_moved_images(
    folder: Path,
    provenance: dict,
    dataset: UnlabeledDataset,
    names: Iterable[str] | None = None,
) -> MovedImages:
    """Find the images of a data set that were detected under another name.

    Args:
        folder: The folder of the store.
        provenance: What would make the detections now.
        dataset: The images.
        names: The names of those to look for; None for all.

    Returns:
        What was found, see `find_moved`.
    """
    if not folder.is_dir():
        return MovedImages(folder)
    infos = map(dataset.get_data_info, range(len(dataset)))
    paths = {info['file_name']: info['img_path'] for info in infos}
    wanted = paths.keys()
    some = wanted if names is None else names
    parts = {name: paths[name] for name in some}
    return find_moved(folder, provenance, parts, wanted)


def take_over_moved_images(
    folder: Path,
    provenance: dict,
    dataset: UnlabeledDataset,
    names: Iterable[str],
) -> None:
    """Take over the detections of images that were moved or renamed.

    Only rank 0 looks. The other processes wait, so that all find the same.

    Args:
        folder: The folder of the store.
        provenance: What would make the detections now.
        dataset: The images.
        names: The names of the images of this job.

    Raises:
        OSError: If they cannot be written.
    """
    if get_rank() == 0:
        moved = find_moved_images(folder, provenance, dataset, names)
        moved.take_over(provenance, dataset.image_ids())
        if moved.rows:
            log_from_any_rank(
                f'{len(moved.rows):,} images have another name or folder than '
                'before, but the same content: their detections are kept'
            )
    barrier()
