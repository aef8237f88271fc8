"""Mergers that keep one box of those that overlap: NMS and its relatives."""

from mmcv.ops import batched_nms
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ..arguments import check_is_fraction, check_is_one_of
from .mergers import Merger, smallest

SOFT_NMS_METHODS = ('linear', 'gaussian')


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
