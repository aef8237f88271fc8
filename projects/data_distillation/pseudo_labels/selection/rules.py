"""Selection rules: what becomes a pseudo label or a region to ignore."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mmdet.registry import TASK_UTILS

from ...arguments import check_is_one_of, check_score
from ...label_files.coco.contents import check_classes
from ...label_files.coco.matching import (
    RIGHT_IOU,
    ClassMatches,
    match_detections,
)
from ...label_files.coco.reading import CocoError, read_coco
from ..detections.columns import (
    Detections,
    flatten_table,
    keep_listed,
    keep_readable,
)
from ..detections.store import DetectionStore
from .box_calibration import check_box_calibration, refuse_masks
from .filters import build_filters, choose_regions, find_valid
from .labeled_counts import name_counted
from .option_table import SEGMENTATIONS
from .picking import (
    find_best_scores,
    find_images_with,
    is_at_least,
    keep_elements,
)
from .selectors import Candidates, LabeledCounts, Selector


@dataclass(frozen=True)
class Selection:
    """The decision on n detections and on the m images that hold them.

    Args:
        min_scores: The lowest score of a pseudo label of each class, shape
            (number of classes,), float32; infinite if nothing was wanted.
        ignore_scores: The lowest score of a region to ignore of each class,
            of the same shape; None if the rules have no regions.
        is_selected: Whether each detection is a pseudo label, shape (n,),
            bool.
        is_ignored: Whether each detection is a region to ignore, shape (n,),
            bool.
        keeps_image: Whether each image goes into the file, shape (m,), bool;
            False for images that could not be read.
        num_images: The number of images that were read.
        num_empty: The number of these that have no pseudo label.
        num_thin: The number of detections that were thinner than `MIN_SIDE`.
        num_maskless: The number of other detections that have no mask, if
            detections have masks.
        num_stopped: The number of other detections that each filter stopped.
        found: The detections that passed all filters.
    """

    min_scores: np.ndarray
    ignore_scores: np.ndarray | None
    is_selected: np.ndarray
    is_ignored: np.ndarray
    keeps_image: np.ndarray
    num_images: int
    num_empty: int
    num_thin: int
    num_maskless: int
    num_stopped: dict[str, int]
    found: Candidates

    @property
    def num_dropped(self) -> int:
        """The number of images without a pseudo label that were left out."""
        return self.num_images - int(self.keeps_image.sum())


class SelectionRules:
    """Decides what becomes of each detection.

    Boxes that are thinner than `MIN_SIDE` are dropped. If detections have
    masks, those without one are dropped too: MMDetection cannot read a file in
    which some objects have no segmentation. A detection that passes all
    filters and whose score is at least the `min_score` of its class becomes a
    pseudo label. With `ignore`, a second selector chooses a lower score for
    each class. Detections that are not labels but have at least this score
    become regions to ignore (`iscrowd: 1`), even if a filter stopped them, but
    not if they cover more than half of a label. To the student they are
    neither object nor background, see `IgnoreRegionsHook`.

    Args:
        selector: The config of a selector, see `selectors.py`; None for
            `MatchedSelector`.
        filters: The configs of the filters, see `filters.py`.
        ignore: The config of the selector of the lower score; None for no
            regions.
        max_empty_share: The largest share of the images in the file that may
            have no pseudo label, in [0, 1]. If there are more, those images
            stay whose best detection has the lowest score, because they are
            most surely empty. 1 keeps all of them, 0 none.
        validation: Labeled images that went through the same teacher, views
            and merger, as `dict(detections=FOLDER, ann_file=TRUTH)`.
            `PrecisionSelector` and `calibrates_boxes` need them, and a warning
            tells if the scores there differ. None if there are no such images.
        counted: The COCO files of other images with labels, such as the
            validation images. Their instances count like those of the labeled
            file, so that the rates to match are known better.
        counts_empty: Whether images of the labeled file without any annotation
            count. They do not if training leaves them out
            (`filter_empty_gt`), since nobody may have annotated them yet.
        segmentation: How masks are written, if there are any: 'rle', or
            'polygon' for a student whose pipeline has `poly2mask=False`, with
            which MMDetection ignores RLE and says nothing. None for what the
            training pipeline of the annotation's config reads.
        calibrates_boxes: Whether the boxes are calibrated by the true boxes of
            the `validation` images, see `BoxCalibration`. Boxes of masks
            cannot be.

    Raises:
        ValueError: If a number is out of range, `segmentation` is unknown, or
            there is no validation to calibrate boxes by.
        KeyError, TypeError: If a type or one of its arguments is unknown or
            missing.
    """

    def __init__(
        self,
        selector: dict | None = None,
        filters: Sequence[dict] = (),
        ignore: dict | None = None,
        max_empty_share: float = 1.0,
        validation: dict | None = None,
        counted: Sequence[str] = (),
        counts_empty: bool = True,
        segmentation: str | None = None,
        calibrates_boxes: bool = False,
    ) -> None:
        check_box_calibration(calibrates_boxes, validation)
        check_score('max_empty_share', max_empty_share)
        if segmentation is not None:
            check_is_one_of('segmentation', segmentation, SEGMENTATIONS)
        self.config = dict(
            selector=selector or dict(type='MatchedSelector'),
            filters=list(filters),
            ignore=ignore,
            max_empty_share=max_empty_share,
            validation=validation,
            counted=list(counted),
            counts_empty=counts_empty,
            segmentation=segmentation,
            calibrates_boxes=calibrates_boxes,
        )
        self.selector: Selector = TASK_UTILS.build(self.config['selector'])
        self.filters = build_filters(filters)
        self.ignore: Selector | None = (
            TASK_UTILS.build(ignore) if ignore else None
        )
        self.max_empty_share = max_empty_share
        self.validation = validation
        self.counted = counted
        self.counts_empty = counts_empty
        self.segmentation = segmentation
        self.calibrates_boxes = calibrates_boxes

    def count(self, labeled: LabeledCounts) -> LabeledCounts:
        """Add the counts of the `counted` files to those of the labeled file.

        Args:
            labeled: The counts of the labeled file.

        Returns:
            The sum of all files; without images that have no annotation,
            unless `counts_empty`.

        Raises:
            FileNotFoundError: If a file does not exist.
            CocoError: If a file cannot be used, or has other classes.
        """
        if not self.counts_empty:
            labeled = labeled.without_empty()
        for file in self.counted:
            coco = read_coco(file, 'images', 'annotations', 'categories')
            check_classes(labeled.classes, coco['categories'], file)
            labeled += LabeledCounts.of(coco)
        return replace(labeled, name=name_counted(self.config))

    def check(self, provenance: dict, labeled: LabeledCounts) -> None:
        """Check, before any inference, that the selection will not fail.

        Args:
            provenance: The provenance that the detections will have.
            labeled: The counts of the labeled file.

        Raises:
            TypeError: If the configs cannot be written to a JSON file.
            ValueError, FileNotFoundError: If a selector cannot choose, boxes
                are to be calibrated though there are masks, or a counted file
                or the validation cannot be used.
        """
        # It goes into the file of labels, which is written hours later.
        json.dumps(self.config)
        refuse_masks(self.calibrates_boxes, 'segmentation' in provenance)
        # What a selector lacks, it lacks without a detection, too.
        nothing = Candidates(np.empty(0, np.float32), np.empty(0, int), 0)
        labeled = self.count(labeled)
        validation = self.match_validation(provenance, labeled)
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
            detections: All n detections, by image, then by descending score.
            is_read: Whether each of the m images could be read, shape (m,),
                bool.
            labeled: The result of `count`.
            validation: The result of `match_validation`, which may be None.

        Returns:
            The decision on each detection and each image.

        Raises:
            CocoError: If there are detections of more classes than labeled.
            ValueError: If a selector cannot choose, or a filter lacks masks.
        """
        check_detected_classes(detections, labeled)
        is_thick, is_valid = find_valid(detections)
        num_stopped, passes = self._filter(detections, is_valid)
        found = Candidates(
            detections.scores[passes],
            detections.labels[passes],
            int(is_read.sum()),
        )
        min_scores = self.selector.choose(found, labeled, validation)
        is_selected = passes & is_at_least(min_scores, detections)
        ignore_scores, is_ignored = None, np.zeros_like(is_selected)
        # Filters stop a label, but not a region to ignore: what is doubtful is
        # no background either.
        if self.ignore:
            ignore_scores = self.ignore.choose(found, labeled, validation)
            is_ignored = is_valid & is_at_least(ignore_scores, detections)
            is_ignored = choose_regions(detections, is_ignored, is_selected)
        is_empty = is_read & ~find_images_with(
            detections, is_selected, len(is_read)
        )
        surplus = self._find_surplus(detections, is_empty, is_read)
        keeps_image = is_read & ~surplus
        return Selection(
            min_scores=min_scores,
            ignore_scores=ignore_scores,
            is_selected=is_selected,
            is_ignored=is_ignored & keeps_image[detections.image_index],
            keeps_image=keeps_image,
            num_images=found.num_images,
            num_empty=int(is_empty.sum()),
            num_thin=int((~is_thick).sum()),
            num_maskless=int((is_thick & ~is_valid).sum()),
            num_stopped=num_stopped,
            found=found,
        )

    def _filter(
        self, detections: Detections, is_valid: np.ndarray
    ) -> tuple[dict[str, int], np.ndarray]:
        """Filter the detections.

        Args:
            detections: All n detections.
            is_valid: Whether each of them can be written, shape (n,), bool.

        Returns:
            How many valid ones each filter stopped, and whether each detection
            is valid and passes all filters.
        """
        passes, num_stopped = is_valid, {}
        for name, each in self.filters.items():
            passes_this = each(detections)
            num_stopped[name] = int((is_valid & ~passes_this).sum())
            passes = passes & passes_this  # `&=` would change `is_valid`
        return num_stopped, passes

    def _find_surplus(
        self, detections: Detections, is_empty: np.ndarray, is_read: np.ndarray
    ) -> np.ndarray:
        """Find the empty images that `max_empty_share` does not allow."""
        if self.max_empty_share == 1:
            return np.zeros_like(is_empty)
        empty = np.flatnonzero(is_empty)
        num_labeled = is_read.sum() - len(empty)
        share = self.max_empty_share
        # The small addition is needed because 0.2 / 0.8 * 80 gives less than
        # 20 in floating point.
        num_kept = int(num_labeled * share / (1 - share) + 1e-6)
        best_first = np.argsort(
            -find_best_scores(detections, len(is_empty))[empty], kind='stable'
        )
        surplus = np.zeros_like(is_empty)
        surplus[empty[best_first[: max(len(empty) - num_kept, 0)]]] = True
        return surplus

    def match_validation(
        self, provenance: dict, labeled: LabeledCounts
    ) -> list[ClassMatches] | None:
        """Match the detections of the validation images with their truth.

        Args:
            provenance: The provenance of the unlabeled images' detections.
            labeled: The counts of the labeled file, whose classes the truth
                must have too.

        Returns:
            The matched detections of each class that pass the filters; None
            without `validation`.

        Raises:
            FileNotFoundError: If the file of the truth is missing.
            CocoError: If the truth cannot be used or has other classes.
            StoreError: If there are no whole detections, or another teacher,
                other views or another merger made them.
            ValueError: If a filter needs masks, and there are none.
        """
        if not self.validation:
            return None
        truth = self.validation['ann_file']
        coco = read_coco(truth, 'images', 'categories')
        check_classes(labeled.classes, coco['categories'], truth)
        store = DetectionStore(self.validation['detections'])
        store.check_same_teacher(provenance)
        table = keep_listed(keep_readable(store.read()), coco)
        return match_detections(self.filter_rows(table), truth, RIGHT_IOU)

    def find_candidates(self, table: pa.Table) -> np.ndarray:
        """Find the detections that may become labels; see `filter_rows`.

        Args:
            table: The rows of images that were read, with `shards.SCHEMA`.

        Returns:
            Shape (number of detections,), bool, in the order of the rows.

        Raises:
            ValueError: If a filter needs masks, and there are none.
        """
        detections = flatten_table(table)
        return self._filter(detections, find_valid(detections)[1])[-1]

    def filter_rows(self, table: pa.Table) -> Iterator[dict]:
        """Yield the rows of a table with only what may become a label.

        Args:
            table: The rows of images that were read, with `shards.SCHEMA`.

        Yields:
            Each row as a dict, without the detections that are thin, have no
            mask though others have one, or that a filter stops.

        Raises:
            ValueError: If a filter needs masks, and there are none.
        """
        if not len(table):
            return
        passes = self.find_candidates(table)
        lengths = pc.list_value_length(table['scores']).to_numpy()
        of_images = np.split(passes, np.cumsum(lengths)[:-1])
        for row, keep in zip(table.to_pylist(), of_images, strict=True):
            yield {
                name: keep_elements(value, keep) for name, value in row.items()
            }


def check_detected_classes(
    detections: Detections, labeled: LabeledCounts
) -> None:
    """Check that the detections are of the classes of the labeled file.

    Args:
        detections: The detections; none is fine.
        labeled: The counts of the labeled file.

    Raises:
        CocoError: If there is a detection of another class.
    """
    highest = detections.labels.max(initial=0)
    if highest >= len(labeled.classes):
        raise CocoError(
            f'the labeled file has {len(labeled.classes)} categories, but '
            f'there are detections of class number {highest} (counted from '
            '0): take the file that the teacher was trained on'
        )
