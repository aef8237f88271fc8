"""Selection rules: which detections become labels, which regions to ignore."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mmdet.registry import TASK_UTILS

from ..arguments import check_score
from ..coco.boxes import MIN_SIDE
from ..coco.matching import ClassMatches, match_detections
from ..coco.reading import CocoError, check_classes, read_coco
from ..detections.columns import Detections, flatten
from ..detections.store import DetectionStore
from .filters import Filter, MinSide, covers_a_label
from .selectors import Candidates, LabeledCounts, Selector


@dataclass(frozen=True)
class Selection:
    """What was selected of n detections on m images.

    Args:
        min_scores: Shape (number of classes,), float32.
        ignore_scores: The same for regions to ignore; None: there are none.
        is_selected: Shape (n,), bool: the pseudo labels.
        is_ignored: Shape (n,), bool: the regions to ignore.
        keeps_image: Shape (m,), bool: the images of the file; those that could
            not be read are not.
        num_images: How many images were read.
        num_empty: How many of these have no pseudo label.
        num_thin: How many detections were thinner than `MIN_SIDE`.
        num_stopped: How many others each filter stopped.
        found: The detections that passed, from which to choose.
    """

    min_scores: np.ndarray
    ignore_scores: np.ndarray | None
    is_selected: np.ndarray
    is_ignored: np.ndarray
    keeps_image: np.ndarray
    num_images: int
    num_empty: int
    num_thin: int
    num_stopped: dict[str, int]
    found: Candidates

    @property
    def num_dropped(self) -> int:
        """How many images without a pseudo label were left out."""
        return self.num_images - int(self.keeps_image.sum())


class SelectionRules:
    """Decides what becomes of each detection.

    Boxes thinner than `MIN_SIDE` become nothing. Of those that pass all
    filters, the ones whose score is at least their class's `min_score` become
    pseudo labels. With `ignore`, what is no label but has at least the score
    that this second selector chooses, also if a filter stopped it, becomes a
    region to ignore (`iscrowd: 1`): neither object nor background to the
    student, see `IgnoreRegionsHook`. Regions that cover more than half of a
    label are left out.

    Args:
        selector: Config of a selector, see `selection.py`.
        filters: Configs of filters, see `filters.py`.
        ignore: Config of a selector for the lower score; None: no regions.
        max_empty_share: The largest share of images without a pseudo label
            in the file, in [0, 1]. If there are more, those stay whose best
            detection has the lowest score: they are empty most surely. 1
            keeps all, 0 none.
        validation: Labeled images that went through the same teacher, views
            and merger: `dict(detections=FOLDER, ann_file=TRUTH)`. For
            `PrecisionSelector` and for a warning where scores differ.

    Raises:
        ValueError: If a number is out of range.
        KeyError: If a type is not registered.
    """

    def __init__(
        self,
        selector: dict | None = None,
        filters: Sequence[dict] = (),
        ignore: dict | None = None,
        max_empty_share: float = 1.0,
        validation: dict | None = None,
    ) -> None:
        check_score('max_empty_share', max_empty_share)
        self.config = dict(
            selector=selector or dict(type='MatchedSelector'),
            filters=list(filters),
            ignore=ignore,
            max_empty_share=max_empty_share,
            validation=validation,
        )
        self.selector: Selector = TASK_UTILS.build(self.config['selector'])
        self.filters: dict[str, Filter] = {
            name_of(cfg): TASK_UTILS.build(cfg) for cfg in filters
        }
        self.ignore: Selector | None = (
            TASK_UTILS.build(ignore) if ignore else None
        )
        self.max_empty_share = max_empty_share
        self.validation = validation

    def check(self, provenance: dict, labeled: LabeledCounts) -> None:
        """Find before any inference what selection would fail on.

        Args:
            provenance: What makes the detections.
            labeled: The counts of the labeled file.

        Raises:
            TypeError: If the configs cannot be written to a JSON file.
            ValueError, FileNotFoundError: If a selector cannot choose, or the
                validation cannot be used.
        """
        json.dumps(self.config)
        nothing = Candidates(np.empty(0, np.float32), np.empty(0, int), 0)
        validation = self.validation_matches(provenance, labeled)
        for selector in filter(None, (self.selector, self.ignore)):
            selector.choose(nothing, labeled, validation)

    def apply(
        self,
        detections: Detections,
        is_read: np.ndarray,
        labeled: LabeledCounts,
        validation: Sequence[ClassMatches] | None = None,
    ) -> Selection:
        """Decide on all detections.

        Args:
            detections: All detections, by image.
            is_read: Shape (m,), bool, whether each image could be read.
            labeled: The counts of the labeled file.
            validation: See `validation_matches`.

        Returns:
            The selection.

        Raises:
            CocoError: If there are detections of more classes than labeled.
            ValueError: If a selector cannot choose.
        """
        check_labels(detections, labeled)
        is_thick, num_stopped, passes = self._filter(detections)
        found = Candidates(
            detections.scores[passes],
            detections.labels[passes],
            int(is_read.sum()),
        )
        min_scores = self.selector.choose(found, labeled, validation)
        is_selected = passes & is_at_least(min_scores, detections)
        ignore_scores, is_ignored = None, np.zeros_like(is_selected)
        if self.ignore:
            ignore_scores = self.ignore.choose(found, labeled, validation)
            is_ignored = is_thick & is_at_least(ignore_scores, detections)
            is_ignored = doubtful_regions(detections, is_ignored, is_selected)
        is_empty = is_read & ~is_in(detections, is_selected, len(is_read))
        keeps_image = is_read & ~self._surplus(detections, is_empty, is_read)
        return Selection(
            min_scores=min_scores,
            ignore_scores=ignore_scores,
            is_selected=is_selected,
            is_ignored=is_ignored & keeps_image[detections.image_index],
            keeps_image=keeps_image,
            num_images=found.num_images,
            num_empty=int(is_empty.sum()),
            num_thin=int((~is_thick).sum()),
            num_stopped=num_stopped,
            found=found,
        )

    def _filter(
        self, detections: Detections
    ) -> tuple[np.ndarray, dict[str, int], np.ndarray]:
        """Return what is not thin, the filters' counts, and what passes."""
        passes = is_thick = MinSide(MIN_SIDE)(detections)
        num_stopped = {}
        for name, each in self.filters.items():
            passes_this = each(detections)
            num_stopped[name] = int((is_thick & ~passes_this).sum())
            passes = passes & passes_this
        return is_thick, num_stopped, passes

    def _surplus(
        self, detections: Detections, is_empty: np.ndarray, is_read: np.ndarray
    ) -> np.ndarray:
        """Say which empty images are more than `max_empty_share` allows."""
        if self.max_empty_share == 1:
            return np.zeros_like(is_empty)
        empty = np.flatnonzero(is_empty)
        num_labeled = is_read.sum() - len(empty)
        share = self.max_empty_share
        # A hair more, since 0.2 / 0.8 * 80 comes out below 20.
        num_kept = int(num_labeled * share / (1 - share) + 1e-6)
        best_first = np.argsort(
            -best_scores(detections, len(is_empty))[empty], kind='stable'
        )
        surplus = np.zeros_like(is_empty)
        surplus[empty[best_first[: max(len(empty) - num_kept, 0)]]] = True
        return surplus

    def validation_matches(
        self, provenance: dict, labeled: LabeledCounts
    ) -> list[ClassMatches] | None:
        """Compare the validation images' detections with their truth.

        Args:
            provenance: What made the unlabeled images' detections.
            labeled: For the classes, which the truth must have too.

        Returns:
            Of each class the detections that pass the filters; None without
            `validation`.

        Raises:
            FileNotFoundError: If the truth is not there.
            CocoError: If the truth has other classes, or lacks an image.
            StoreError: If there are no detections, or something else made
                them.
        """
        if not self.validation:
            return None
        truth = self.validation['ann_file']
        categories = read_coco(truth, 'images', 'categories')['categories']
        check_classes(labeled.classes, categories, truth)
        store = DetectionStore(self.validation['detections'])
        store.check_same_teacher(provenance)
        table = store.read()
        table = table.filter(pc.is_null(table['unreadable']))
        return match_detections(self.passing_rows(table), truth)

    def passing_rows(self, table: pa.Table) -> Iterator[dict]:
        """Yield the rows of a store, without what may not become a label.

        Args:
            table: Of `shards.SCHEMA`, images that were read.
        """
        if not len(table):
            return
        passes = self._filter(flatten(table))[-1]
        lengths = pc.list_value_length(table['scores']).to_numpy()
        of_images = np.split(passes, np.cumsum(lengths)[:-1])
        for row, keep in zip(table.to_pylist(), of_images, strict=True):
            yield {
                name: compressed(value, keep) for name, value in row.items()
            }


def name_of(config: dict) -> str:
    """Write a filter's config as a call."""
    arguments = (f'{k}={v}' for k, v in config.items() if k != 'type')
    return f'{config["type"]}({", ".join(arguments)})'


def check_labels(detections: Detections, labeled: LabeledCounts) -> None:
    """Check that the detections are of the labeled file's classes.

    Raises:
        CocoError: If one is of none.
    """
    highest = detections.labels.max(initial=0)
    if highest >= len(labeled.classes):
        raise CocoError(
            f'the labeled file has {len(labeled.classes)} categories, got '
            f'detections of class number {highest}: is it the file that the '
            'teacher was trained on?'
        )


def compressed(value: object, keep: np.ndarray) -> object:
    """Leave out the elements that are not kept; what is no list stays."""
    if not isinstance(value, list):
        return value
    return [one for one, kept in zip(value, keep, strict=True) if kept]


def is_at_least(min_scores: np.ndarray, detections: Detections) -> np.ndarray:
    """Say which detections have at least the score of their class."""
    return detections.scores >= min_scores[detections.labels]


def doubtful_regions(
    detections: Detections, is_wanted: np.ndarray, is_selected: np.ndarray
) -> np.ndarray:
    """Leave out of the regions to ignore what is, or covers, a label."""
    wanted = np.flatnonzero(is_wanted & ~is_selected)
    selected = np.flatnonzero(is_selected)
    covers = covers_a_label(detections, wanted, selected)
    is_ignored = np.zeros_like(is_wanted)
    is_ignored[wanted[~covers]] = True
    return is_ignored


def is_in(
    detections: Detections, chosen: np.ndarray, num_images: int
) -> np.ndarray:
    """Say which images have a chosen detection."""
    has_one = np.zeros(num_images, bool)
    has_one[detections.image_index[chosen]] = True
    return has_one


def best_scores(detections: Detections, num_images: int) -> np.ndarray:
    """Return each image's highest score; 0 if nothing was detected."""
    best = np.zeros(num_images, np.float32)
    # The first of an image is its best.
    images, first = np.unique(detections.image_index, return_index=True)
    best[images] = detections.scores[first]
    return best
