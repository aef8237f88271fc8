"""Judges views and a merger by the detections that they give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from mmdet.registry import TASK_UTILS

from ...label_files.coco.matching import (
    ImageMatches,
    find_image_ids,
    make_results,
    match_images,
)
from ...label_files.coco.reading import read_truth
from ...multi_view.inference.view_boxes import ViewBoxes
from ...multi_view.merging.mergers import Merger
from ...multi_view.views.view import View
from ..annotation.merging_again import iter_rows, merge_views
from ..detections.store import DetectionStore
from ..quality.bootstrap import compute_mean_ap

# Half of the IoUs of COCO's mAP, which takes half the time.
IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Choice:
    """Views and a merger.

    Args:
        numbers: The numbers of the views, counted from 0, ascending.
        merger: The name of the merger among those of the judge.
    """

    numbers: tuple[int, ...]
    merger: str


@dataclass(frozen=True)
class Trial:
    """A choice, and what it found on the validation images.

    Args:
        choice: The views and the merger.
        cost: The number of pixels of the views of an image, on average; see
            `Judge.cost`.
        matches: The detections, matched with the truth at `IOUS`. The m images
            are those of the judge, by ascending id in the truth.
    """

    choice: Choice
    cost: float
    matches: ImageMatches

    def mean_ap(self, weights: np.ndarray) -> np.ndarray:
        """Compute the mAP for draws of images; see `compute_mean_ap`.

        Args:
            weights: Shape (k, m), how often each draw has each of the m
                images, in the order of the matches.

        Returns:
            Shape (k,), from 0 to 1.
        """
        return compute_mean_ap(self.matches, weights)


class Judge:
    """Tries views and mergers on the stored boxes of validation images.

    Args:
        detections: The folder of a store with the boxes of all candidate
            views on the validation images.
        truth: The COCO file of the validation images.
        mergers: The configs of the mergers, by name.

    Attributes:
        rows: What the store says of each image that was read, and its boxes;
            of several such rows of an image, the last one.
        configs: The same as `mergers`.

    Raises:
        StoreError: If the store has no detections, a damaged shard, or no
            boxes of views.
        CocoError: If the truth cannot be used.
        FileNotFoundError: If there is no such file.
        KeyError: If the type of a merger is not registered.
        ValueError, TypeError: If an argument of a merger is out of range, or
            unknown.
    """

    def __init__(
        self,
        detections: Path,
        truth: str | Path,
        mergers: Mapping[str, dict],
    ) -> None:
        self.store = DetectionStore(detections)
        self.truth_file = truth
        self.truth = read_truth(truth)
        # By name, since two runs may have done an image at the same time.
        # The store keeps images that were taken out of the truth since.
        known = {image['file_name'] for image in self.truth['images']}
        by_name = {
            row['file_name']: (row, boxes)
            for table in self.store.iter_views()
            for row, boxes in iter_rows(table)
            if row['unreadable'] is None and row['file_name'] in known
        }
        self.rows: list[tuple[dict, ViewBoxes]] = list(by_name.values())
        self.configs = dict(mergers)
        self.mergers: dict[str, Merger] = {
            name: TASK_UTILS.build(config) for name, config in mergers.items()
        }
        # A choice is matched once on all images. Draws and parts of the images
        # only weigh the matches.
        self._tried: dict[Choice, Trial] = {}

    def try_choice(self, choice: Choice) -> Trial:
        """Try a choice; if it was tried before, return that trial.

        Args:
            choice: The views and the merger.

        Returns:
            The trial, with its cost and its matches with the truth.

        Raises:
            CocoError: If the truth lacks an image or the class of a detection.
            IndexError: If there is no view of a number of the choice.
            KeyError: If there is no merger of its name.
        """
        if choice not in self._tried:
            self._tried[choice] = Trial(
                choice, self.cost(choice.numbers), self._match(choice)
            )
        return self._tried[choice]

    def cost(self, numbers: Sequence[int]) -> float:
        """Return what annotation with some views costs.

        Args:
            numbers: The numbers of the views, counted from 0.

        Returns:
            The number of pixels that an image has in all views together, on
            average over the images that were read; NaN if there is none. Views
            that look the same count once. If the pipeline makes the views, it
            is the number of views.

        Raises:
            IndexError: If there is no view of such a number.
        """
        pixels = []
        for (_, boxes), of_view in zip(self.rows, self._pixels, strict=True):
            # Of views that look the same, one is left.
            ran = {boxes.run_index[n]: of_view[n] for n in numbers}
            pixels.append(sum(ran.values()))
        return float(np.mean(pixels))

    @cached_property
    def _pixels(self) -> list[list[int]]:
        """The number of pixels of each view of each image."""
        views = self.store.require_provenance()['views']
        if views is None:
            # Of views that the pipeline made, only the number is known.
            # One list, shared by all images: nothing changes it.
            return [[1] * len(self.list_views())] * len(self.rows)
        made = [View(view) for view in views]
        originals_hw = [(row['height'], row['width']) for row, _ in self.rows]
        return [
            [math.prod(view.size_hw(size_hw)) for view in made]
            for size_hw in originals_hw
        ]

    def list_views(self) -> list[list[dict]]:
        """List the configs of all views.

        Returns:
            The transforms of each view, in order; for one that the pipeline
            made, only its number as a `type`.

        Raises:
            StoreError: If the store has no provenance.
            ValueError: If the pipeline made the views, and no image was read.
        """
        if views := self.store.require_provenance()['views']:
            return views
        num_views = max(len(boxes.run_index) for _, boxes in self.rows)
        return [[dict(type=number)] for number in range(num_views)]

    def _match(self, choice: Choice) -> ImageMatches:
        """Merge, and match the detections with the truth."""
        merger = self.mergers[choice.merger]
        rows = [
            dict(row, **merge_views(boxes, merger, choice.numbers))
            for row, boxes in self.rows
        ]
        found = make_results(rows, self.truth, self.truth_file)
        image_ids = find_image_ids(rows, self.truth, self.truth_file)
        return match_images(self.truth, found, image_ids, IOUS)
