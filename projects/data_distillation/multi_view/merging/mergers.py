"""Merger: turns the boxes of many views of an image into one set of boxes.

```
boxes of all views ──► Merger.merge ──► best max_per_img ──► view support
                       NMS, voting...                        of each
```

Dimensions in this package: n is the number of boxes of all views, k that of
detections, m that of boxes of one class, and c that of their clusters.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ...arguments import check_at_least_1, check_is_fraction
from .boxes import (
    FIELDS,
    Boxes,
    compute_pairwise_ious_xyxy,
    count_views,
    join_images,
    measure_corner_spread,
    rank_detections,
)


class Merger(ABC):
    """Merges the boxes of an image; subclasses define `merge`.

    Args:
        iou_threshold: The overlap (IoU) above which two boxes are the same
            object, in (0, 1).
        max_per_img: The largest number of detections to keep per image, at
            least 1.
        class_agnostic: Whether boxes of different classes can be the same
            object. Use it where two objects are never at one place, so that
            one object gets one label.

    Raises:
        ValueError: If an argument is out of range, or `max_per_img` is no
            integer.
        TypeError: If one of the numbers is no number.
    """

    def __init__(
        self,
        iou_threshold: float = 0.5,
        max_per_img: int = 100,
        class_agnostic: bool = False,
    ) -> None:
        check_is_fraction('iou_threshold', iou_threshold)
        check_at_least_1('max_per_img', max_per_img)
        self.iou_threshold = iou_threshold
        self.max_per_img = max_per_img
        self.class_agnostic = class_agnostic

    def __call__(
        self,
        bboxes_xyxy: Tensor,
        scores: Tensor,
        labels: Tensor,
        view_ids: Tensor,
        num_views: int,
    ) -> InstanceData:
        """Merge the boxes of one image.

        A box without area is not an object and is left out, as is one with a
        number or a score that is not finite.

        A box supports a detection if it has the same class (any class, if
        `class_agnostic`) and overlaps the detection by more than
        `iou_threshold`. Its score does not matter.

        Args:
            bboxes_xyxy: Shape (n, 4), float32, pixels of the original image,
                in any order; n may be 0.
            scores: Shape (n,), float32, in [0, 1].
            labels: Shape (n,), int64, the class of each box.
            view_ids: Shape (n,), int64, the view that each box comes from, in
                [0, num_views).
            num_views: The number of views of the image, including those
                without a box; at least 1.

        Returns:
            At most `max_per_img` detections by descending score, on the device
            of the boxes. There are none if no box with an area was given. Each
            merger documents the order of equal scores.

            - `bboxes`: shape (k, 4), in the format of `bboxes_xyxy`.
            - `scores` and `labels`: shape (k,), float32 and int64.
            - `num_views`: shape (k,), int64, the number of different views
              among the supporting boxes; 0 if a mean of boxes has moved away
              from all of them.
            - `corner_spread`: shape (k,), float32, see
              `boxes.measure_corner_spread`.

        Raises:
            ValueError: If `num_views` is below 1 or no integer, or an id in
                `view_ids` is out of range.
        """
        image = dict(
            bboxes_xyxy=bboxes_xyxy,
            scores=scores,
            labels=labels,
            view_ids=view_ids,
            num_views=num_views,
        )
        return self.merge_images([image])[0]

    def merge_images(self, images: Sequence[dict]) -> list[InstanceData]:
        """Merge the boxes of several images, each on its own.

        Args:
            images: The arguments of `__call__` by name, for each image. All
                boxes are on one device.

        Returns:
            For each image, in order, what `__call__` returns for it, equal to
            the last bit; an empty list without images. Images take less time
            together than one after another, since they share all steps but
            `merge` and `overlaps`.

        Raises:
            ValueError: As in `__call__`.
        """
        if not images:
            return []
        boxes = join_images(images)
        num_views = [image['num_views'] for image in images]
        merged = []
        for one, views in zip(boxes.by_image(), num_views, strict=True):
            part = one[0], one[1], one[2]
            # batched_nms fails without a box
            merged.append(self.merge(*part, views) if len(part[1]) else part)
        counts = [len(scores) for _, scores, _ in merged]
        columns = [torch.cat(column) for column in zip(*merged, strict=True)]
        best = rank_detections(columns[1], counts, self.max_per_img)
        kept = [column[best] for column in columns]
        counts = [min(count, self.max_per_img) for count in counts]
        supports = self._find_supports(kept, counts, boxes)
        kept += [
            count_views(supports, len(best), boxes.view_ids, max(num_views)),
            measure_corner_spread(supports, kept[0], boxes.bboxes_xyxy),
        ]
        by_image = zip(*(column.split(counts) for column in kept), strict=True)
        return [
            InstanceData(**dict(zip(FIELDS, one, strict=True)))
            for one in by_image
        ]

    def _find_supports(
        self, kept: Sequence[Tensor], counts: Sequence[int], boxes: Boxes
    ) -> Tensor:
        """List which box supports which detection, shape (p, 2)."""
        parts = kept[0].split(counts), kept[2].split(counts), boxes.by_image()
        supports, first = [], torch.zeros(2, dtype=torch.long)
        for kept_xyxy, kept_labels, one in zip(*parts, strict=True):
            overlaps = self.compute_overlaps(
                kept_xyxy, kept_labels, one[0], one[2]
            )
            pairs = (overlaps > self.iou_threshold).nonzero()
            # Numbers within the image, moved by the counts of those before it.
            supports.append(pairs + first.to(pairs))
            first += torch.tensor(overlaps.shape)
        return torch.cat(supports)

    @abstractmethod
    def merge(
        self,
        bboxes_xyxy: Tensor,
        scores: Tensor,
        labels: Tensor,
        num_views: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Make detections of the boxes of all views.

        Args:
            bboxes_xyxy: Shape (n, 4), float32, pixels of the original image; n
                is at least 1, and every box has an area.
            scores: Shape (n,), float32.
            labels: Shape (n,), int64.
            num_views: The number of views of the image, at least 1.

        Returns:
            Boxes (shape (k, 4), xyxy in pixels), scores and labels (shape
            (k,)), of the types and on the device of those given, in any order.
            There may be more than `max_per_img`. `__call__` sorts them by
            score, keeps the order of equal scores, and cuts them to
            `max_per_img`.
        """

    def number_groups(self, labels: Tensor) -> Tensor:
        """Number the boxes so that only boxes of one number can be merged.

        Args:
            labels: Shape (n,), int64.

        Returns:
            Shape (n,), int64. With `class_agnostic`, the number is 0 for all
            boxes. Otherwise the classes that are present are numbered from 0,
            by ascending label.
        """
        if self.class_agnostic:
            return torch.zeros_like(labels)
        return labels.unique(return_inverse=True)[1]

    def compute_overlaps(
        self,
        kept_xyxy: Tensor,
        kept_labels: Tensor,
        bboxes_xyxy: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Compute the overlap of each detection with each box.

        Args:
            kept_xyxy: Shape (k, 4), the detections, in pixels.
            kept_labels: Shape (k,), integers.
            bboxes_xyxy: Shape (n, 4), pixels; every box has an area.
            labels: Shape (n,), integers.

        Returns:
            Shape (k, n), of the type of the boxes, intersection over union in
            [0, 1]; 0 where the classes differ, unless `class_agnostic`.
        """
        overlaps = compute_pairwise_ious_xyxy(kept_xyxy, bboxes_xyxy)
        if self.class_agnostic:
            return overlaps
        # (k, 1) against (1, n)
        return overlaps * (kept_labels[:, None] == labels[None])

    def find_supporters(
        self,
        kept_xyxy: Tensor,
        kept_labels: Tensor,
        bboxes_xyxy: Tensor,
        labels: Tensor,
        view_ids: Tensor,
        num_views: int,
    ) -> Tensor:
        """Find the box of each view that supports each detection.

        `__call__` says which boxes support a detection. Of those of a view, it
        is the one that overlaps it most. A mean of boxes may have moved away
        from all of them; then the box that overlaps it most, if any does, is
        its only supporter.
        Of equal overlaps, that of the first view, and in a view that of the
        first box, counts.

        Args:
            kept_xyxy: Shape (k, 4), the detections, in pixels.
            kept_labels: Shape (k,), integers.
            bboxes_xyxy: Shape (n, 4), pixels; every box has an area.
            labels: Shape (n,), integers.
            view_ids: Shape (n,), int64, in [0, num_views).
            num_views: The number of views of the image, at least 1.

        Returns:
            Shape (k, num_views), int64, the index of a box in `bboxes_xyxy`;
            -1 where no box of the view supports the detection.
        """
        overlaps = self.compute_overlaps(
            kept_xyxy, kept_labels, bboxes_xyxy, labels
        )
        supporters = torch.full(
            (len(kept_xyxy), num_views), -1, device=kept_xyxy.device
        )
        most = torch.zeros(supporters.shape).to(overlaps)
        # Only views that have a box: `max` over no columns would fail.
        for view in view_ids.unique().tolist():
            in_view = (view_ids == view).nonzero().flatten()
            most[:, view], best = overlaps[:, in_view].max(dim=1)
            supporters[:, view] = in_view[best]
        supports = most > self.iou_threshold
        alone = ~supports.any(dim=1)
        best_view = most.argmax(dim=1)[alone]
        # A mask and numbers as indices: one cell in each of these rows.
        supports[alone, best_view] = most[alone, best_view] > 0
        return supporters.where(supports, supporters.new_tensor(-1))
