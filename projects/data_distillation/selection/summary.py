"""What a selection looks like to people: a table, and what to look at."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table
from scipy.stats import ks_2samp

from ..coco.boxes import MIN_SIDE
from ..coco.matching import ClassMatches
from ..detections.columns import Detections
from ..text import format_table
from .rules import Selection
from .selectors import LabeledCounts

# Pseudo instances per image, times those of the labeled images, from which
# the two are far apart.
FAR_APART = 2.0


# The Kolmogorov-Smirnov distance from which score distributions differ, if
# chance would give as much less often than MAX_CHANCE.
MAX_DISTANCE = 0.2


MAX_CHANCE = 1e-3


def report(
    detections: Detections,
    selection: Selection,
    labeled: LabeledCounts,
    validation: Sequence[ClassMatches] | None,
    unreadable: Sequence[dict],
    out_file: Path,
) -> str:
    """Describe a selection for people.

    Args:
        detections: All detections.
        selection: What became of them.
        labeled: The counts of the labeled file.
        validation: Of each class, the validation images' detections.
        unreadable: `file_name` and reason of the images without detections.
        out_file: Where the pseudo labels are.

    Returns:
        A table with a line per class, warnings, and what was left out.
    """
    kept = counts_by_class(detections, selection.is_selected, labeled)
    ignored = counts_by_class(detections, selection.is_ignored, labeled)
    warnings = [
        *count_warnings(kept, selection.num_images, labeled),
        *distribution_warnings(selection, labeled, validation),
        *unreadable_warning(unreadable),
    ]
    return '\n'.join(
        [
            format_table(table_of(selection, labeled, kept, ignored)),
            *(f'warning: {text}' for text in warnings),
            *left_out(selection),
            f'{kept.sum():,} of {len(detections):,} detections on '
            f'{selection.num_images:,} images became pseudo labels: '
            f'{out_file}',
        ]
    )


def counts_by_class(
    detections: Detections, chosen: np.ndarray, labeled: LabeledCounts
) -> np.ndarray:
    """Count the chosen detections (a mask) of each class."""
    return np.bincount(
        detections.labels[chosen], minlength=len(labeled.classes)
    )


def table_of(
    selection: Selection,
    labeled: LabeledCounts,
    kept: np.ndarray,
    ignored: np.ndarray,
) -> Table:
    """Make the table with a line per class.

    Args:
        selection: The selection.
        labeled: The counts of the labeled file.
        kept: Shape (number of classes,), the pseudo labels.
        ignored: The same for regions to ignore.
    """
    table = Table('class', title='Pseudo labels')
    for heading in ('labeled / image', 'pseudo / image', 'min_score', 'kept'):
        table.add_column(heading, justify='right')
    if selection.ignore_scores is not None:
        table.add_column('ignored', justify='right')
    for name, num_labeled, num_kept, min_score, num_ignored in zip(
        labeled.classes,
        labeled.num_instances,
        kept,
        selection.min_scores,
        ignored,
        strict=True,
    ):
        cells = [
            f'{num_labeled / labeled.num_images:.2f}',
            f'{num_kept / selection.num_images:.2f}',
            f'{min_score:.3f}' if np.isfinite(min_score) else '-',
            f'{num_kept:,}',
            f'{num_ignored:,}',
        ]
        table.add_row(name, *cells[: len(table.columns) - 1])
    return table


def left_out(selection: Selection) -> Iterator[str]:
    """Say what was left out before and after the scores were looked at."""
    if selection.num_thin:
        yield (
            f'{selection.num_thin:,} detections were thinner than '
            f'{MIN_SIDE:g} pixel and left out'
        )
    for name, number in selection.num_stopped.items():
        yield f'{number:,} detections were stopped by {name}'
    yield (
        f'{selection.num_empty:,} of {selection.num_images:,} images have no '
        f'pseudo label; {selection.num_dropped:,} of them were dropped'
    )


def count_warnings(
    kept: np.ndarray, num_images: int, labeled: LabeledCounts
) -> Iterator[str]:
    """Warn of classes without labels, and of far too few or many.

    Args:
        kept: Shape (number of classes,), the pseudo labels.
        num_images: How many unlabeled images were read.
        labeled: The counts of the labeled file.
    """
    per_image = labeled.num_instances / labeled.num_images
    for name, number, expected in zip(
        labeled.classes, kept, per_image * num_images, strict=True
    ):
        if not number:
            yield f'no pseudo label of class {name!r}'
        elif not expected / FAR_APART <= number <= expected * FAR_APART:
            yield (
                f'{number:,} pseudo labels of class {name!r}: as many per '
                f'image as labeled ones would be {expected:,.0f}'
            )


def distribution_warnings(
    selection: Selection,
    labeled: LabeledCounts,
    validation: Sequence[ClassMatches] | None,
) -> Iterator[str]:
    """Warn where a class scores differently on the validation images.

    Its precision there then says little about the unlabeled images, and
    neither does its labeled count.

    Args:
        selection: The selection.
        labeled: The counts of the labeled file.
        validation: Of each class, the validation images' detections.
    """
    if validation is None:
        return
    by_class = selection.found.by_class(len(labeled.classes))
    for name, scores, matches in zip(
        labeled.classes, by_class, validation, strict=True
    ):
        if not (len(scores) and len(matches.scores)):
            continue
        test = ks_2samp(matches.scores, scores)
        if test.statistic >= MAX_DISTANCE and test.pvalue < MAX_CHANCE:
            yield (
                f'scores of class {name!r} differ between the validation '
                f'images (median {np.median(matches.scores):.2f}) and the '
                f'unlabeled ones ({np.median(scores):.2f}): are these images '
                'of the same kind?'
            )


def unreadable_warning(unreadable: Sequence[dict]) -> Iterator[str]:
    """Warn if images could not be read."""
    if unreadable:
        yield (
            f'{len(unreadable):,} images could not be read, the first is '
            f'{unreadable[0]["file_name"]} ({unreadable[0]["unreadable"]}); '
            'all are in its `info`'
        )
