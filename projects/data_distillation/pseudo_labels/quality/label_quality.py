"""Measures by class how many of the selected labels are right."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.table import Table

from ...label_files.coco.contents import check_classes, require_masks
from ...label_files.coco.matching import (
    ClassMatches,
    check_labels,
    find_image_ids,
    find_images_by_name,
    make_results,
    match_classes,
)
from ...label_files.coco.measures import compute_coco_metrics
from ...label_files.coco.reading import CocoError, read_truth
from ...label_files.coco.schema import MIN_SIDE
from ...label_files.column_matching.greedy import DetectionColumns, Objects
from ...label_files.column_matching.numbering import Numbering
from ...text import format_table
from ..detections.columns import collect_stored, keep_readable
from ..detections.store import DetectionStore, StoreError
from ..selection.coco_writer import read_origin
from .counts import Counts

COLUMNS = (
    'min_score',
    'truth',
    'labels',
    'right',
    'precision',
    'recall',
    'F1',
)


@dataclass(frozen=True)
class ClassQuality:
    """The labels of one class.

    Args:
        min_score: The lowest score of a label; None if the class has no
            labels.
        matches: All detections of the class, matched with the truth.
    """

    min_score: float | None
    matches: ClassMatches

    @property
    def counts(self) -> Counts:
        """The counts at `min_score`."""
        # None says that nothing of the class was selected.
        wanted = math.inf if self.min_score is None else self.min_score
        num_right, num_found = self.matches.count_from(wanted)
        return Counts(self.matches.num_truth, num_found, num_right)


@dataclass(frozen=True)
class Quality:
    """The quality of labels and detections, as `measure_quality` returns it.

    Args:
        num_images: The number of images that were compared.
        iou: The least overlap at which a label is right, in (0, 1].
        classes: Class name -> quality, in the order of the truth's categories.
        detections: `bbox_mAP`, `bbox_mAP_50` and `bbox_mAP_75` of all
            detections, whatever their score; -1 if there is no object. If
            masks were compared, `segm_mAP` and so on.
        by_masks: Whether masks were compared instead of boxes.
    """

    num_images: int
    iou: float
    classes: dict[str, ClassQuality]
    detections: dict[str, float]
    by_masks: bool = False

    @property
    def total(self) -> Counts:
        """The counts of all classes together."""
        counts = [quality.counts for quality in self.classes.values()]
        return Counts(
            sum(c.num_truth for c in counts),
            sum(c.num_labels for c in counts),
            sum(c.num_right for c in counts),
        )

    def to_dict(self) -> dict:
        """Collect all figures for JSON.

        Returns:
            Numbers by name, with the classes in order; None for those that are
            not defined.
        """
        return dict(
            images=self.num_images,
            iou=self.iou,
            compared='masks' if self.by_masks else 'boxes',
            detections=self.detections,
            total=self.total.to_dict(),
            classes={
                name: dict(
                    min_score=quality.min_score, **quality.counts.to_dict()
                )
                for name, quality in self.classes.items()
            },
        )

    def format_table(self) -> str:
        """Format the table for the user: a line per class, then the total.

        Returns:
            The lines of the table; what is not defined is a dash.
        """
        table = Table(
            'class',
            title=f'{self.num_images:,} images, right at '
            f'{"mask " * self.by_masks}IoU {self.iou:g} or more',
        )
        for heading in COLUMNS:
            table.add_column(heading, justify='right')
        for name, quality in self.classes.items():
            min_score = format_share(quality.min_score)
            table.add_row(name, min_score, *format_counts(quality.counts))
        table.add_section()
        table.add_row('all', '', *format_counts(self.total))
        return format_table(table)


def measure_quality(
    rows: Iterable[Mapping],
    truth_file: str | Path,
    min_scores: Mapping[str, float | None],
    iou: float = 0.5,
) -> Quality:
    """Compare the labels that `min_score` selects with the truth.

    A detection that is not thinner than `MIN_SIDE`, and whose score is at
    least the `min_score` of its class, is a label.

    Args:
        rows: One row for each image that was read, with the names and values
            of `shards.SCHEMA`. Its `labels` are indices of the truth's
            categories, in the order of its file.
        truth_file: The COCO file of the true objects; objects on other images
            do not count.
        min_scores: Class name -> `min_score`, in the order of the truth's
            categories. None if nothing of the class was selected.
        iou: The least overlap at which a label is right, in (0, 1].

    Returns:
        The counts by class, and the metrics of all detections.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the truth cannot be used, has other classes, or lacks an
            image or the class of a detection.
        ValueError: If `iou` is out of range.
    """
    truth = read_truth(truth_file)
    check_classes(list(min_scores), truth['categories'], truth_file)
    rows = list(rows)
    image_ids = find_image_ids(rows, truth, truth_file)
    numbering = Numbering.of(image_ids, truth['categories'])
    found = numbering.collect_found(make_results(rows, truth, truth_file))
    # No label is made of thinner boxes, because CocoDataset would drop it.
    is_thick = found.bbox_xywh[:, 2:].min(axis=1) >= MIN_SIDE
    objects = numbering.collect_objects(truth['annotations'])
    return Quality(
        len(rows),
        iou,
        judge_classes(objects, found[is_thick], min_scores, iou),
        compute_coco_metrics(objects, found, list(numbering.labels)),
    )


def measure_stored(
    table: pa.Table,
    is_candidate: np.ndarray,
    truth_file: str | Path,
    min_scores: Mapping[str, float | None],
    iou: float = 0.5,
    by_masks: bool = False,
) -> Quality:
    """Compare stored detections with the truth; see `measure_quality`.

    The detections stay columns, so that millions of them fit into memory.

    Args:
        table: The rows of the images that were read, with `shards.SCHEMA`; to
            compare masks, with `shards.MASK_SCHEMA`.
        is_candidate: Shape (number of detections,), bool, whether each may
            become a label, see `SelectionRules.find_candidates`. All of them
            count for the metrics of detections.
        truth_file: The COCO file of the true objects.
        min_scores: Class name -> `min_score` or None, see `measure_quality`.
        iou: The least overlap at which a label is right, in (0, 1].
        by_masks: Whether masks are compared instead of boxes.

    Returns:
        The quality, with the classes in the order of the truth's categories.

    Raises:
        StoreError: If masks are compared and the detections have none.
        CocoError: If masks are compared, see `require_masks`; and see
            `measure_quality`.
        FileNotFoundError: If there is no such file.
        ValueError: If `iou` is out of range.
    """
    if by_masks and 'masks' not in table.column_names:
        raise StoreError(
            'the detections have no masks to compare: annotate with '
            'model.masks, or compare their boxes'
        )
    image_index, numbering, objects = place_images(
        table, truth_file, min_scores, by_masks
    )
    found = collect_stored(table, image_index, by_masks)
    labels = set(np.unique(found.labels).tolist())
    check_labels(labels, len(min_scores), truth_file)
    return Quality(
        len(table),
        iou,
        judge_classes(objects, found[is_candidate], min_scores, iou),
        compute_coco_metrics(objects, found, list(numbering.labels)),
        by_masks,
    )


def read_readable(store: DetectionStore) -> tuple[pa.Table, int]:
    """Read the detections of the images that could be read.

    Args:
        store: The store.

    Returns:
        Their rows, and the number of images that could not be read.

    Raises:
        StoreError: If there are none or no image could be read, a shard is
            damaged, or shards have different provenance.
    """
    rows = store.read()
    readable = keep_readable(rows)
    if not len(readable):
        raise StoreError(
            f'{store.folder} must hold the detections of at least one image '
            f'that could be read, got {len(rows)} unreadable ones: annotate '
            'the images first'
        )
    return readable, len(rows) - len(readable)


def place_images(
    table: pa.Table,
    truth_file: str | Path,
    min_scores: Mapping[str, float | None],
    by_masks: bool,
) -> tuple[np.ndarray, Numbering, Objects]:
    """Find the images of a table in the truth, and their objects.

    Args:
        table: The rows of the images.
        truth_file: The COCO file of the true objects.
        min_scores: Class name -> `min_score`, of which only the names count:
            they must be the classes.
        by_masks: Whether masks are compared, which the objects then need.

    Returns:
        The number of each row's image, shape (number of rows,), int64; the
        numbering of all images (by ascending id) and classes; and the objects.

    Raises:
        CocoError: If the truth cannot be used, has other classes, or lacks an
            image; and if masks are compared, see `require_masks`.
        FileNotFoundError: If there is no such file.
    """
    truth = read_truth(truth_file)
    check_classes(list(min_scores), truth['categories'], truth_file)
    names = table['file_name'].to_pylist()
    image_ids = find_images_by_name(names, truth, truth_file)
    numbering = Numbering.of(image_ids, truth['categories'])
    image_index = np.array(
        [numbering.images[id] for id in image_ids], np.int64
    )
    sizes_hw = require_masks(truth, truth_file) if by_masks else None
    objects = numbering.collect_objects(truth['annotations'], sizes_hw)
    return image_index, numbering, objects


def judge_classes(
    objects: Objects,
    labels: DetectionColumns,
    min_scores: Mapping[str, float | None],
    iou: float,
) -> dict[str, ClassQuality]:
    """Match the detections that may become labels with the truth, by class.

    Args:
        objects: The true objects.
        labels: The detections that may become labels.
        min_scores: Class name -> `min_score`, in the order of the truth's
            categories. None if nothing of the class was selected.
        iou: The least overlap at which a label is right, in (0, 1].

    Returns:
        The quality of each class, by name, in the order of `min_scores`.

    Raises:
        ValueError: If `iou` is out of range.
    """
    matches = match_classes(objects, labels, len(min_scores), iou)
    return {
        name: ClassQuality(min_score, of_class)
        for (name, min_score), of_class in zip(
            min_scores.items(), matches, strict=True
        )
    }


def read_min_scores(pseudo_file: str | Path) -> dict[str, float | None]:
    """Read the `min_score` of each class of selected pseudo labels.

    Args:
        pseudo_file: The file of pseudo labels, as annotation writes it.

    Returns:
        Class name -> `min_score`, in the order of the classes; None if nothing
        of the class was selected.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object, or does not name them.
    """
    min_scores = read_origin(pseudo_file).get('min_scores')
    if not min_scores:
        raise CocoError(
            f'{pseudo_file} lacks `info.data_distillation.min_scores`, the '
            'scores with which it was selected: take the pseudo_labels.json '
            'that annotation wrote'
        )
    return min_scores


def format_share(value: float | None) -> str:
    """Format a score or a share.

    Args:
        value: The number; None if it is not defined.

    Returns:
        Three digits, or a dash for None.
    """
    return '-' if value is None else f'{value:.3f}'


def format_counts(counts: Counts) -> list[str]:
    """Format the cells of the columns `truth` to `F1`, see `COLUMNS`.

    Args:
        counts: The counts of a class, or of all.

    Returns:
        The cells in the order of the columns.
    """
    return [
        f'{counts.num_truth:,}',
        f'{counts.num_labels:,}',
        f'{counts.num_right:,}',
        *map(format_share, counts.shares.values()),
    ]
