"""The labels that a report shows: stored detections beside thresholds.

All detections are columns; Python objects are made of samples only.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..coco.matching import find_image_ids, make_results, match_boxes
from ..coco.reading import check_classes, read_coco
from ..detections.columns import Detections, flatten
from ..detections.store import DetectionStore, StoreError
from ..quality.label_quality import ClassQuality, Quality
from ..selection.coco_writer import read_origin
from ..selection.export import used_rules
from ..selection.rules import Selection, SelectionRules
from ..selection.selectors import LabeledCounts

# More are not matched with the truth, but sampled: it takes Python objects.
MAX_JUDGED = 2_000
# What the report begins with where nothing was selected yet.
START_SCORE = 0.5
# Thresholds whose counts the page knows: 0, 0.01, ..., 1.
GRID = np.arange(101) / 100
IOU = 0.5


@dataclass(frozen=True)
class LabelSource:
    """Where the labels of a report come from.

    Args:
        detections: The folder of the detection store.
        pseudo_labels: The file of pseudo labels; it need not be there yet.
        labeled: COCO file of the labeled images.
        truth: COCO file of the unlabeled images' true objects; None where it
            is not known.
        images: COCO file of the only images to look at; None for all stored.
    """

    detections: Path
    pseudo_labels: Path
    labeled: str
    truth: str | None = None
    images: Path | None = None

    def wanted(self) -> dict[str, int] | None:
        """Return name and id of the only images to look at; None for all."""
        if self.images is None:
            return None
        images = read_coco(self.images, 'images')['images']
        return {image['file_name']: image['id'] for image in images}


@dataclass(frozen=True)
class StoredLabels:
    """The detections of all images that were read, and what was selected.

    Args:
        table: The detection store's, without the images that were not read.
        num_unreadable: How many these are.
        provenance: What made the detections.
        origin: `info.data_distillation` of the pseudo labels; empty if there
            are none yet.
        labeled: The counts of the labeled file.
        min_scores: Of each class; None: nothing of it was selected.
        rules: Select by these scores, with the filters of the selection.
        detections: Of the table.
        selection: What the rules made of them.
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

    @property
    def num_labels(self) -> np.ndarray:
        """The pseudo labels of each class, shape (number of classes,)."""
        selected = self.detections.labels[self.selection.is_selected]
        return np.bincount(selected, minlength=len(self.min_scores))

    def scores_by_class(self) -> list[np.ndarray]:
        """Return the scores of what may become a label, by class."""
        return self.selection.found.by_class(len(self.min_scores))

    def counts_on_grid(self) -> list[list[int]]:
        """Count the labels of each class for each threshold of `GRID`."""
        grid = GRID.astype(np.float32)
        return [
            (len(scores) - np.searchsorted(np.sort(scores), grid)).tolist()
            for scores in self.scores_by_class()
        ]


def read_labels(source: LabelSource) -> StoredLabels:
    """Read stored detections and the thresholds they were selected with.

    Args:
        source: Where they are.

    Returns:
        All that a report needs.

    Raises:
        FileNotFoundError: If there are no detections, or neither pseudo
            labels nor the labeled file.
        StoreError: If detections cannot be read, or no image could be.
        CocoError: If a file is broken, or of other classes.
        KeyError: If a filter is of an unknown type.
    """
    store = DetectionStore(source.detections)
    if store.provenance is None:
        raise FileNotFoundError(
            f'no detections (*.parquet) in {source.detections}'
        )
    stored = store.read(source.wanted())
    table = stored.filter(pc.is_null(stored['unreadable']))
    if not len(table):
        raise StoreError(
            f'none of {len(stored)} images in {source.detections} was read'
        )
    origin = (
        read_origin(source.pseudo_labels)
        if source.pseudo_labels.is_file()
        else {}
    )
    labeled = labeled_counts(origin, source.labeled)
    min_scores = origin.get('min_scores') or dict.fromkeys(
        labeled.classes, START_SCORE
    )
    rules = SelectionRules(
        dict(type='FixedSelector', min_score=min_scores),
        used_rules(source.pseudo_labels)['filters'] if origin else (),
    )
    detections = flatten(table)
    return StoredLabels(
        table,
        len(stored) - len(table),
        store.provenance,
        origin,
        labeled,
        min_scores,
        rules,
        detections,
        rules.apply(detections, np.ones(len(table), bool), labeled),
    )


def labeled_counts(origin: dict, labeled_file: str) -> LabeledCounts:
    """Return the counts of the labeled file, as selection noted them.

    Args:
        origin: Of the pseudo labels; empty if there are none.
        labeled_file: Counted if there are none.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it cannot be used.
    """
    noted = origin.get('labeled')
    if not noted:
        return LabeledCounts.of(
            read_coco(labeled_file, 'images', 'annotations', 'categories')
        )
    by_class = noted['num_instances']
    return LabeledCounts(
        noted['num_images'], np.array([*by_class.values()]), tuple(by_class)
    )


def judge(labels: StoredLabels, truth: dict, source: str) -> Quality:
    """Match the detections of the images, or of a sample, with the truth.

    Args:
        labels: The detections and thresholds.
        truth: A COCO object with the true objects.
        source: Its file, for the message.

    Returns:
        The counts by class on up to `MAX_JUDGED` images, chosen at random,
        without metrics of the detections.

    Raises:
        CocoError: If the truth lacks an image, or has other classes.
    """
    check_classes(list(labels.min_scores), truth['categories'], source)
    table = labels.table
    if len(table) > MAX_JUDGED:
        random = np.random.default_rng(0)
        chosen = random.choice(len(table), MAX_JUDGED, replace=False)
        table = table.take(pa.array(np.sort(chosen)))
    rows = list(labels.rules.passing_rows(table))
    found = make_results(rows, truth, source)
    matches = match_boxes(
        truth, found, find_image_ids(rows, truth, source), IOU
    )
    classes = {
        name: ClassQuality(min_score, of_class)
        for (name, min_score), of_class in zip(
            labels.min_scores.items(), matches, strict=True
        )
    }
    return Quality(len(rows), IOU, classes, detections={})
