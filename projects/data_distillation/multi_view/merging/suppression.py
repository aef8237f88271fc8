"""Mergers that keep the best of the boxes that overlap: NMS and relatives."""

from mmcv.ops import batched_nms
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ...arguments import check_is_fraction, check_is_one_of
from .boxes import find_smallest_normal
from .mergers import Merger

SOFT_NMS_METHODS = ('linear', 'gaussian')


@TASK_UTILS.register_module()
class NMSMerger(Merger):
    """Suppresses boxes that overlap a better one (NMS).

    If boxes of one class (of any class, if `class_agnostic`) overlap by more
    than `iou_threshold`, only the one with the highest score is kept. Of boxes
    with equal scores, any may be kept, and any may come first.

    Args:
        iou_threshold: The overlap above which two boxes are the same object,
            in (0, 1).
        max_per_img: The most detections to keep per image, at least 1.
        class_agnostic: Whether boxes of different classes can be the same
            object.

    Raises:
        ValueError: If an argument is out of range, or `max_per_img` is no
            integer.
        TypeError: If one of the numbers is no number.

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
        """Suppress boxes, as `Merger.merge` describes it.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels; n is at least 1.
            scores: Shape (n,).
            labels: Shape (n,), integers.
            num_views: It is not used.

        Returns:
            The boxes that are kept (shape (k, 4)), which are among those
            given; their scores, which are those of the NMS operation; and
            their labels (both of shape (k,)); by descending score. There may
            be more than `max_per_img`.
        """
        kept_scores, kept = suppress_boxes(
            bboxes_xyxy,
            scores,
            self.number_groups(labels),
            self.describe_operation(),
        )
        return bboxes_xyxy[kept], kept_scores, labels[kept]

    def describe_operation(self) -> dict:
        """Write the config of mmcv's NMS operation.

        Returns:
            The keyword arguments that `batched_nms` takes as `nms_cfg`.
        """
        return dict(type='nms', iou_threshold=self.iou_threshold)


@TASK_UTILS.register_module()
class SoftNMSMerger(NMSMerger):
    """Lowers the scores of overlapping boxes instead of dropping them.

    The boxes take turns, starting with the highest score. Each box lowers the
    score of every box that is left of its class (of any class, if
    `class_agnostic`). With 'linear', the score is multiplied by 1 - IoU if the
    IoU is `iou_threshold` or more. With 'gaussian', it is multiplied by
    exp(-IoU² / sigma). Of equal scores, any may come first.

    mmcv computes this on the CPU. Boxes that are on a GPU are copied there and
    back once per call.

    Args:
        iou_threshold: The overlap above which two boxes are the same object,
            in (0, 1). With 'gaussian', it only decides which boxes support a
            detection.
        sigma: The width of 'gaussian', above 0. A higher value lowers scores
            less.
        min_score: The score below which a box is dropped, in (0, 1). The best
            box of all is always kept. Of 10,000 boxes or more, it is the best
            box of each class, unless `class_agnostic`.
        method: 'linear' or 'gaussian'.
        max_per_img: The most detections to keep per image, at least 1.
        class_agnostic: Whether boxes of different classes can be the same
            object.

    Raises:
        ValueError: If an argument is out of range, or `max_per_img` is no
            integer.
        TypeError: If one of the numbers is no number.

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

    def describe_operation(self) -> dict:
        """Write the config of mmcv's soft-NMS operation.

        Returns:
            The keyword arguments that `batched_nms` takes as `nms_cfg`.
        """
        return dict(
            type='soft_nms',
            iou_threshold=self.iou_threshold,
            **self.arguments,
        )


@TASK_UTILS.register_module()
class BoxVotingMerger(NMSMerger):
    """Runs NMS, then replaces each kept box by the mean of those that agree.

    A box agrees with a kept box if it has the same class (any class, if
    `class_agnostic`) and their IoU is `voting_iou_threshold` or more. The kept
    box agrees with itself. The mean is weighted by score. Scores, labels and
    order are those of NMS.

    Args:
        iou_threshold: The overlap above which two boxes are the same object,
            in (0, 1).
        max_per_img: The most detections to keep per image, at least 1.
        class_agnostic: Whether boxes of different classes can be the same
            object.
        voting_iou_threshold: The IoU from which a box has a vote, in (0, 1).

    Raises:
        ValueError: If an argument is out of range, or `max_per_img` is no
            integer.
        TypeError: If one of the numbers is no number.

    Source:
        Paper, detection experiments, at second hand (configs/README.md):
        bounding box voting (Gidaris and Komodakis, arXiv 1505.01749). 0.8
        and keeping the score are the defaults of Detectron, which the paper
        used.
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
        """Suppress boxes, and let the others vote on those that are kept.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels; n is at least 1.
            scores: Shape (n,).
            labels: Shape (n,), integers.
            num_views: It is not used.

        Returns:
            The moved boxes (shape (k, 4)), scores and labels (shape (k,)) of
            the best `max_per_img` detections at most, by descending score. A
            box stays where it was if all that agree have the score 0.
        """
        merged = super().merge(bboxes_xyxy, scores, labels, num_views)
        # NMS has sorted by score. What follows needs (k, n, 4) numbers, so k
        # is limited here.
        kept_xyxy, kept_scores, kept_labels = (
            part[: self.max_per_img] for part in merged
        )
        overlaps = self.compute_overlaps(
            kept_xyxy, kept_labels, bboxes_xyxy, labels
        )
        votes = scores * (overlaps >= self.voting_iou_threshold)
        # A matrix product in TF32 would round pixels to 10 bits.
        offsets = bboxes_xyxy[None] - kept_xyxy[:, None]  # (k, n, 4)
        shift = (votes[..., None] * offsets).sum(dim=1)
        # A kept box votes for itself, but its score may be 0.
        shift /= votes.sum(dim=1, keepdim=True).clamp(
            min=find_smallest_normal(votes)
        )
        return kept_xyxy + shift, kept_scores, kept_labels


def suppress_boxes(
    bboxes_xyxy: Tensor, scores: Tensor, groups: Tensor, nms: dict
) -> tuple[Tensor, Tensor]:
    """Run one of mmcv's NMS operations within each group of boxes.

    To keep groups apart, mmcv moves group g by g times the largest coordinate,
    in float32. With 80 classes and 1,333 pixels, this rounds coordinates to
    1/128 pixel before overlaps are compared with the threshold.

    Args:
        bboxes_xyxy: Shape (n, 4), float32, pixels; n is at least 1.
        scores: Shape (n,), float32.
        groups: Shape (n,), int64, the group of each box, 0 or more.
        nms: The `nms_cfg` of `batched_nms`. It is not changed.

    Returns:
        The scores of the operation (shape (k,)), in descending order, and the
        indices (shape (k,), int64) of the boxes that they belong to. Of equal
        scores, any may come first.
    """
    # mmcv takes 0 for the smallest coordinate: boxes that reach out of the
    # image at the left would get into another group.
    moved = bboxes_xyxy - bboxes_xyxy.min()
    # mmcv ignores its flag `class_agnostic` for 10,000 boxes or more. One
    # group for all boxes has the same effect.
    bboxes_and_scores, kept = batched_nms(moved, scores, groups, nms)
    # Not `scores[kept]`: soft-NMS has lowered them.
    return bboxes_and_scores[:, 4], kept
