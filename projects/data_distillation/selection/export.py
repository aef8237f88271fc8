"""From stored detections to a COCO file of pseudo labels."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import mmcv
import mmdet
import mmengine
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from ..coco.reading import Categories, CocoError, check_classes, read_coco
from ..detections.columns import Detections, flatten
from ..detections.store import DetectionStore, StoreError
from .coco_writer import read_origin, write_pseudo_labels
from .rules import Selection, SelectionRules
from .selectors import LabeledCounts
from .summary import summarize_selection


def select_labels(
    detections: Path,
    labeled_file: str,
    selection: dict,
    out_file: Path,
    only_images_of: Path | None = None,
) -> str:
    """Write the pseudo labels of stored detections.

    Args:
        detections: The folder of the detection store.
        labeled_file: COCO file of the labeled images.
        selection: The arguments of `SelectionRules`.
        out_file: The file to write.
        only_images_of: COCO file whose images, by file name, are wanted, with
            its ids; None for all that are stored, also those that were taken
            out of the unlabeled images later.

    Returns:
        A report for people.

    Raises:
        FileNotFoundError: If a file is not there, or the folder has no
            detections.
        StoreError: If the detections are of validation images.
        CocoError: If the labeled file cannot be used, or its classes are not
            those of the teacher.
        ValueError: See `export_pseudo_labels`.
    """
    rules = SelectionRules(**selection)
    labeled = read_coco(labeled_file, 'images', 'annotations', 'categories')
    store = open_store(detections)
    if store.provenance.get('purpose') == 'validation':
        raise StoreError(
            f'{detections} holds detections of validation images, of which no '
            'labels can be made: a student must not be trained on them'
        )
    if 'classes' in store.provenance:
        classes = store.provenance['classes']
        check_classes(classes, labeled['categories'], labeled_file)
    return export_pseudo_labels(
        store.read(read_wanted(only_images_of)),
        labeled['categories'],
        LabeledCounts.of(labeled),
        rules,
        store.provenance,
        out_file,
    )


def open_store(folder: Path) -> DetectionStore:
    """Open a detection store that must hold detections.

    Args:
        folder: The folder of the store.

    Raises:
        FileNotFoundError: If there are no detections in the folder.
        StoreError: If the detections cannot be read.
    """
    store = DetectionStore(folder)
    if store.provenance is None:
        raise FileNotFoundError(f'no detections (*.parquet) in {folder}')
    return store


def read_wanted(file: Path | None) -> dict[str, int] | None:
    """Read which of the stored images are wanted.

    Args:
        file: A COCO file of the wanted images; None if all are wanted.

    Returns:
        File name -> image id; None if all images are wanted.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file cannot be used.
    """
    if file is None:
        return None
    images = read_coco(file, 'images')['images']
    return {image['file_name']: image['id'] for image in images}


def read_rules(pseudo_labels: Path) -> dict:
    """Return the rules by which a file of pseudo labels was selected.

    Args:
        pseudo_labels: The file.

    Returns:
        The arguments of `SelectionRules`.

    Raises:
        FileNotFoundError: If it is not there.
        CocoError: If it does not say how it was selected.
    """
    selection = read_origin(pseudo_labels).get('selection')
    if not selection:
        raise CocoError(
            f'{pseudo_labels} does not say how its labels were selected: '
            '`info.data_distillation.selection` is missing'
        )
    return selection


def export_pseudo_labels(
    table: pa.Table,
    categories: Categories,
    labeled: LabeledCounts,
    rules: SelectionRules,
    provenance: dict,
    out_file: Path,
) -> str:
    """Select the pseudo labels and write them as a COCO file.

    Args:
        table: The detection store's table, in its order.
        categories: The labeled file's, which are copied as they are.
        labeled: The counts of the labeled file.
        rules: Decide on the detections.
        provenance: What made the detections, for the file's `info`.
        out_file: The file to write.

    Returns:
        A report for people.

    Raises:
        ValueError: If no image could be read or none is left, or the rules
            need what is not there.
        CocoError: If the detections are of other classes.
        StoreError, FileNotFoundError: If the rules' validation cannot be used.
    """
    is_read = pc.is_null(table['unreadable']).to_numpy()
    if not is_read.any():
        raise ValueError(
            f'none of {len(table)} unlabeled images could be read, the first '
            f'because of {table["unreadable"][0]}'
        )
    detections = flatten(table)
    validation = rules.match_validation(provenance, labeled)
    selection = rules.apply(detections, is_read, labeled, validation)
    if not selection.keeps_image.any():
        raise ValueError(
            f'no image is left: none of {selection.num_images} has a pseudo '
            f'label, and max_empty_share is {rules.max_empty_share}. Select '
            'by lower scores, or keep images without label'
        )
    unreadable = table.select(['file_name', 'unreadable'])
    unreadable = unreadable.filter(pa.array(~is_read)).to_pylist()
    origin = dict(
        provenance,
        **describe_selection(selection, rules, labeled),
        unreadable=unreadable,
    )
    write_selection(out_file, table, detections, selection, origin, categories)
    return summarize_selection(
        detections, selection, labeled, validation, unreadable, out_file
    )


def write_selection(
    out_file: Path,
    table: pa.Table,
    detections: Detections,
    selection: Selection,
    origin: dict,
    categories: Categories,
) -> None:
    """Write what was selected as a COCO file.

    Args:
        out_file: The file.
        table: The detection store's table.
        detections: Its detections.
        selection: What became of them.
        origin: What made them labels, for the file's `info`.
        categories: The categories, as the labels count them.
    """
    chosen = np.flatnonzero(selection.is_selected | selection.is_ignored)
    annotations = detections[chosen]
    new_index = np.cumsum(selection.keeps_image) - 1
    annotations.image_index[:] = new_index[annotations.image_index]
    write_pseudo_labels(
        out_file,
        dict(description='Pseudo labels', data_distillation=origin),
        make_coco_images(table).filter(pa.array(selection.keeps_image)),
        annotations,
        selection.is_ignored[chosen],
        categories,
    )


def make_coco_images(table: pa.Table) -> pa.Table:
    """Make COCO's `images`.

    Args:
        table: The detection store's table.

    Returns:
        One row per image, in order. Images of a folder get the ids 1, 2, ...,
        those that could not be read none.
    """
    is_read = pc.cast(pc.is_null(table['unreadable']), pa.int64())
    ids = pc.coalesce(table['image_id'], pc.cumulative_sum(is_read))
    columns = table.select(['file_name', 'width', 'height'])
    return columns.add_column(0, 'id', ids)


def shorten_scores(scores: np.ndarray) -> list[float | None]:
    """Return float32 scores with no more digits than tell them apart.

    Infinity becomes None, since JSON has none.
    """
    return [float(str(s)) if np.isfinite(s) else None for s in scores]


def describe_selection(
    selection: Selection, rules: SelectionRules, labeled: LabeledCounts
) -> dict:
    """Describe a selection for the file's `info`.

    Args:
        selection: The selection.
        rules: What made it.
        labeled: The counts of the labeled file.

    Returns:
        `selection` (the rules: with them `tools/select_labels.py --like`
        repeats the file), `min_scores` and `ignore_scores` by class name
        (null: nothing of this class was wanted), the counts, the versions of
        the packages, and the date in UTC.
    """
    return dict(
        selection=rules.config,
        min_scores=key_by_class(labeled.classes, selection.min_scores),
        ignore_scores=(
            selection.ignore_scores is not None
            and key_by_class(labeled.classes, selection.ignore_scores)
        )
        or None,
        labeled=dict(
            num_images=labeled.num_images,
            num_instances=dict(
                zip(
                    labeled.classes,
                    labeled.num_instances.tolist(),
                    strict=True,
                )
            ),
        ),
        num_images=selection.num_images,
        num_empty=selection.num_empty,
        num_empty_dropped=selection.num_dropped,
        num_detections=len(selection.is_selected),
        num_thin=selection.num_thin,
        num_stopped=selection.num_stopped,
        num_selected=int(selection.is_selected.sum()),
        num_ignored=int(selection.is_ignored.sum()),
        packages={
            module.__name__: module.__version__
            for module in (torch, mmengine, mmcv, mmdet)
        },
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec='seconds'
        ),
    )


def key_by_class(
    classes: Sequence[str], scores: np.ndarray | None
) -> dict[str, float | None] | None:
    """Return the scores by class name, see `shorten`; None for None."""
    if scores is None:
        return None
    return dict(zip(classes, shorten_scores(scores), strict=True))
