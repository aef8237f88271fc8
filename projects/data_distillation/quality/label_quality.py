"""How good are the labels that thresholds select? By class, where known."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from ..coco.boxes import MIN_SIDE
from ..coco.evaluation import coco_metrics
from ..coco.matching import (
    ClassMatches,
    find_image_ids,
    iter_boxes,
    make_results,
    match_boxes,
)
from ..coco.reading import CocoError, check_classes, read_coco
from ..selection.coco_writer import read_origin
from ..text import format_table

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
class Counts:
    """Labels beside the truth; crowds, and labels on them, are left out.

    Args:
        num_truth: The objects to find.
        num_labels: The labels.
        num_right: Labels that took an object, see `matching.py`.
    """

    num_truth: int
    num_labels: int
    num_right: int

    @property
    def precision(self) -> float | None:
        """The share of the labels that are right; None without labels."""
        return ratio(self.num_right, self.num_labels)

    @property
    def recall(self) -> float | None:
        """The share of the objects that have a label; None without any."""
        return ratio(self.num_right, self.num_truth)

    @property
    def f1(self) -> float | None:
        """Twice the right ones over labels plus objects; None without both.

        That is the harmonic mean of precision and recall where both are
        defined and not 0, else 0.
        """
        return ratio(2 * self.num_right, self.num_labels + self.num_truth)

    def to_dict(self) -> dict:
        """Return counts and shares by name, for JSON."""
        return dict(
            truth=self.num_truth,
            labels=self.num_labels,
            right=self.num_right,
            precision=self.precision,
            recall=self.recall,
            f1=self.f1,
        )


@dataclass(frozen=True)
class ClassQuality:
    """The labels of one class.

    Args:
        min_score: Detections with at least this score are labels; None if
            none is.
        matches: All detections of the class.
    """

    min_score: float | None
    matches: ClassMatches

    @property
    def counts(self) -> Counts:
        """The labels beside the truth."""
        wanted = math.inf if self.min_score is None else self.min_score
        num_right, num_found = self.matches.count_from(wanted)
        return Counts(self.matches.num_truth, num_found, num_right)


@dataclass(frozen=True)
class Quality:
    """What `label_quality` found.

    Args:
        num_images: The images that were looked at.
        iou: Overlap from which a label is right.
        classes: By class name, in the order of the truth's categories.
        detections: `bbox_mAP`, `bbox_mAP_50` and `bbox_mAP_75` of all
            detections, whatever their score; -1 if there is no object.
    """

    num_images: int
    iou: float
    classes: dict[str, ClassQuality]
    detections: dict[str, float]

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
        """Return all figures, for JSON; None where one is not defined."""
        return dict(
            images=self.num_images,
            iou=self.iou,
            detections=self.detections,
            total=self.total.to_dict(),
            classes={
                name: dict(
                    min_score=quality.min_score, **quality.counts.to_dict()
                )
                for name, quality in self.classes.items()
            },
        )

    def table(self) -> str:
        """Return a table for people: a line per class, the total last."""
        table = Table(
            'class',
            title=f'{self.num_images:,} images, right from IoU {self.iou:g}',
        )
        for heading in COLUMNS:
            table.add_column(heading, justify='right')
        for name, quality in self.classes.items():
            min_score = shown(quality.min_score)
            table.add_row(name, min_score, *cells(quality.counts))
        table.add_section()
        table.add_row('all', '', *cells(self.total))
        return format_table(table)


def label_quality(
    rows: Iterable[Mapping],
    truth_file: str | Path,
    min_scores: Mapping[str, float | None],
    iou: float = 0.5,
    candidates: Iterable[Mapping] | None = None,
) -> Quality:
    """Compare the labels that thresholds select with the truth.

    A candidate whose score is at least its class's `min_score` is a label.

    Args:
        rows: One for each image that was read, with the names and values of
            `shards.SCHEMA`; labels number the truth's categories.
        truth_file: COCO file of the true objects; those of other images do
            not count.
        min_scores: Class name -> `min_score`, in the order of the truth's
            categories; None: nothing of this class was selected.
        iou: Overlap from which a label is right, in (0, 1].
        candidates: The rows with those detections only that may become
            labels; by default all that are not thinner than `MIN_SIDE`.

    Returns:
        The counts by class, and the metrics of all detections.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the truth has other classes, or lacks an image.
        ValueError: If `iou` is out of range.
    """
    truth = read_coco(truth_file, 'images', 'categories', 'annotations')
    check_classes(list(min_scores), truth['categories'], truth_file)
    rows = list(rows)
    image_ids = find_image_ids(rows, truth, truth_file)
    if candidates is None:
        candidates = map(without_thin, rows)
    labels = make_results(list(candidates), truth, truth_file)
    matches = match_boxes(truth, labels, image_ids, iou)
    return Quality(
        len(rows),
        iou,
        {
            name: ClassQuality(min_score, of_class)
            for (name, min_score), of_class in zip(
                min_scores.items(), matches, strict=True
            )
        },
        coco_metrics(truth, make_results(rows, truth, truth_file), image_ids),
    )


def without_thin(row: Mapping) -> dict:
    """Return a row without the detections that never become labels."""
    is_wide = [min(w, h) >= MIN_SIDE for (_, _, w, h), *_ in iter_boxes(row)]
    columns = {
        name: [v for v, kept in zip(row[name], is_wide, strict=True) if kept]
        for name in ('bboxes_xyxy', 'scores', 'labels')
    }
    return dict(row, **columns)


def read_min_scores(pseudo_file: str | Path) -> dict[str, float | None]:
    """Read the thresholds that a file of pseudo labels was selected with.

    Args:
        pseudo_file: As annotation writes it.

    Returns:
        Class name -> `min_score`; None: nothing of this class was selected.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it does not say.
    """
    min_scores = read_origin(pseudo_file).get('min_scores')
    if not min_scores:
        raise CocoError(
            f'{pseudo_file} lacks `info.data_distillation.min_scores`, the '
            'scores it was selected with: take the pseudo_labels.json that '
            'annotation wrote'
        )
    return min_scores


def ratio(part: int, whole: int) -> float | None:
    """Divide; None if there is nothing to divide by."""
    return part / whole if whole else None


def shown(value: float | None) -> str:
    """Format a score or a share; None as a dash."""
    return '-' if value is None else f'{value:.3f}'


def cells(counts: Counts) -> list[str]:
    """Format counts and shares as `COLUMNS` has them, from `truth` on."""
    return [
        f'{counts.num_truth:,}',
        f'{counts.num_labels:,}',
        f'{counts.num_right:,}',
        shown(counts.precision),
        shown(counts.recall),
        shown(counts.f1),
    ]
