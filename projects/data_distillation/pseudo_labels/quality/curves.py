"""The report of `tools/label_quality.py`: a table, figures and a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...files.atomic import write_json
from ...label_files.coco.matching import ClassMatches
from ...label_files.coco.reading import read_truth
from ..detections.columns import keep_listed
from ..detections.store import DetectionStore
from ..selection.coco_writer import (
    PSEUDO_LABELS,
    keep_selected,
    read_origin,
)
from ..selection.export import read_rules
from ..selection.rules import SelectionRules
from .label_quality import (
    ClassQuality,
    Quality,
    measure_stored,
    read_min_scores,
    read_readable,
)
from .other_detections import OtherDetections, measure_others

# More colors, or more lines in a legend, would be hard to tell apart.
MAX_NAMED = 12


@dataclass(frozen=True)
class LabelReport:
    """Compares the labels that `min_score` selects with a truth.

    Args:
        work_dir: The work folder of the annotation, with `detections/`.
        truth: The COCO file of the true objects of the images.
        validation: The folder with the detections of labeled images, made by
            the same teacher on the same views; the report is then an
            estimate. None for the detections of the unlabeled images.
        iou: The least overlap at which a label is right, in (0, 1].
        labels: The file of pseudo labels, whose `min_score` values and filters
            are used; None for `pseudo_labels.json` in the work folder.
        by_masks: Whether masks are compared instead of boxes.
        beside: The folder of other detections of the same images, whose mAP
            is shown beside; None for none.
    """

    work_dir: Path
    truth: Path
    validation: Path | None = None
    iou: float = 0.5
    labels: Path | None = None
    by_masks: bool = False
    beside: Path | None = None

    @property
    def pseudo_labels(self) -> Path:
        """The file of pseudo labels."""
        return self.labels or self.work_dir / PSEUDO_LABELS

    @property
    def store(self) -> Path:
        """The folder of the detections."""
        return self.validation or self.work_dir / 'detections'

    @property
    def default_out(self) -> Path:
        """The folder to write to if the user names none."""
        name = 'quality_estimate' if self.validation else 'quality'
        if self.labels:
            name = f'{name}_of_{self.labels.stem}'
        if self.by_masks:
            name += '_masks'
        return self.work_dir / name

    def write(self, out: Path) -> str:
        """Write `label_quality.json` and `precision_recall.png`.

        Args:
            out: The folder to write to; it is made if it does not exist.

        Returns:
            The report for the user.

        Raises:
            FileNotFoundError: If a file is missing.
            CocoError: If the truth has other classes or lacks images, or the
                file of pseudo labels does not name its `min_score` values.
            StoreError: If no image could be read, if another teacher or other
                views made them, if those beside are of other images, or if
                masks are compared and there are none.
            ValueError: If `iou` is out of range, or a rule of the labels
                cannot be used.
            KeyError, TypeError: If the type of such a rule is not registered,
                or an argument is unknown.
            OSError: If one of the files cannot be written.
        """
        min_scores = read_min_scores(self.pseudo_labels)
        rules = SelectionRules(**read_rules(self.pseudo_labels))
        stored, num_unreadable = self._read_detections()
        table = self._keep_counted(stored)
        quality = measure_stored(
            table,
            rules.find_candidates(table),
            self.truth,
            min_scores,
            self.iou,
            self.by_masks,
        )
        beside = None
        if self.beside:
            images = table['file_name']
            given = stored, images, self.truth, self.by_masks
            beside = measure_others(self.beside, *given)
        title = 'Estimate on labeled images' if self.validation else 'Labels'
        files = self.list_files(out)
        write_json(files[0], self._content(quality, num_unreadable, beside))
        draw_curves(quality, title).savefig(files[1], dpi=130)
        lines = [quality.format_table()]
        if num_unreadable:
            lines.append(
                f'{num_unreadable:,} images could not be read and are left out'
            )
        if num_gone := len(stored) - len(table):
            lines.append(
                f'{num_gone:,} images are no longer in the '
                f'{"truth" if self.validation else "file of pseudo labels"} '
                'and are left out'
            )
        lines += [f'written: {file}' for file in files]
        return '\n'.join([*lines, *self._summary(quality, beside)])

    @staticmethod
    def list_files(out: Path) -> list[Path]:
        """List the files that `write` writes to a folder.

        Args:
            out: The folder.

        Returns:
            Their paths; they need not exist.
        """
        return [out / 'label_quality.json', out / 'precision_recall.png']

    def _read_detections(self) -> tuple[pa.Table, int]:
        """Return the rows of readable images, and the number of the others."""
        store = DetectionStore(self.store)
        found = read_readable(store)
        if self.validation:
            store.check_same_teacher(read_origin(self.pseudo_labels))
        return found

    def _keep_counted(self, table: pa.Table) -> pa.Table:
        """Leave out images that were taken out of their file since."""
        if self.validation:
            return keep_listed(table, read_truth(self.truth))
        origin = read_origin(self.pseudo_labels)
        return keep_selected(table, self.pseudo_labels, origin)

    def _content(
        self,
        quality: Quality,
        num_unreadable: int,
        beside: OtherDetections | None,
    ) -> dict:
        return dict(
            quality.to_dict(),
            is_estimate=self.validation is not None,
            unreadable=num_unreadable,
            pseudo_labels=str(self.pseudo_labels),
            store=str(self.store),
            truth=str(self.truth),
            beside=beside and beside.to_dict(),
        )

    def _summary(
        self, quality: Quality, beside: OtherDetections | None
    ) -> list[str]:
        """Return the most important figures, one in each line."""
        total = quality.total
        lines = [
            f'detections {name}: {100 * value:.1f}'
            for name, value in quality.detections.items()
        ]
        if beside:
            lines += beside.format_lines(quality.detections)
        name = 'pseudo labels'
        if self.validation:
            name = 'estimated pseudo labels'
            lines.append(
                f'estimate: from {quality.num_images:,} labeled images with '
                f'{total.num_truth:,} objects, with the min_score values of '
                f'{self.pseudo_labels}'
            )
        else:
            lines.append(f'pseudo labels images: {quality.num_images}')
            lines.append(f'pseudo labels instances: {total.num_labels}')
        for share, value in total.shares.items():
            text = 'not defined' if value is None else f'{value:.3f}'
            lines.append(f'{name} {share}: {text}')
        return lines


def draw_curves(quality: Quality, title: str) -> Figure:
    """Draw precision over recall, with a line per class.

    A dot marks what `min_score` selects. If there are more than `MAX_NAMED`
    classes, only the worst by F1 have a color and a name. The bold line shows
    all classes with one common score. The cross shows all labels, selected
    with the `min_score` of each class, so it may lie beside the bold line.

    Args:
        quality: The quality to draw; a class without objects has no line.
        title: The title of the picture.

    Returns:
        A figure of its own, which `pyplot` does not know and nobody must
        close.
    """
    figure = Figure(figsize=(9, 5.5), layout='constrained')
    axes = figure.subplots()
    named = choose_named_classes(quality)
    for name, of_class in quality.classes.items():
        if name not in named:
            draw_class(axes, of_class, color='0.8', lw=0.6, ms=2.5, zorder=1)
    draw_total(axes, quality)
    colors = color_sequences['tab20']  # dark and light alternate
    for name, color in zip(named, colors[::2] + colors[1::2], strict=False):
        of_class = quality.classes[name]
        text = f'{format_min_score(of_class)}  {name}'
        draw_class(
            axes, of_class, color=color, lw=1.2, ms=6, zorder=3, label=text
        )
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01))
    axes.set(xlabel='recall', ylabel='precision')
    axes.set_title(
        f'{title}: {quality.num_images:,} images, right at '
        f'{"mask " * quality.by_masks}IoU {quality.iou:g} or more'
    )
    axes.grid(alpha=0.3)
    figure.legend(
        loc='outside right upper',
        title=format_legend_title(quality),
        alignment='left',
    )
    return figure


def choose_named_classes(quality: Quality) -> list[str]:
    """Choose the classes that get a color and a name.

    Args:
        quality: The quality of each class.

    Returns:
        The names of all classes, in their order, if there are at most
        `MAX_NAMED`. If there are more, those with the lowest F1, worst first
        and equal ones in their order, without classes that have neither
        objects nor labels.
    """
    if len(quality.classes) <= MAX_NAMED:
        return list(quality.classes)
    defined = {
        name: f1
        for name, of in quality.classes.items()
        if (f1 := of.counts.f1) is not None
    }
    return sorted(defined, key=defined.__getitem__)[:MAX_NAMED]


def format_legend_title(quality: Quality) -> str:
    """Format the title of the legend, which says what it names.

    Args:
        quality: The quality that is drawn.

    Returns:
        One or two lines.
    """
    num_classes = len(quality.classes)
    if num_classes <= MAX_NAMED:
        return 'min_score, class'
    return f'min_score, class:\nthe worst of {num_classes} by F1'


def format_min_score(of_class: ClassQuality) -> str:
    """Format `min_score` for the legend, or the reason for no dot.

    Args:
        of_class: The quality of the class.

    Returns:
        The score with three digits, `no object` or `no label`.
    """
    if not of_class.counts.num_truth:
        return 'no object'
    if not of_class.counts.num_labels:
        return 'no label'
    return f'{of_class.min_score:.3f}'


def draw_class(axes: Axes, of_class: ClassQuality, **style: Any) -> None:
    """Draw the line of a class, with a dot at its `min_score`.

    Args:
        axes: The axes of the plot.
        of_class: The matched detections of the class. Without an object, no
            line is seen; without a label, there is no dot.
        **style: More arguments of `Axes.plot`.
    """
    recall, precision, num_found = compute_curve(of_class.matches)
    num_labels = of_class.counts.num_labels
    # None if there is no label: a curve begins at one detection.
    chosen = np.flatnonzero(num_found == num_labels).tolist()
    marker = 'o' if chosen else ''
    axes.plot(recall, precision, marker=marker, markevery=chosen, **style)


def draw_total(axes: Axes, quality: Quality) -> None:
    """Draw the bold line of all classes, and the cross of all labels.

    Args:
        axes: The axes of the plot.
        quality: The quality of each class.
    """
    recall, precision, _ = compute_curve(
        pool_matches(
            [of_class.matches for of_class in quality.classes.values()]
        )
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


def compute_curve(
    matches: ClassMatches,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute what each possible `min_score` gives, in descending order.

    Detections with equal scores are either all selected, or none of them is.

    Args:
        matches: The matched detections.

    Returns:
        The recall, the precision and the number of detections at each
        score, in three arrays of shape (number of different scores,); empty
        without detections. The recall is NaN if there is no object.
    """
    # Equal scores are selected together.
    # Scores descend, so of equal ones only the last differs from the next.
    last_of_equals = np.diff(matches.scores, append=-np.inf) != 0
    chosen = np.flatnonzero(last_of_equals)
    return matches.recall()[chosen], matches.precision()[chosen], chosen + 1


def pool_matches(matches: list[ClassMatches]) -> ClassMatches:
    """Join the matches of several classes, by descending score.

    Equal scores stay in the order of the classes.

    Args:
        matches: The matches of each class; at least one class.

    Returns:
        The matches of all classes as those of one.
    """
    scores = np.concatenate([of_class.scores for of_class in matches])
    is_right = np.concatenate([of_class.is_right for of_class in matches])
    order = np.argsort(-scores, kind='stable')
    num_truth = sum(of_class.num_truth for of_class in matches)
    return ClassMatches(scores[order], is_right[order], num_truth)
