"""Keeps the masks of views, and merges those of one object.

```
test_step ──► cut to rectangles ──► supporters ──► mean of their ──► RLE
              MaskMerger.keep       one a view     masks, cut
```
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ...arguments import (
    check_at_least_1,
    check_is_fraction,
    check_is_one_of,
    check_score,
)
from ..views.masks import MaskPatch, cut_masks, find_extents
from ..views.transforms import Size
from ..views.view import View
from .mean_masks import HostMask, average_masks, copy_masks_to_host
from .view_batches import LoadedView, MadeView
from .view_boxes import FoundBoxes

# How many pixels a mask may be larger or smaller than its image. RTMDet-Ins
# rounds the sides.
SLACK = 2
BBOX_SOURCES = ('boxes', 'masks')


@dataclass(frozen=True)
class ViewMask:
    """A mask that was found on a view, in the pixels of its detector.

    Args:
        patch: The mask.
        view: The view.
    """

    patch: MaskPatch
    view: MadeView | LoadedView

    def return_to_original_image(self) -> MaskPatch:
        """Take the mask back to the original image.

        Returns:
            The mask, in pixels of the original image.
        """
        return self.view.invert_mask(self.patch)


@dataclass(frozen=True)
class MaskMerger:
    """Merges the masks that several views show of one object.

    Of the boxes of each view that have a mask, at most one supports a
    detection. A pixel is in the mask of the detection if the mean of the masks
    of these boxes, weighted by their scores, is at least `mask_thr_binary`
    there.

    Args:
        min_score: The score from which detections, and the boxes of views,
            have a mask, in [0, 1]. Detections below are not meant to become
            labels.
        max_per_img: The largest number of masks of an image, and of each of
            its views, at least 1. Those with the highest scores have one.
        bbox_from: 'boxes' if the boxes of detections are those that the merger
            of boxes gives; 'masks' if they are those around the masks.
        mask_thr_binary: What the mean must reach, above 0 and below 1. The
            mask that a view shows is cut there too, for the agreement of the
            views.

    Raises:
        ValueError: If an argument is out of range, or `max_per_img` is no
            integer.
        TypeError: If one of the numbers is no number.
    """

    min_score: float = 0.05
    max_per_img: int = 100
    bbox_from: str = 'boxes'
    mask_thr_binary: float = 0.5

    def __post_init__(self) -> None:
        check_score('min_score', self.min_score)
        check_at_least_1('max_per_img', self.max_per_img)
        check_is_one_of('bbox_from', self.bbox_from, BBOX_SOURCES)
        check_is_fraction('mask_thr_binary', self.mask_thr_binary)

    def choose(self, scores: Tensor) -> Tensor:
        """Choose the objects that have a mask.

        Args:
            scores: Shape (n,).

        Returns:
            Shape (number chosen,), int64: the indices of at most `max_per_img`
            with a score of at least `min_score`, by descending score. Equal
            scores keep their order.
        """
        # Not `topk`, which leaves open the order of equal scores.
        best = scores.argsort(descending=True, stable=True)[: self.max_per_img]
        return best[scores[best] >= self.min_score]

    def keep(
        self, view: MadeView | LoadedView, found: InstanceData
    ) -> InstanceData:
        """Keep the masks of a view of those objects that may become labels.

        Args:
            view: The view.
            found: What the detector gives: `bboxes` (shape (n, 4), xyxy in
                the pixels of `view.frame_hw`), `scores`, `labels` and `masks`
                (shape (n, h, w), bool, or uint8 if 255 stands for a
                probability of 1). It is not changed.

        Returns:
            The same `bboxes` (as float32), `scores` and `labels`, and `masks`,
            a list of n: a `ViewMask`, or None for an object that may not
            become a label. A box that has a mask, but no area (SOLO gives no
            others), becomes the box around its mask.

        Raises:
            ValueError: If an object may become a label, but there are no
                masks, or a side of them differs from `view.frame_hw` by more
                than `SLACK` pixels.
        """
        masks: list[ViewMask | None] = [None] * len(found)
        # `float` alone would share the memory, and boxes are replaced below.
        bboxes_xyxy = found.bboxes.float().clone()
        chosen = self.choose(found.scores)
        if len(chosen):
            every = fit_masks(take_masks(found), view.frame_hw)
            # Without a copy of those that are chosen.
            pixels = [every[index] for index in chosen.tolist()]
            for index, patch in zip(
                chosen.tolist(), cut_masks(pixels), strict=True
            ):
                masks[index] = ViewMask(patch, view)
            # SOLO and its relatives give boxes of zeros beside their masks.
            starts, ends = bboxes_xyxy.split(2, dim=1)
            has_area = (ends > starts).all(dim=1)[chosen]
            if not has_area.all():
                around = find_extents([self._cut(mask) for mask in pixels])
                flat = chosen[~has_area]
                bboxes_xyxy[flat] = around[~has_area].to(bboxes_xyxy)
        return InstanceData(
            bboxes=bboxes_xyxy,
            scores=found.scores,
            labels=found.labels,
            masks=masks,
        )

    def merge(
        self,
        merged: InstanceData,
        boxes: FoundBoxes,
        find_supporters: Callable[..., Tensor],
        size_hw: Size,
    ) -> None:
        """Add masks to the detections of an image.

        Args:
            merged: The k detections as a merger returns them, on the host.
                They get

                - `masks`: a list of COCO's RLEs, dicts with `size` (height,
                  width) and `counts` (bytes); one without a pixel if the
                  detection has no mask.
                - `mask_areas`: shape (k,), int64, the number of pixels.
                - `mask_agreement`: shape (k,), float32, the mean IoU of the
                  supporters' masks with the merged one, weighted by score; 1
                  if only one view supports the detection, 0 if no masks were
                  merged.

                `bboxes` become the boxes around the masks if `bbox_from` is
                'masks', where the mask has a pixel.
            boxes: What was found on all views, with their masks.
            find_supporters: The method `Merger.find_supporters` of the merger
                of boxes.
            size_hw: The height and width of the image, in pixels.
        """
        every = boxes.masks
        kept = [i for i, mask in enumerate(every) if mask is not None]
        # On the host, where `merged` is already.
        columns = {key: one[kept].cpu() for key, one in boxes.columns.items()}
        scores = columns.pop('scores')
        supporters = find_supporters(
            merged.bboxes,
            merged.labels,
            num_views=max(boxes.num_views, 1),
            **columns,
        )
        means = {}
        for row in self.choose(merged.scores).tolist():
            # -1 stands for a view without a supporter.
            members = [i for i in supporters[row].tolist() if i >= 0]
            if members:
                means[row] = average_masks(
                    (
                        every[kept[i]].return_to_original_image()
                        for i in members
                    ),
                    scores[members].tolist(),
                    self.mask_thr_binary,
                )
        found = dict(
            zip(means, copy_masks_to_host([*means.values()]), strict=True)
        )
        nothing = HostMask(np.zeros((0, 0), bool), 0, 0, 0.0)
        self._add(
            merged,
            [found.get(row, nothing) for row in range(len(merged))],
            size_hw,
        )

    def _cut(self, mask: Tensor) -> Tensor:
        """Find where a mask of bool, or uint8 up to 255, reaches the cut."""
        if mask.dtype == torch.bool:
            return mask
        return mask >= 255 * self.mask_thr_binary

    def _add(
        self, merged: InstanceData, masks: Sequence['HostMask'], size_hw: Size
    ) -> None:
        """Write the mask of each detection into `merged`."""
        merged.masks = [mask.encode(size_hw) for mask in masks]
        merged.mask_areas = torch.tensor(
            [int(mask.is_set.sum()) for mask in masks], dtype=torch.long
        )
        merged.mask_agreement = torch.tensor(
            [mask.agreement for mask in masks], dtype=torch.float32
        )
        if self.bbox_from == 'masks':
            has_mask = merged.mask_areas > 0
            around = [
                mask.find_bbox_xyxy() for mask in masks if mask.is_set.any()
            ]
            # Without a mask, the tensor has the shape (0,).
            merged.bboxes[has_mask] = torch.tensor(around).reshape(-1, 4)


def take_masks(found: InstanceData) -> Tensor:
    """Return the masks that a detector gives.

    Args:
        found: What it found on one view, n objects.

    Returns:
        Shape (n, h, w), bool, or uint8 if they are probabilities times 255.

    Raises:
        ValueError: If it has no field `masks`.
    """
    if 'masks' not in found:
        raise ValueError(
            'MultiViewTTA(masks=...) needs a detector that segments '
            f'instances, got one that gives only {sorted(found.keys())}: '
            'remove `masks`, or take another detector'
        )
    return found.masks


def fit_masks(masks: Tensor, size_hw: Size) -> Tensor:
    """Cut masks to the size of their image; they may also be smaller.

    Args:
        masks: Shape (n, h, w).
        size_hw: The height and width of the image, in pixels.

    Returns:
        Shape (n, h', w'), where h' and w' are at most those of the image; it
        shares the memory.

    Raises:
        ValueError: If a side differs by more than `SLACK` pixels, because the
            masks would be in the wrong place.
    """
    height, width = size_hw
    found_hw = tuple(masks.shape[-2:])
    if max(abs(found_hw[0] - height), abs(found_hw[1] - width)) > SLACK:
        raise ValueError(
            f'a detector must give masks of the size of its image, {size_hw} '
            f'(height, width), got {found_hw}. MMDetection 3.3 swaps the '
            'sides for RTMDet-Ins if the data pipeline makes the views: let '
            'MultiViewTTA(views=[...]) make them'
        )
    return masks[:, :height, :width]


def check_masks_can_be_inverted(views: Sequence[View]) -> None:
    """Check that each transform of some views can take masks back.

    Args:
        views: The views.

    Raises:
        ValueError: If a transform cannot; with the first one.
    """
    for transform in (one for view in views for one in view.transforms):
        if not transform.inverts_masks:
            raise ValueError(
                f'masks need the method invert_mask in '
                f'{type(transform).__name__}, which moves pixels: write it '
                'beside `invert`, see docs/annotation.md'
            )
