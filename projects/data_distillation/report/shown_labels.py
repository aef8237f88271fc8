"""The labels that a report shows: stored detections, and their `min_score`.

They are compared with the truth, by image and by score. All detections stay
columns; only samples become Python objects.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from mmengine.config import Config

from ..label_files.coco.contents import check_classes
from ..label_files.coco.matching import (
    RIGHT_IOU,
    find_image_ids,
    make_results,
    match_images,
)
from ..label_files.coco.reading import read_labeled
from ..label_files.column_matching.numbering import Numbering
from ..pseudo_labels.detections.columns import (
    Detections,
    flatten_table,
    keep_readable,
)
from ..pseudo_labels.detections.store import StoreError
from ..pseudo_labels.quality.label_quality import Quality, judge_classes
from ..pseudo_labels.selection.coco_writer import (
    PSEUDO_LABELS,
    keep_selected,
    read_origin,
)
from ..pseudo_labels.selection.export import (
    open_store,
    read_rules,
    read_wanted,
)
from ..pseudo_labels.selection.labeled_counts import name_counted
from ..pseudo_labels.selection.rules import Selection, SelectionRules
from ..pseudo_labels.selection.selectors import LabeledCounts

# If there are more images, only a sample is matched with the truth, because
# matching needs Python objects.
MAX_EVALUATED = 2_000
# The score with which the report starts if nothing has been selected yet.
START_SCORE = 0.5
# The scores for which the page knows the counts: 0, 0.01, ..., 1.
GRID = np.arange(101) / 100


@dataclass(frozen=True)
class LabelSource:
    """The files from which a report takes its labels.

    Args:
        detections: The folder of the detection store.
        pseudo_labels: The file of pseudo labels, which may not exist yet.
        labeled: The COCO file of the labeled images.
        truth: The COCO file of the true objects of the unlabeled images; None
            if they are unknown.
        images: The COCO file of the images to show; None to show all that are
            stored.
    """

    detections: Path
    pseudo_labels: Path
    labeled: str
    truth: str | None = None
    images: Path | None = None


def find_labels(annotate: Config, folder: Path) -> LabelSource:
    """Name the files of the labels that an annotation writes.

    Args:
        annotate: The config of the annotation.
        folder: The work folder of the annotation.

    Returns:
        The files, of which some may not exist yet.

    Raises:
        ValueError: If no hook names labeled images.
        KeyError: If the first that does names no `ann_file`.
    """
    return LabelSource(
        folder / 'detections',
        folder / PSEUDO_LABELS,
        find_labeled_set(annotate)['ann_file'],
        annotate.get('unlabeled_truth'),
    )


def find_labeled_set(annotate: Config) -> dict:
    """Find the labeled set that the annotation hook names.

    Args:
        annotate: The config of the annotation.

    Returns:
        The set of the first such hook, `dict(ann_file=..., img_prefix=...)`.

    Raises:
        ValueError: If no hook names labeled images.
    """
    for hook in annotate.get('custom_hooks') or ():
        if 'labeled' in hook:
            return hook['labeled']
    raise ValueError(
        f'a hook in custom_hooks of {annotate.filename} must name the labeled '
        'images (`labeled`), as AnnotationHook does; none does'
    )


@dataclass(frozen=True)
class StoredLabels:
    """The detections of all images that could be read, and the selection.

    Args:
        table: The rows of the detection store, without unreadable images.
        num_unreadable: The number of unreadable images.
        provenance: The provenance of the detections.
        origin: The `info.data_distillation` of the pseudo labels; empty if
            there are none yet.
        labeled: The counts of the labeled file.
        min_scores: Class name -> `min_score`; None if nothing of the class
            was selected.
        rules: The rules that select with these scores and with the filters of
            the pseudo labels.
        detections: The detections of the table.
        selection: The decision of the rules on each detection.
        num_left: The number of stored images that are left out, since the
            pseudo labels do not list them.
    """

    table: pa.Table
    num_unreadable: int
    provenance: dict
    origin: dict
    labeled: LabeledCounts
    min_scores: dict[str, float | None]
    rules: SelectionRules
    detections: Detections
    selection: Selection
    num_left: int = 0

    @property
    def num_labels(self) -> np.ndarray:
        """The number of labels of each class, shape (number of classes,)."""
        selected = self.detections.labels[self.selection.is_selected]
        return np.bincount(selected, minlength=len(self.min_scores))

    def divide_scores(self) -> list[np.ndarray]:
        """Divide the scores of what may become a label by class.

        These are detections of any score, see `SelectionRules.filter_rows`.

        Returns:
            For each class its scores, shape (n,), float32; empty for a class
            without any.
        """
        return self.selection.found.by_class(len(self.min_scores))

    def count_on_grid(self) -> list[list[int]]:
        """Count the labels of each class from each score of `GRID`.

        Returns:
            For each class a number for each score of the grid. The scores
            ascend, so the numbers do not grow.
        """
        # As the scores are: 0.3 in double precision is another number.
        grid = GRID.astype(np.float32)
        # It counts scores below each step, in O(n log n): a class may have
        # millions of scores. A score that equals a step is a label.
        return [
            (len(scores) - np.searchsorted(np.sort(scores), grid)).tolist()
            for scores in self.divide_scores()
        ]


def read_labels(source: LabelSource) -> StoredLabels:
    """Read stored detections, and the `min_score` of their selection.

    Args:
        source: The files of the labels.

    Returns:
        The detections and the selection. If there are no pseudo labels yet,
        the `min_score` of each class is `START_SCORE`.

    Raises:
        FileNotFoundError: If there are no detections, or if both the pseudo
            labels and the labeled file are missing.
        StoreError: If the detections cannot be read, or no image could be
            read.
        CocoError: If a file is broken, has other classes, or does not say how
            its pseudo labels were selected.
        KeyError, TypeError: If a filter has an unknown type or argument, or
            the file of pseudo labels lacks a number that the selection noted.
        ValueError: If a rule in the file of pseudo labels cannot be used.
    """
    store = open_store(source.detections)
    stored = store.read(read_wanted(source.images))
    table = keep_readable(stored)
    if not len(table):
        raise StoreError(
            f'none of {len(stored)} images in {source.detections} could be '
            'read: look up the reasons in the column `unreadable`'
        )
    origin = (
        read_origin(source.pseudo_labels)
        if source.pseudo_labels.is_file()
        else {}
    )
    listed = keep_selected(table, source.pseudo_labels, origin)
    labeled = read_labeled_counts(origin, source.labeled)
    min_scores = origin.get('min_scores') or dict.fromkeys(
        labeled.classes, START_SCORE
    )
    # The scores are not chosen again, so that the page shows the labels that
    # the selection has written, whatever has changed since.
    rules = SelectionRules(
        dict(type='FixedSelector', min_score=min_scores),
        read_rules(source.pseudo_labels)['filters'] if origin else (),
    )
    detections = flatten_table(listed)
    return StoredLabels(
        listed,
        len(stored) - len(table),
        store.require_provenance(),
        origin,
        labeled,
        min_scores,
        rules,
        detections,
        rules.apply(detections, np.ones(len(listed), bool), labeled),
        len(table) - len(listed),
    )


def read_labeled_counts(origin: dict, labeled_file: str) -> LabeledCounts:
    """Read the counts of the labeled file that the selection noted.

    Args:
        origin: The `info.data_distillation` of the pseudo labels; empty if
            there are none.
        labeled_file: The labeled file, which is counted if there are no
            pseudo labels.

    Returns:
        The counts, with the classes in their order.

    Raises:
        FileNotFoundError: If the labeled file is needed and missing.
        CocoError: If the labeled file cannot be used.
        KeyError: If the selection noted only a part.
    """
    noted = origin.get('labeled')
    if not noted:
        return LabeledCounts.of(read_labeled(labeled_file))
    by_class = noted['num_instances']
    return LabeledCounts(
        noted['num_images'],
        np.array([*by_class.values()]),
        tuple(by_class),
        name=name_counted(origin.get('selection', {})),
    )


def choose_judged(num_images: int) -> np.ndarray:
    """Choose the images whose labels are compared with the truth.

    Args:
        num_images: The number of images.

    Returns:
        Their indices, shape (m,), ascending: all of them, or `MAX_EVALUATED`
        at random, the same in each call.
    """
    order = np.random.default_rng(0).permutation(num_images)
    # Sorted, so that the rows stay in the order of the store.
    return np.sort(order[:MAX_EVALUATED])


def evaluate_labels(labels: StoredLabels, truth: dict, source: str) -> Quality:
    """Compare the labels of all images, or of a sample, with the truth.

    Args:
        labels: The detections and their `min_score` values.
        truth: A COCO object with the true objects.
        source: The file of the truth, for messages.

    Returns:
        The counts by class at an IoU of `RIGHT_IOU`, on the images of
        `choose_judged`. There are no metrics of the detections.

    Raises:
        CocoError: If the truth lacks an image, or has other classes.
    """
    check_classes(list(labels.min_scores), truth['categories'], source)
    table = labels.table.take(pa.array(choose_judged(len(labels.table))))
    rows = list(labels.rules.filter_rows(table))
    numbering = Numbering.of(
        find_image_ids(rows, truth, source), truth['categories']
    )
    classes = judge_classes(
        numbering.collect_objects(truth.get('annotations', ())),
        numbering.collect_found(make_results(rows, truth, source)),
        labels.min_scores,
        RIGHT_IOU,
    )
    return Quality(len(table), RIGHT_IOU, classes, detections={})


def count_wrong(labels: StoredLabels, truth: dict, source: str) -> np.ndarray:
    """Count the wrong labels and the missed objects of each image.

    Args:
        labels: The detections and their `min_score` values.
        truth: A COCO object with the true objects of these images, and with
            the classes of the labels in the same order.
        source: The file of the truth, for messages.

    Returns:
        Shape (number of images,), float. It is NaN where nothing is wrong, and
        for images that `choose_judged` leaves out. A label is right at an IoU
        of `RIGHT_IOU`, as pycocotools matches.

    Raises:
        CocoError: If the truth lacks an image or the class of a label.
        ValueError: If the truth has another number of classes.
    """
    chosen = choose_judged(len(labels.table))
    rows = list(labels.rules.filter_rows(labels.table.take(pa.array(chosen))))
    image_ids = find_image_ids(rows, truth, source)
    # A class without a `min_score` has no labels. Others are compared as they
    # are stored, in single precision, in which 0.3 is another number.
    lowest = {
        category['id']: np.inf if score is None else np.float32(score)
        for category, score in zip(
            truth['categories'], labels.min_scores.values(), strict=True
        )
    }
    selected = [
        one
        for one in make_results(rows, truth, source)
        if np.float32(one['score']) >= lowest[one['category_id']]
    ]
    matches = match_images(truth, selected, image_ids, [RIGHT_IOU])
    num = len(image_ids)
    is_right = matches.is_right[:, 0]
    num_right = np.bincount(matches.image_index[is_right], minlength=num)
    num_labels = np.bincount(matches.image_index, minlength=num)
    # Labels that are not right, plus objects that no label has found: a right
    # label is one of each.
    by_id = num_labels + matches.num_truth.sum(axis=1) - 2 * num_right
    wrong = np.full(len(labels.table), np.nan)
    # The matches are ordered by the ids of the images.
    wrong[chosen[np.argsort(image_ids)]] = by_id
    # NaN keeps an image out of the group of the gallery.
    wrong[wrong == 0] = np.nan
    return wrong


def count_right_on_grid(quality: Quality) -> list[dict]:
    """Count the right labels of each class from each score of `GRID`.

    Args:
        quality: The labels, matched with the truth.

    Returns:
        For each class, in order, `truth` (the number of objects), `right` and
        `found` (the numbers of right labels and of all labels from each score
        on), and `chosen` (both numbers at `min_score`).
    """
    counted = []
    for one in quality.classes.values():
        right, found = zip(*map(one.matches.count_from, GRID), strict=True)
        at = one.counts
        counted.append(
            dict(
                truth=at.num_truth,
                right=right,
                found=found,
                chosen=(at.num_right, at.num_labels),
            )
        )
    return counted
