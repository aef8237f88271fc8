"""The summary of a selection for the user: a table, and warnings."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.table import Table
from scipy.stats import ks_2samp

from ...label_files.coco.matching import ClassMatches
from ...label_files.coco.schema import MIN_SIDE
from ...text import format_table
from ..detections.columns import Detections
from .rules import Selection
from .selectors import LabeledCounts

# The numbers of pseudo and of labeled instances per image are far apart if one
# is more than this many times the other.
FAR_APART = 2.0
# Two distributions of scores differ if their Kolmogorov-Smirnov distance is at
# least this, and if the probability of such a distance by chance is below
# MAX_CHANCE.
MAX_DISTANCE = 0.2
MAX_CHANCE = 1e-3
# The largest number of detections that mergers keep by default.
MAX_PER_IMG = 100


def summarize_selection(
    detections: Detections,
    selection: Selection,
    labeled: LabeledCounts,
    validation: Sequence[ClassMatches] | None,
    unreadable: Sequence[dict],
    max_per_img: int | None = None,
) -> str:
    """Summarize a selection for the user.

    Args:
        detections: All detections.
        selection: The decision on each detection and each image.
        labeled: What counts as labeled, see `SelectionRules.count`.
        validation: The matched detections of each class on the validation
            images; None if there are none.
        unreadable: The `file_name` and the reason (`unreadable`) of each image
            that could not be read.
        max_per_img: The largest number of detections that the merger keeps of
            an image; None if it is not known.

    Returns:
        A table with a line per class, the warnings, what was left out, and the
        number of pseudo labels; lines without a line break at the end.
    """
    kept = count_by_class(detections, selection.is_selected, labeled)
    ignored = count_by_class(detections, selection.is_ignored, labeled)
    warnings = [
        *warn_of_ignored(labeled),
        *warn_of_counts(kept, selection.num_images, labeled),
        *warn_of_distributions(selection, labeled, validation),
        *warn_of_unreadable(unreadable),
        *warn_of_full_images(detections, selection, max_per_img),
    ]
    return '\n'.join(
        [
            format_table(make_table(selection, labeled, kept, ignored)),
            *(f'warning: {text}' for text in warnings),
            *describe_left_out(selection),
            f'{kept.sum():,} of {len(detections):,} detections on '
            f'{selection.num_images:,} images became pseudo labels',
        ]
    )


def warn_of_ignored(labeled: LabeledCounts) -> Iterator[str]:
    """Warn of labeled objects that no training sees.

    Args:
        labeled: The counts of the labeled file.

    Yields:
        One line if there are any.
    """
    if labeled.num_ignored:
        yield (
            f'{labeled.num_ignored:,} labeled annotations have `ignore`. They '
            'do not count as labeled, because CocoDataset drops them: remove '
            '`ignore`, or write iscrowd 1 for a region to leave out'
        )


def count_by_class(
    detections: Detections, chosen: np.ndarray, labeled: LabeledCounts
) -> np.ndarray:
    """Count the chosen detections of each class.

    Args:
        detections: All n detections.
        chosen: Whether each detection is chosen, shape (n,), bool.
        labeled: The counts of the labeled file, which has the classes.

    Returns:
        The counts, shape (number of classes,), int64.
    """
    return np.bincount(
        detections.labels[chosen], minlength=len(labeled.classes)
    )


def make_table(
    selection: Selection,
    labeled: LabeledCounts,
    kept: np.ndarray,
    ignored: np.ndarray,
) -> Table:
    """Make the table with a line per class.

    Args:
        selection: The selection.
        labeled: The counts of the labeled file.
        kept: The number of pseudo labels of each class, shape (number of
            classes,).
        ignored: The number of regions to ignore of each class, of the same
            shape.

    Returns:
        The table, with the classes in the order of the categories.
    """
    table = Table('class', title='Pseudo labels')
    counted = f'{labeled.name} / image'
    for heading in (counted, 'pseudo / image', 'min_score', 'kept'):
        table.add_column(heading, justify='right')
    if selection.ignore_scores is not None:
        table.add_column('ignored', justify='right')
    for name, per_image, num_kept, min_score, num_ignored in zip(
        labeled.classes,
        labeled.per_image,
        kept,
        selection.min_scores,
        ignored,
        strict=True,
    ):
        cells = [
            f'{per_image:.2f}' if labeled.num_images else '-',
            f'{num_kept / selection.num_images:.2f}',
            f'{min_score:.3f}' if np.isfinite(min_score) else '-',
            f'{num_kept:,}',
            f'{num_ignored:,}',
        ]
        # The last cell has a column only if there are regions to ignore.
        table.add_row(name, *cells[: len(table.columns) - 1])
    return table


def describe_left_out(selection: Selection) -> Iterator[str]:
    """Say why detections or images were left out.

    Args:
        selection: The decision on each detection and each image.

    Yields:
        A line for each reason that applies; the last one, about images without
        labels, always.
    """
    if selection.num_thin:
        yield (
            f'{selection.num_thin:,} detections were left out because they '
            f'were thinner than {MIN_SIDE:g} pixel'
        )
    if selection.num_maskless:
        yield (
            f'{selection.num_maskless:,} detections were left out because '
            'they have no mask: their scores are below `masks.min_score`, or '
            'their views disagree'
        )
    for name, number in selection.num_stopped.items():
        yield f'{number:,} detections were stopped by {name}'
    yield (
        f'{selection.num_empty:,} of {selection.num_images:,} images have no '
        f'pseudo label; {selection.num_dropped:,} of them were dropped'
    )


def warn_of_counts(
    kept: np.ndarray, num_images: int, labeled: LabeledCounts
) -> Iterator[str]:
    """Warn of classes with no, very few or very many labels.

    Few or many are those that are more than `FAR_APART` times away from the
    labeled rate. Without labeled images, only classes with no label are known.

    Args:
        kept: The number of pseudo labels of each class, shape (number of
            classes,).
        num_images: The number of unlabeled images that were read.
        labeled: The counts of the labeled file.

    Yields:
        A line for each such class, in their order.
    """
    for name, number, expected in zip(
        labeled.classes, kept, labeled.per_image * num_images, strict=True
    ):
        if not number:
            yield f'class {name!r} has no pseudo label'
        elif not labeled.num_images:
            continue  # Nobody knows how many there should be.
        elif not expected / FAR_APART <= number <= expected * FAR_APART:
            yield (
                f'class {name!r} has {number:,} pseudo labels; at the rate of '
                f'the {labeled.name} images it would have {expected:,.0f}'
            )


def warn_of_distributions(
    selection: Selection,
    labeled: LabeledCounts,
    validation: Sequence[ClassMatches] | None,
) -> Iterator[str]:
    """Warn of classes that score differently in validation.

    The precision on the validation images then says little about the unlabeled
    images, and the number of labeled instances says little as well. Scores
    are compared by the Kolmogorov-Smirnov test, see `MAX_DISTANCE`.

    Args:
        selection: The selection.
        labeled: The counts of the labeled file.
        validation: The matched detections of each class on the validation
            images; None if there are none.

    Yields:
        A line for each such class, in their order. A class without detections
        on one of the sides is not judged.
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
                f'the scores of class {name!r} differ between the validation '
                f'images (median {np.median(matches.scores):.2f}) and the '
                f'unlabeled ones ({np.median(scores):.2f}): check that these '
                'images are of the same kind'
            )


def warn_of_unreadable(unreadable: Sequence[dict]) -> Iterator[str]:
    """Warn of images that could not be read.

    Args:
        unreadable: The `file_name` and the reason (`unreadable`) of each.

    Yields:
        One line if there are any.
    """
    if unreadable:
        yield (
            f'{len(unreadable):,} images could not be read, the first is '
            f'{unreadable[0]["file_name"]} ({unreadable[0]["unreadable"]}); '
            'the `info` of the file lists all of them'
        )


def warn_of_full_images(
    detections: Detections, selection: Selection, max_per_img: int | None
) -> Iterator[str]:
    """Warn of images that have more objects than the merger keeps.

    Args:
        detections: All detections.
        selection: The decision on each detection.
        max_per_img: The largest number of detections of an image; None if it
            is not known.

    Yields:
        One line if all detections of an image with so many became labels.
    """
    if max_per_img is None:
        return
    num = 1 + detections.image_index.max(initial=0)
    num_found = np.bincount(detections.image_index, minlength=num)
    selected = detections.image_index[selection.is_selected]
    num_labels = np.bincount(selected, minlength=num)
    is_full = (num_labels == num_found) & (num_found >= max_per_img)
    if is_full.any():
        yield (
            f'on {np.count_nonzero(is_full):,} images all {max_per_img} '
            'detections that the merger keeps became labels, so other objects '
            'on them have none: raise `max_per_img` of the merger in '
            'annotate.py, and that of the detector in `test_cfg`'
        )


def find_max_per_img(provenance: dict) -> int:
    """Find how many detections of an image the merger keeps.

    Args:
        provenance: The provenance of the detections.

    Returns:
        The number that its config says, or that of any merger by default.
    """
    merger = provenance.get('merger') or {}
    return merger.get('max_per_img', MAX_PER_IMG)
