"""The report of `tools/label_quality.py`: text, figures, and a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..coco.matching import ClassMatches
from ..detections.store import DetectionStore, StoreError
from ..files.atomic import write_json
from ..selection.coco_writer import read_origin
from ..selection.export import used_rules
from ..selection.rules import SelectionRules
from .label_quality import (
    ClassQuality,
    Quality,
    label_quality,
    read_min_scores,
)

# More colors, or lines of a legend, cannot be told apart.
MAX_NAMED = 12


@dataclass(frozen=True)
class LabelReport:
    """Compares the labels that annotation's thresholds select with a truth.

    Args:
        work_dir: Of annotation, with `detections/`.
        truth: COCO file of the images' true objects.
        validation: The detections of other images, which are labeled, made by
            the same teacher and views: the report is an estimate. None for
            the unlabeled images' own.
        iou: Overlap from which a label is right, in (0, 1].
        labels: The pseudo labels, for their thresholds and filters; None for
            `pseudo_labels.json` of the work folder.
    """

    work_dir: Path
    truth: Path
    validation: Path | None = None
    iou: float = 0.5
    labels: Path | None = None

    @property
    def pseudo_labels(self) -> Path:
        """The file of pseudo labels."""
        return self.labels or self.work_dir / 'pseudo_labels.json'

    @property
    def store(self) -> Path:
        """The folder of the detections."""
        return self.validation or self.work_dir / 'detections'

    @property
    def default_out(self) -> Path:
        """Where the files go unless told otherwise."""
        name = 'quality_estimate' if self.validation else 'quality'
        if self.labels:
            name = f'{name}_of_{self.labels.stem}'
        return self.work_dir / name

    def write(self, out: Path) -> str:
        """Compare, and write `label_quality.json` and `precision_recall.png`.

        Args:
            out: The folder to write to; made if need be.

        Returns:
            The report for people.

        Raises:
            FileNotFoundError: If a file is not there.
            CocoError: If the truth has other classes, or lacks images, or the
                pseudo labels do not say their thresholds.
            StoreError: If there are no detections, or not of the same teacher
                and views.
            ValueError: If `iou` is out of range.
        """
        min_scores = read_min_scores(self.pseudo_labels)
        rules = SelectionRules(**used_rules(self.pseudo_labels))
        table, num_unreadable = self._read_detections()
        quality = label_quality(
            table.to_pylist(),
            self.truth,
            min_scores,
            self.iou,
            rules.passing_rows(table),
        )
        title = 'Estimate on labeled images' if self.validation else 'Labels'
        files = [out / 'label_quality.json', out / 'precision_recall.png']
        write_json(files[0], self._content(quality, num_unreadable))
        draw_curves(quality, title).savefig(files[1], dpi=130)
        lines = [quality.table()]
        if num_unreadable:
            lines.append(
                f'{num_unreadable:,} images could not be read: left out'
            )
        lines += [f'written: {file}' for file in files]
        return '\n'.join([*lines, *self._summary(quality)])

    def _read_detections(self) -> tuple[pa.Table, int]:
        """Return the rows that were read, and the number of the others."""
        store = DetectionStore(self.store)
        rows = store.read()
        readable = rows.filter(pc.is_null(rows['unreadable']))
        if not len(readable):
            raise StoreError(
                f'{self.store} must hold the detections of at least one '
                f'image that could be read, got {len(rows)} unreadable ones: '
                'annotate the images first'
            )
        if self.validation:
            store.check_same_teacher(read_origin(self.pseudo_labels))
        return readable, len(rows) - len(readable)

    def _content(self, quality: Quality, num_unreadable: int) -> dict:
        return dict(
            quality.to_dict(),
            is_estimate=self.validation is not None,
            unreadable=num_unreadable,
            pseudo_labels=str(self.pseudo_labels),
            store=str(self.store),
            truth=str(self.truth),
        )

    def _summary(self, quality: Quality) -> list[str]:
        """Return a line each for the most important figures."""
        total = quality.total
        lines = [
            f'detections {name}: {100 * value:.1f}'
            for name, value in quality.detections.items()
        ]
        name = 'pseudo labels'
        if self.validation:
            name = 'estimated pseudo labels'
            lines.append(
                f'estimate: on {quality.num_images:,} labeled images with '
                f'{total.num_truth:,} objects, at the scores of '
                f'{self.pseudo_labels}'
            )
        else:
            lines.append(f'pseudo labels images: {quality.num_images}')
            lines.append(f'pseudo labels instances: {total.num_labels}')
        for share in ('precision', 'recall', 'f1'):
            value = getattr(total, share)
            shown = 'not defined' if value is None else f'{value:.3f}'
            lines.append(f'{name} {share}: {shown}')
        return lines


def draw_curves(quality: Quality, title: str) -> Figure:
    """Draw precision over recall, a line per class.

    A dot marks what `min_score` selects. Up to `MAX_NAMED` classes have a
    color and a name each, of more only the worst, by F1. The bold line is
    that of all classes with one common threshold; its cross, of the classes'
    own thresholds, may lie beside it.

    Args:
        quality: What to draw; a class without objects has no line.
        title: Of the picture.
    """
    figure = Figure(figsize=(9, 5.5), layout='constrained')
    axes = figure.subplots()
    named = classes_to_name(quality)
    for name, of_class in quality.classes.items():
        if name not in named:
            draw_class(axes, of_class, color='0.8', lw=0.6, ms=2.5, zorder=1)
    draw_total(axes, quality)
    colors = color_sequences['tab20']  # dark and light ones take turns
    for name, color in zip(named, colors[::2] + colors[1::2], strict=False):
        of_class = quality.classes[name]
        text = f'{threshold(of_class)}  {name}'
        draw_class(
            axes, of_class, color=color, lw=1.2, ms=6, zorder=3, label=text
        )
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01))
    axes.set(xlabel='recall', ylabel='precision')
    axes.set_title(
        f'{title}: {quality.num_images:,} images, right from IoU '
        f'{quality.iou:g}'
    )
    axes.grid(alpha=0.3)
    figure.legend(
        loc='outside right upper',
        title=legend_title(quality),
        alignment='left',
    )
    return figure


def classes_to_name(quality: Quality) -> list[str]:
    """Return the names of all classes, or of the worst, worst first.

    A class with neither objects nor labels is none of the worst.
    """
    if len(quality.classes) <= MAX_NAMED:
        return list(quality.classes)
    defined = {
        name: f1
        for name, of in quality.classes.items()
        if (f1 := of.counts.f1) is not None
    }
    return sorted(defined, key=defined.__getitem__)[:MAX_NAMED]


def legend_title(quality: Quality) -> str:
    """Say which classes the legend names."""
    num_classes = len(quality.classes)
    if num_classes <= MAX_NAMED:
        return 'min_score, class'
    return f'min_score, class:\nthe worst of {num_classes} by F1'


def threshold(of_class: ClassQuality) -> str:
    """Return the threshold for the legend, or why there is no dot."""
    if not of_class.counts.num_truth:
        return 'no object'
    if not of_class.counts.num_labels:
        return 'no label'
    return f'{of_class.min_score:.3f}'


def draw_class(axes: Axes, of_class: ClassQuality, **style: Any) -> None:
    """Draw the line of a class, with a dot at its threshold."""
    recall, precision, num_found = curve(of_class.matches)
    num_labels = of_class.counts.num_labels
    chosen = np.flatnonzero(num_found == num_labels).tolist()
    marker = 'o' if chosen else ''
    axes.plot(recall, precision, marker=marker, markevery=chosen, **style)


def draw_total(axes: Axes, quality: Quality) -> None:
    """Draw the bold line of all classes, and the cross of the selection."""
    recall, precision, _ = curve(
        pooled([of_class.matches for of_class in quality.classes.values()])
    )
    axes.plot(
        recall, precision, color='black', lw=2.5, zorder=2, label='all classes'
    )
    total = quality.total
    if total.precision is not None and total.recall is not None:
        axes.plot(
            total.recall,
            total.precision,
            color='black',
            linestyle='none',
            marker='X',
            markersize=10,
            markeredgecolor='white',
            zorder=4,
            label=f'all labels: precision\n{total.precision:.3f}, recall '
            f'{total.recall:.3f}',
        )


def curve(matches: ClassMatches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what each possible threshold gives, by descending threshold.

    Args:
        matches: Of equal scores all or none are above a threshold.

    Returns:
        Recall, precision, and the number of detections found.
    """
    last_of_equals = np.diff(matches.scores, append=-np.inf) != 0
    chosen = np.flatnonzero(last_of_equals)
    return matches.recall()[chosen], matches.precision()[chosen], chosen + 1


def pooled(matches: list[ClassMatches]) -> ClassMatches:
    """Take several classes as one, equal scores in the classes' order."""
    scores = np.concatenate([of_class.scores for of_class in matches])
    is_right = np.concatenate([of_class.is_right for of_class in matches])
    order = np.argsort(-scores, kind='stable')
    num_truth = sum(of_class.num_truth for of_class in matches)
    return ClassMatches(scores[order], is_right[order], num_truth)
