"""Turns stored detections into a COCO file of pseudo labels."""

import datetime
from pathlib import Path

import mmcv
import mmdet
import mmengine
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from ...label_files.coco.contents import check_classes
from ...label_files.coco.reading import (
    Categories,
    CocoError,
    read_coco,
    read_labeled,
    read_truth,
)
from ..detections.columns import (
    Detections,
    flatten_table,
    keep_listed,
    keep_readable,
)
from ..detections.store import DetectionStore, StoreError
from .box_calibration import (
    BoxCalibration,
    calibrate_chosen,
    fit_boxes,
    refuse_masks,
)
from .coco_writer import read_origin, write_pseudo_labels
from .picking import is_at_least
from .rules import Selection, SelectionRules
from .selectors import LabeledCounts
from .short_scores import map_by_class
from .summary import find_max_per_img, summarize_selection


def select_labels(
    detections: Path,
    labeled_file: str,
    selection: dict,
    out_file: Path,
    only_images_of: Path | None = None,
) -> str:
    """Select pseudo labels from stored detections and write them.

    Args:
        detections: The folder of the detection store.
        labeled_file: The COCO file of the labeled images.
        selection: The arguments of `SelectionRules`.
        out_file: The COCO file to write.
        only_images_of: A COCO file of the wanted images. They are found by
            file name and get its ids. None for all stored images, even those
            that have been taken out of the unlabeled set since.

    Returns:
        A summary for the user, see `export_pseudo_labels`.

    Raises:
        FileNotFoundError, OSError: If a file is missing or cannot be written,
            or the folder holds no detections.
        StoreError: If they are of validation images, damaged or incomplete, or
            another teacher made those of the rules' validation.
        CocoError: If a COCO file cannot be used, or its classes are not those
            of the teacher.
        ValueError, KeyError, TypeError: If no image could be read, none is
            left, a rule is wrong, or the rules need something that is missing.
    """
    rules = SelectionRules(**selection)
    labeled = read_labeled(labeled_file)
    store = open_store(detections)
    provenance = store.require_provenance()
    if provenance.get('purpose') == 'validation':
        raise StoreError(
            f'{detections} holds detections of validation images: they cannot '
            'become labels, because a student must not be trained on them'
        )
    if 'classes' in provenance:
        check_classes(
            provenance['classes'], labeled['categories'], labeled_file
        )
    return export_pseudo_labels(
        store.read(read_wanted(only_images_of)),
        labeled['categories'],
        LabeledCounts.of(labeled),
        rules,
        provenance,
        out_file,
    )


def open_store(folder: Path) -> DetectionStore:
    """Open a detection store that must hold detections.

    Args:
        folder: The folder of the store.

    Returns:
        The store, with its provenance.

    Raises:
        FileNotFoundError: If there are no detections in the folder.
        StoreError: If no shard can be read, or they differ in provenance.
    """
    store = DetectionStore(folder)
    if store.provenance is None and store.list_shards():
        raise StoreError(
            f'none of the {len(store.list_shards())} files in {folder} is a '
            'whole shard; the log has the reasons. Annotate the images again'
        )
    if store.provenance is None:
        raise FileNotFoundError(
            f'no detections (*.parquet) in {folder}: annotate the images first'
        )
    return store


def read_wanted(file: Path | None) -> dict[str, int] | None:
    """Read which of the stored images are wanted.

    Args:
        file: A COCO file of the wanted images; None if all are wanted.

    Returns:
        File name -> id (of several images, the last); None if all are wanted.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file cannot be used.
    """
    if file is None:
        return None
    images = read_coco(file, 'images')['images']
    return {image['file_name']: image['id'] for image in images}


def read_rules(pseudo_labels: Path) -> dict:
    """Read the rules with which pseudo labels were selected.

    Args:
        pseudo_labels: The file of pseudo labels.

    Returns:
        The arguments of `SelectionRules`, with `selector` among them.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object or does not say it.
    """
    selection = read_origin(pseudo_labels).get('selection')
    if not isinstance(selection, dict) or 'selector' not in selection:
        raise CocoError(
            f'{pseudo_labels} does not say how its labels were selected: '
            '`info.data_distillation.selection.selector` is missing. Take a '
            'file that annotation or tools/select_labels.py wrote'
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
    """Select the pseudo labels and write them to a COCO file.

    Args:
        table: The rows of the detection store, in its order.
        categories: The categories of the labeled file, copied as they are.
        labeled: The counts of the labeled file.
        rules: The rules that decide on each detection.
        provenance: That of the detections; it goes into the file's `info`.
        out_file: The COCO file to write.

    Returns:
        A summary, see `summarize_selection`; before it, how boxes were
        calibrated, if they were, and after it, the path of the file.

    Raises:
        ValueError: If no image could be read, no image is left, or the rules
            need something that is missing, or calibrate boxes of masks.
        CocoError, StoreError, FileNotFoundError: If detections are of other
            classes, or the rules' validation or counted files cannot be used.
        OSError: If the file cannot be written.
    """
    refuse_masks(rules.calibrates_boxes, 'masks' in table.column_names)
    # One that cannot be read is not empty: it counts for nothing.
    is_read = pc.is_null(table['unreadable']).to_numpy()
    if not is_read.any():
        raise ValueError(
            f'none of {len(table)} unlabeled images could be read; the reason '
            f'for the first one: {next(iter(table["unreadable"]), "no image")}'
        )
    detections = flatten_table(table)
    labeled = rules.count(labeled)
    validation = rules.match_validation(provenance, labeled)
    selection = rules.apply(detections, is_read, labeled, validation)
    check_image_is_left(selection, rules)
    calibration = learn_box_calibration(rules, selection.min_scores)
    unreadable = table.select(['file_name', 'unreadable'])
    unreadable = unreadable.filter(pa.array(~is_read)).to_pylist()
    described = describe_selection(selection, rules, labeled)
    known = labeled, validation, unreadable, find_max_per_img(provenance)
    summary = summarize_selection(detections, selection, *known)
    if calibration:
        is_chosen = selection.is_selected | selection.is_ignored
        detections = calibrate_chosen(
            detections, is_chosen, table, calibration
        )
        summary = f'{calibration.describe(labeled.classes)}\n{summary}'
    origin = dict(
        provenance, **described, unreadable=unreadable, summary=summary
    )
    how = rules.segmentation or provenance.get('segmentation', 'rle')
    write_selection(
        out_file, table, detections, selection, origin, categories, how
    )
    return f'{summary}: {out_file}'


def check_image_is_left(selection: Selection, rules: SelectionRules) -> None:
    """Check that an image goes into the file.

    Args:
        selection: The decision on each image.
        rules: The rules that made it.

    Raises:
        ValueError: If no image is left.
    """
    if not selection.keeps_image.any():
        raise ValueError(
            f'no image is left: none of {selection.num_images} has a pseudo '
            f'label, and max_empty_share is {rules.max_empty_share}. Select '
            'with lower scores, or raise max_empty_share'
        )


def learn_box_calibration(
    rules: SelectionRules, min_scores: np.ndarray
) -> BoxCalibration | None:
    """Learn from the validation images how to calibrate the boxes.

    Args:
        rules: The rules of the selection.
        min_scores: Shape (number of classes,), float32, the lowest score of a
            label.

    Returns:
        The calibration; None if the rules want none.

    Raises:
        CocoError: If the truth cannot be used, or lacks an image.
        FileNotFoundError, StoreError: If detections or truth are missing.
        ValueError: If a filter needs masks, and there are none.
    """
    if not (rules.calibrates_boxes and rules.validation):
        return None
    store = open_store(Path(rules.validation['detections']))
    truth_file = rules.validation['ann_file']
    truth = read_truth(truth_file)
    table = keep_listed(keep_readable(store.read()), truth)
    detections = flatten_table(table)
    is_label = rules.find_candidates(table)
    is_label &= is_at_least(min_scores, detections)
    return fit_boxes(
        table['file_name'].to_pylist(),
        detections[is_label],
        truth,
        truth_file,
    )


def write_selection(
    out_file: Path,
    table: pa.Table,
    detections: Detections,
    selection: Selection,
    origin: dict,
    categories: Categories,
    segmentation: str,
) -> None:
    """Write the selected detections and the regions to ignore.

    Args:
        out_file: The COCO file to write.
        table: The rows of the detection store.
        detections: The detections of all rows.
        selection: The decision on each detection and each image.
        origin: How the labels were made; it goes into the file's `info`.
        categories: The categories, in the order in which labels count them.
        segmentation: 'rle' or 'polygon', how masks are written.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If JSON cannot hold the origin.
    """
    chosen = np.flatnonzero(selection.is_selected | selection.is_ignored)
    annotations = detections[chosen]  # a copy, changed below
    new_index = np.cumsum(selection.keeps_image) - 1
    annotations.image_index[:] = new_index[annotations.image_index]
    write_pseudo_labels(
        out_file,
        dict(description='Pseudo labels', data_distillation=origin),
        make_coco_images(table).filter(pa.array(selection.keeps_image)),
        annotations,
        selection.is_ignored[chosen],
        categories,
        segmentation,
    )


def make_coco_images(table: pa.Table) -> pa.Table:
    """Make the table of COCO's `images`.

    Args:
        table: The rows of the detection store.

    Returns:
        One row per image, in the same order, with the columns `id`,
        `file_name`, `width` and `height`. If the images have no ids because
        they come from a folder, those that could be read are numbered from 1.
    """
    is_read = pc.cast(pc.is_null(table['unreadable']), pa.int64())
    ids = pc.coalesce(table['image_id'], pc.cumulative_sum(is_read))
    columns = table.select(['file_name', 'width', 'height'])
    return columns.add_column(0, 'id', ids)


def describe_selection(
    selection: Selection, rules: SelectionRules, labeled: LabeledCounts
) -> dict:
    """Describe a selection for the `info` of its file.

    Args:
        selection: The selection.
        rules: The rules that made it.
        labeled: The counts of the labeled file.

    Returns:
        `selection` (the rules, with which `tools/select_labels.py --like`
        repeats the selection), `min_scores` and `ignore_scores` by class name
        (None for a class of which nothing was wanted), the counts, the
        versions of the packages, and the date in UTC.
    """
    return dict(
        selection=rules.config,
        min_scores=map_by_class(labeled.classes, selection.min_scores),
        ignore_scores=(
            selection.ignore_scores is not None
            and map_by_class(labeled.classes, selection.ignore_scores)
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
        num_maskless=selection.num_maskless,
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
