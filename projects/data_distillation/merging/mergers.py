"""Merger: turns the boxes of many views of an image into one set of boxes.

```
boxes of all views ──► Merger.merge ──► best max_per_img ──► view support
                       NMS, voting...                        of each
```

Dimensions in this package: n is the number of boxes of all views, k that of
detections, m that of boxes of one class, and c that of their clusters.
"""

from abc import ABC, abstractmethod

import torch
from mmcv.ops import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from ..arguments import check_at_least_1, check_is_fraction


class Merger(ABC):
    """Merges the boxes of an image; subclasses define `merge`.

    Args:
        iou_threshold: The overlap above which two boxes are the same object,
            in (0, 1).
        max_per_img: The largest number of detections to keep per image, at
            least 1.
        class_agnostic: Whether boxes of different classes can be the same
            object. Use it where two objects are never at one place, so that
            one object gets one label.

    Raises:
        ValueError: If an argument is out of range.
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

        A box without area is not an object and is left out.

        A box supports a detection if it has the same class (any class, if
        `class_agnostic`) and overlaps the detection by more than
        `iou_threshold`. Its score does not matter.

        Args:
            bboxes_xyxy: Shape (n, 4), float32, pixels of the original image.
            scores: Shape (n,), float32, in [0, 1].
            labels: Shape (n,), int64, the class of each box.
            view_ids: Shape (n,), int64, the view that each box comes from, in
                [0, num_views).
            num_views: The number of views of the image, including those
                without a box; at least 1.

        Returns:
            The detections by descending score, on the device of the boxes.
            There are none if no box was given. Each merger documents the order
            of equal scores.

            - `bboxes`: shape (k, 4), in the format of `bboxes_xyxy`.
            - `scores` and `labels`: shape (k,).
            - `num_views`: shape (k,), int64, the number of different views
              among the supporting boxes.
            - `corner_spread`: shape (k,), float32, see `corner_spread`.

        Raises:
            ValueError: If `num_views` is below 1, or an id in `view_ids` is
                out of range.
        """
        check_at_least_1('num_views', num_views)
        check_views(view_ids, num_views)
        has_area = (bboxes_xyxy[:, 2:] > bboxes_xyxy[:, :2]).all(dim=1)
        bboxes_xyxy, scores = bboxes_xyxy[has_area], scores[has_area]
        labels, view_ids = labels[has_area], view_ids[has_area]
        merged = bboxes_xyxy, scores, labels
        if len(bboxes_xyxy):  # batched_nms fails without a box
            merged = self.merge(*merged, num_views)
        best = merged[1].argsort(descending=True, stable=True)
        best = best[: self.max_per_img]
        kept_xyxy, kept_scores, kept_labels = (part[best] for part in merged)
        overlaps = self.overlaps(kept_xyxy, kept_labels, bboxes_xyxy, labels)
        supports = overlaps > self.iou_threshold
        return InstanceData(
            bboxes=kept_xyxy,
            scores=kept_scores,
            labels=kept_labels,
            num_views=count_views(supports, view_ids, num_views),
            corner_spread=corner_spread(supports, kept_xyxy, bboxes_xyxy),
        )

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
            bboxes_xyxy: Shape (n, 4), pixels; n is at least 1, and every box
                has an area.
            scores: Shape (n,).
            labels: Shape (n,).
            num_views: The number of views of the image.

        Returns:
            Boxes (shape (k, 4)), scores and labels (shape (k,)), in any order
            and not yet cut to `max_per_img`. `__call__` sorts them by score
            and keeps the order of equal scores.
        """

    def groups(self, labels: Tensor) -> Tensor:
        """Number the boxes so that only boxes of one number can be merged.

        Args:
            labels: Shape (n,).

        Returns:
            Shape (n,), int64. With `class_agnostic`, the number is 0 for all
            boxes. Otherwise the classes that are present are numbered from 0,
            by ascending label.
        """
        if self.class_agnostic:
            return torch.zeros_like(labels)
        return labels.unique(return_inverse=True)[1]

    def overlaps(
        self,
        kept_xyxy: Tensor,
        kept_labels: Tensor,
        bboxes_xyxy: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Compute the overlap of each detection with each box.

        Args:
            kept_xyxy: Shape (k, 4), the detections.
            kept_labels: Shape (k,).
            bboxes_xyxy: Shape (n, 4).
            labels: Shape (n,).

        Returns:
            Shape (k, n), intersection over union; 0 where the classes differ,
            unless `class_agnostic`.
        """
        # The kernel takes it for granted that boxes are contiguous.
        overlaps = bbox_overlaps(
            kept_xyxy.contiguous(), bboxes_xyxy.contiguous()
        )
        if self.class_agnostic:
            return overlaps
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

        Of the boxes of a view that support a detection, it is the one that
        overlaps it most. A mean of boxes may have moved away from all of them;
        then the box that overlaps it most is its only supporter.

        Args:
            kept_xyxy: Shape (k, 4), the detections.
            kept_labels: Shape (k,).
            bboxes_xyxy: Shape (n, 4).
            labels: Shape (n,).
            view_ids: Shape (n,), int64, in [0, num_views).
            num_views: The number of views of the image.

        Returns:
            Shape (k, num_views), int64, the index of a box; -1 where no box of
            the view supports the detection.
        """
        overlaps = self.overlaps(kept_xyxy, kept_labels, bboxes_xyxy, labels)
        supporters = torch.full(
            (len(kept_xyxy), num_views), -1, device=kept_xyxy.device
        )
        most = torch.zeros(supporters.shape).to(overlaps)
        for view in view_ids.unique().tolist():
            boxes = (view_ids == view).nonzero().flatten()
            most[:, view], best = overlaps[:, boxes].max(dim=1)
            supporters[:, view] = boxes[best]
        supports = most > self.iou_threshold
        alone = ~supports.any(dim=1)
        best_view = most.argmax(dim=1)[alone]
        supports[alone, best_view] = most[alone, best_view] > 0
        return supporters.where(supports, supporters.new_tensor(-1))


def count_views(supports: Tensor, view_ids: Tensor, num_views: int) -> Tensor:
    """Count the views that support each detection.

    Args:
        supports: Shape (k, n), bool, whether each box supports each detection.
        view_ids: Shape (n,), int64, the view of each box, in [0, num_views).
        num_views: The number of views of the image.

    Returns:
        Shape (k,), int64, the number of different views of each detection.
    """
    is_from_view = torch.nn.functional.one_hot(view_ids, num_views)
    return (supports.float() @ is_from_view.float() > 0).sum(dim=1)


def corner_spread(
    supports: Tensor, kept_xyxy: Tensor, bboxes_xyxy: Tensor
) -> Tensor:
    """Measure how far apart the boxes are that support each detection.

    This is the root mean square of the distance of a coordinate from its mean,
    over the supporting boxes and their four coordinates x1, y1, x2 and y2. It
    is divided by sqrt(width * height) of the detection. The mean of each
    coordinate is that over the supporting boxes.

    Args:
        supports: Shape (k, n), bool, whether each box supports each detection.
        kept_xyxy: Shape (k, 4), the detections, pixels.
        bboxes_xyxy: Shape (n, 4), pixels.

    Returns:
        Shape (k,), without a unit and never NaN; 0 for a detection that one
        box or no box supports.
    """
    weights = supports[..., None].to(kept_xyxy)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
    # Measured from the detection and not from 0, so that the spread of equal
    # boxes is exactly 0.
    offsets = bboxes_xyxy[None] - kept_xyxy[:, None]
    means = (weights * offsets).sum(dim=1, keepdim=True)
    variances = (weights * (offsets - means) ** 2).sum(dim=1)
    sides = kept_xyxy[:, 2:] - kept_xyxy[:, :2]
    size = sides.prod(dim=1).sqrt().clamp(min=smallest_positive(sides))
    return variances.mean(dim=1).sqrt() / size


def smallest_positive(like: Tensor) -> float:
    """Find the smallest positive number, to divide by instead of 0.

    Args:
        like: A tensor of floats, of the type that the number must fit.

    Returns:
        The smallest normal number of that type.
    """
    return torch.finfo(like.dtype).tiny


def check_views(view_ids: Tensor, num_views: int) -> None:
    """Refuse boxes of a view that the image does not have.

    Args:
        view_ids: Shape (n,).
        num_views: The number of views of the image.

    Raises:
        ValueError: If an id is not in [0, num_views).
    """
    outside = view_ids[(view_ids < 0) | (view_ids >= num_views)]
    if len(outside):
        raise ValueError(
            f'view_ids must be in [0, num_views = {num_views}), got '
            f'{int(outside[0])}'
        )
