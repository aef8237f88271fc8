"""Mergers: the boxes of many views of an image become one set of boxes.

```
boxes of all views ──► Merger.merge ──► best max_per_img ──► view support
                       NMS, voting...                        of each
```

Dimensions: n boxes of all views, k detections, m boxes of one class, c
clusters of them.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from mmcv.ops import batched_nms, bbox_overlaps
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor

SOFT_NMS_METHODS = ('linear', 'gaussian')
CONF_TYPES = ('avg', 'max')


class Merger(ABC):
    """What all mergers share; a merger defines `merge`.

    Args:
        iou_threshold: Overlap from which two boxes are the same object, in
            (0, 1).
        max_per_img: The most detections to keep per image, at least 1.
        class_agnostic: Let boxes of different classes be the same object:
            where two objects are never at one place, one object gets one
            label.

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

        A box without area is no object and is left out.

        A box supports a detection if it is of the same class (of any, if
        `class_agnostic`) and overlaps it by more than `iou_threshold`; its
        score does not matter.

        Args:
            bboxes_xyxy: Shape (n, 4), float32, pixels of the original image.
            scores: Shape (n,), float32, in [0, 1].
            labels: Shape (n,), int64, the class of each box.
            view_ids: Shape (n,), int64, the view that each box comes from, in
                [0, num_views).
            num_views: How many views the image has, those without a box
                included; at least 1.

        Returns:
            On the device of the boxes, by descending score, empty if nothing
            was given; each merger says what comes first of equal scores:

            - `bboxes`: shape (k, 4), like `bboxes_xyxy`.
            - `scores` and `labels`: shape (k,).
            - `num_views`: shape (k,), int64, the number of different views
              among the supporting boxes.
            - `corner_spread`: shape (k,), float32, see `corner_spread`.

        Raises:
            ValueError: If `num_views` is below 1, or a view is beyond it.
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
            bboxes_xyxy: Shape (n, 4), pixels; n is not 0, and every box has
                an area.
            scores: Shape (n,).
            labels: Shape (n,).
            num_views: How many views the image has.

        Returns:
            Boxes (k, 4), scores (k,) and labels (k,), in any order and not
            yet cut to `max_per_img`; of equal scores, the earlier one comes
            first in the result.
        """

    def groups(self, labels: Tensor) -> Tensor:
        """Number the boxes such that only those of one number can be merged.

        Args:
            labels: Shape (n,).

        Returns:
            Shape (n,), int64: 0 for all if `class_agnostic`, else from 0 to
            the number of classes that are present, by ascending label.
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
        # The kernel takes boxes for contiguous without a look.
        overlaps = bbox_overlaps(
            kept_xyxy.contiguous(), bboxes_xyxy.contiguous()
        )
        if self.class_agnostic:
            return overlaps
        return overlaps * (kept_labels[:, None] == labels[None])


@TASK_UTILS.register_module()
class NMSMerger(Merger):
    """Non-maximum suppression over the boxes of all views.

    Of boxes of one class (or of any, see `class_agnostic`) that overlap by
    more than `iou_threshold` only the one with the highest score is kept. Of
    equal scores, which one that is and which comes first is open.

    Args:
        iou_threshold, max_per_img, class_agnostic: See `Merger`.

    Raises:
        ValueError: If an argument is out of range.

    Source:
        Paper, section 1: "merging multiple sets of boxes by non-maximum
        suppression". 0.5 and 100 are MMDetection's and COCO's defaults.
    """

    def merge(
        self,
        bboxes_xyxy: Tensor,
        scores: Tensor,
        labels: Tensor,
        num_views: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Merger.merge`; boxes are given ones, scores the operation's."""
        kept_scores, kept = suppress(
            bboxes_xyxy,
            scores,
            self.groups(labels),
            self.operation(),
        )
        return bboxes_xyxy[kept], kept_scores, labels[kept]

    def operation(self) -> dict:
        """Return the config of mmcv's NMS operation."""
        return dict(type='nms', iou_threshold=self.iou_threshold)


@TASK_UTILS.register_module()
class SoftNMSMerger(NMSMerger):
    """NMS that lowers the scores of overlapping boxes in place of dropping.

    From the highest score on, each box multiplies the score of every other
    box of its class (of any, if `class_agnostic`) by 1 - IoU, if the IoU is
    `iou_threshold` or more ('linear'), or by exp(-IoU² / sigma) ('gaussian').
    Of equal scores, which comes first is open.

    mmcv computes this on the CPU, also for boxes that are on a GPU: there and
    back once per call.

    Args:
        iou_threshold: See `Merger`; with 'gaussian' it only decides which
            boxes support a detection.
        sigma: Width of 'gaussian', above 0: the higher, the softer.
        min_score: A box whose score falls below this is dropped, in (0, 1).
            The best box of all is always kept.
        method: 'linear' or 'gaussian'.
        max_per_img, class_agnostic: See `Merger`.

    Raises:
        ValueError: If an argument is out of range.

    Source:
        Bodla et al., arXiv 1704.04503. The defaults of `sigma`, `min_score`
        and `method` are mmcv's.
    """

    def __init__(
        self,
        iou_threshold: float = 0.5,
        sigma: float = 0.5,
        min_score: float = 1e-3,
        method: str = 'linear',
        max_per_img: int = 100,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__(iou_threshold, max_per_img, class_agnostic)
        if not sigma > 0:
            raise ValueError(f'sigma must be above 0, got {sigma}')
        check_is_fraction('min_score', min_score)
        check_is_one_of('method', method, SOFT_NMS_METHODS)
        self.arguments = dict(sigma=sigma, min_score=min_score, method=method)

    def operation(self) -> dict:
        """Return the config of mmcv's soft-NMS operation."""
        return dict(
            type='soft_nms',
            iou_threshold=self.iou_threshold,
            **self.arguments,
        )


@TASK_UTILS.register_module()
class BoxVotingMerger(NMSMerger):
    """NMS, then each kept box becomes the mean of those that agree with it.

    The mean over all boxes of its class (of any, if `class_agnostic`) with an
    IoU of `voting_iou_threshold` or more with the kept box, which is one of
    them, weighted by score. Scores, labels and order are those of NMS.

    Args:
        iou_threshold, max_per_img, class_agnostic: See `Merger`.
        voting_iou_threshold: Overlap from which a box has a vote, in (0, 1).

    Raises:
        ValueError: If an argument is out of range.

    Source:
        Paper, detection experiments: bounding box voting (Gidaris and
        Komodakis, arXiv 1505.01749). 0.8 and keeping the score are the
        defaults of Detectron, which the paper used.
    """

    def __init__(
        self,
        iou_threshold: float = 0.5,
        max_per_img: int = 100,
        class_agnostic: bool = False,
        voting_iou_threshold: float = 0.8,
    ) -> None:
        super().__init__(iou_threshold, max_per_img, class_agnostic)
        check_is_fraction('voting_iou_threshold', voting_iou_threshold)
        self.voting_iou_threshold = voting_iou_threshold

    def merge(
        self,
        bboxes_xyxy: Tensor,
        scores: Tensor,
        labels: Tensor,
        num_views: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Merger.merge`; only the best `max_per_img` are returned."""
        merged = super().merge(bboxes_xyxy, scores, labels, num_views)
        # NMS sorts by score. Cut here, for (k, n, 4) numbers follow.
        kept_xyxy, kept_scores, kept_labels = (
            part[: self.max_per_img] for part in merged
        )
        overlaps = self.overlaps(kept_xyxy, kept_labels, bboxes_xyxy, labels)
        votes = scores * (overlaps >= self.voting_iou_threshold)
        # Not a matrix product: TF32 would round pixels to 10 bits.
        offsets = bboxes_xyxy[None] - kept_xyxy[:, None]
        shift = (votes[..., None] * offsets).sum(dim=1)
        shift /= votes.sum(dim=1, keepdim=True).clamp(min=smallest(votes))
        return kept_xyxy + shift, kept_scores, kept_labels


@TASK_UTILS.register_module()
class WBFMerger(Merger):
    """Weighted boxes fusion: clusters of boxes become their mean.

    From the highest score on, each box joins the cluster of its class (of any,
    if `class_agnostic`) whose mean it overlaps most, if by more than
    `iou_threshold`, and starts a cluster otherwise. The mean is weighted by
    score, and moves with each box that joins. A detection has the box of the
    mean and the label of the cluster's best box.

    Of boxes with equal scores, the one given first is taken first; of equal
    overlaps, the older cluster. Of detections with equal scores, the lower
    class comes first (none does, if `class_agnostic`), then the older cluster.

    As each box depends on those before, this runs on the CPU, also for boxes
    that are on a GPU: one copy there and one back per call. 2,000 boxes take
    about 30 ms on one core; the original package takes 40 to 70 ms.

    Args:
        iou_threshold, max_per_img, class_agnostic: See `Merger`.
        conf_type: The score of a cluster. 'avg': the mean of its scores, times
            min(boxes, views) / views, so that what few views found scores
            low. 'max': the highest of its scores, however many views found it.

    Raises:
        ValueError: If an argument is out of range.

    Source:
        Solovyev et al., arXiv 1910.13302, and its package `ensemble_boxes`,
        for views of equal weight.
    """

    def __init__(
        self,
        iou_threshold: float = 0.55,
        max_per_img: int = 100,
        class_agnostic: bool = False,
        conf_type: str = 'avg',
    ) -> None:
        super().__init__(iou_threshold, max_per_img, class_agnostic)
        check_is_one_of('conf_type', conf_type, CONF_TYPES)
        self.conf_type = conf_type

    def merge(
        self,
        bboxes_xyxy: Tensor,
        scores: Tensor,
        labels: Tensor,
        num_views: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Merger.merge`; boxes and scores are new."""
        columns = (scores, self.groups(labels), labels)
        table = torch.cat([bboxes_xyxy, torch.stack(columns, dim=1)], dim=1)
        rows = table.cpu().double().numpy()
        rows = rows[np.argsort(-rows[:, 4], kind='stable')]
        fused = [
            self._fuse_group(rows[rows[:, 5] == group], num_views)
            for group in np.unique(rows[:, 5])
        ]
        table = torch.from_numpy(np.concatenate(fused)).to(table)
        return table[:, :4], table[:, 4], table[:, 5].to(labels)

    def _fuse_group(self, rows: np.ndarray, num_views: int) -> np.ndarray:
        """Turn rows of box, score, group, label into box, score, label."""
        scores = rows[:, 4]
        fused_xyxy, cluster_ids = fuse(rows[:, :4], scores, self.iou_threshold)
        _, first, sizes = np.unique(
            cluster_ids, return_index=True, return_counts=True
        )
        if self.conf_type == 'max':
            fused_scores = scores[first]
        else:
            means = np.bincount(cluster_ids, scores) / sizes
            fused_scores = means * np.minimum(sizes, num_views) / num_views
        return np.column_stack([fused_xyxy, fused_scores, rows[first, 6]])


def suppress(
    bboxes_xyxy: Tensor, scores: Tensor, groups: Tensor, nms: dict
) -> tuple[Tensor, Tensor]:
    """Run one of mmcv's NMS operations within each group of boxes.

    mmcv keeps groups apart by moving group g by g times the largest
    coordinate, in float32: among 80 classes and 1,333 pixels, that rounds
    coordinates to 1/128 pixel before overlaps are compared with the threshold.

    Args:
        bboxes_xyxy: Shape (n, 4), pixels; n is not 0.
        scores: Shape (n,).
        groups: Shape (n,), int64, from 0 on.
        nms: What `batched_nms` takes as `nms_cfg`.

    Returns:
        Scores (k,), by descending score, and the indices (k,) of the boxes
        that they belong to.
    """
    # mmcv reckons from 0: boxes left of the image would reach another group.
    moved = bboxes_xyxy - bboxes_xyxy.min()
    # Its flag `class_agnostic` is dropped from 10,000 boxes on; one group for
    # all boxes does the same.
    bboxes_and_scores, kept = batched_nms(moved, scores, groups, nms)
    return bboxes_and_scores[:, 4], kept


def fuse(
    bboxes_xyxy: np.ndarray, scores: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster boxes around their running means, see `WBFMerger`.

    Args:
        bboxes_xyxy: Shape (m, 4), float64, by descending score.
        scores: Shape (m,), float64, 0 or more.
        iou_threshold: A box joins a mean that it overlaps by more than this.

    Returns:
        The means, shape (c, 4), by the order in which the clusters began, and
        the cluster of each box, shape (m,).
    """
    # Column-wise, and with one empty column (overlap 0) after the clusters.
    means = np.zeros((4, len(scores) + 1))
    totals = np.zeros(len(scores) + 1)
    cluster_ids = np.empty(len(scores), dtype=np.int64)
    num_clusters = 0
    # Above 0, so that boxes of score 0 have a mean.
    weights = np.maximum(scores, np.finfo(np.float64).tiny)
    for i, (bbox, weight) in enumerate(zip(bboxes_xyxy, weights, strict=True)):
        overlaps = overlaps_with(means[:, : num_clusters + 1], bbox)
        cluster = overlaps.argmax()
        if overlaps[cluster] <= iou_threshold:
            cluster = num_clusters
            num_clusters += 1
        totals[cluster] += weight
        share = weight / totals[cluster]
        means[:, cluster] += (bbox - means[:, cluster]) * share
        cluster_ids[i] = cluster
    return means[:, :num_clusters].T, cluster_ids


def overlaps_with(
    bboxes_xyxy: np.ndarray, bbox_xyxy: np.ndarray
) -> np.ndarray:
    """Compute the intersection over union of many boxes with one.

    mmcv's `bbox_overlaps` is float32 and slower for few boxes.

    Args:
        bboxes_xyxy: Shape (4, c): a column is a box, which may be without
            area.
        bbox_xyxy: Shape (4,), a box with an area.

    Returns:
        Shape (c,).
    """
    bbox_xyxy = bbox_xyxy[:, None]
    left_top = np.maximum(bboxes_xyxy[:2], bbox_xyxy[:2])
    right_bottom = np.minimum(bboxes_xyxy[2:], bbox_xyxy[2:])
    widths, heights = np.maximum(right_bottom - left_top, 0)
    intersections = widths * heights
    return intersections / (
        area(bboxes_xyxy) + area(bbox_xyxy) - intersections
    )


def area(bboxes_xyxy: np.ndarray) -> np.ndarray:
    """Compute the areas of boxes.

    Args:
        bboxes_xyxy: Shape (4, c): a column is a box.

    Returns:
        Shape (c,), in square pixels.
    """
    x1, y1, x2, y2 = bboxes_xyxy
    return (x2 - x1) * (y2 - y1)


def count_views(supports: Tensor, view_ids: Tensor, num_views: int) -> Tensor:
    """Count the views that support each detection.

    Args:
        supports: Shape (k, n), bool, whether box n supports detection k.
        view_ids: Shape (n,), int64, the view of each box, in [0, num_views).
        num_views: How many views the image has.

    Returns:
        Shape (k,), int64, the number of different views.
    """
    is_from_view = torch.nn.functional.one_hot(view_ids, num_views)
    return (supports.float() @ is_from_view.float() > 0).sum(dim=1)


def corner_spread(
    supports: Tensor, kept_xyxy: Tensor, bboxes_xyxy: Tensor
) -> Tensor:
    """Measure how far the boxes that support a detection are apart.

    The root mean square, over the supporting boxes and their four coordinates
    x1, y1, x2, y2, of a coordinate's distance from its mean over these boxes;
    divided by sqrt(width * height) of the detection.

    Args:
        supports: Shape (k, n), bool, whether box n supports detection k.
        kept_xyxy: Shape (k, 4), the detections, pixels.
        bboxes_xyxy: Shape (n, 4), pixels.

    Returns:
        Shape (k,), without unit, never NaN; 0 where one box or none supports
        the detection.
    """
    weights = supports[..., None].to(kept_xyxy)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
    # From the detection on, not from 0: equal boxes have exactly no spread.
    offsets = bboxes_xyxy[None] - kept_xyxy[:, None]
    means = (weights * offsets).sum(dim=1, keepdim=True)
    variances = (weights * (offsets - means) ** 2).sum(dim=1)
    sides = kept_xyxy[:, 2:] - kept_xyxy[:, :2]
    size = sides.prod(dim=1).sqrt().clamp(min=smallest(sides))
    return variances.mean(dim=1).sqrt() / size


def smallest(like: Tensor) -> float:
    """Return the smallest positive number, to divide by in place of 0.

    Args:
        like: A tensor of the number's type.
    """
    return torch.finfo(like.dtype).tiny


def check_is_fraction(name: str, value: float) -> None:
    """Refuse a value that is not strictly between 0 and 1.

    Args:
        name: The argument's name, for the message.
        value: Its value.

    Raises:
        ValueError: If the value is 0 or less, or 1 or more.
    """
    if not 0 < value < 1:
        raise ValueError(f'{name} must be between 0 and 1, got {value}')


def check_at_least_1(name: str, value: int) -> None:
    """Refuse a value below 1.

    Args:
        name: The argument's name, for the message.
        value: Its value.

    Raises:
        ValueError: If the value is below 1.
    """
    if value < 1:
        raise ValueError(f'{name} must be >= 1, got {value}')


def check_is_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not among the allowed ones.

    Args:
        name: The argument's name, for the message.
        value: Its value.
        allowed: What it may be.

    Raises:
        ValueError: If the value is another.
    """
    if value not in allowed:
        raise ValueError(f'{name} must be one of {allowed}, got {value!r}')


def check_views(view_ids: Tensor, num_views: int) -> None:
    """Refuse boxes of a view that the image does not have.

    Args:
        view_ids: Shape (n,).
        num_views: How many views the image has.

    Raises:
        ValueError: If an id is below 0, or `num_views` or more.
    """
    outside = view_ids[(view_ids < 0) | (view_ids >= num_views)]
    if len(outside):
        raise ValueError(
            f'view_ids must be in [0, num_views = {num_views}), got '
            f'{int(outside[0])}'
        )
