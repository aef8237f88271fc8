"""Mergers: the boxes of many views of an image become one set of boxes."""

import torch
from mmcv.ops import batched_nms, bbox_overlaps
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor


@TASK_UTILS.register_module()
class NMSMerger:
    """Non-maximum suppression over the boxes of all views.

    Of boxes of one class (or of any, see `class_agnostic`) that overlap by
    more than `iou_threshold` only the one with the highest score is kept.

    Args:
        iou_threshold: Overlap from which two boxes are the same object, in
            (0, 1).
        max_per_img: The most detections to keep per image, at least 1.
        class_agnostic: Let a box suppress those of other classes too: where
            two objects are never at one place, one object gets one label.

    Raises:
        ValueError: If an argument is out of range.

    Source:
        Paper, section 1: "merging multiple sets of boxes by non-maximum
        suppression". 0.5 and 100 are MMDetection's and COCO's defaults.
    """

    def __init__(
        self,
        iou_threshold: float = 0.5,
        max_per_img: int = 100,
        class_agnostic: bool = False,
    ) -> None:
        if not 0 < iou_threshold < 1:
            raise ValueError(
                f'iou_threshold must be between 0 and 1, got {iou_threshold}'
            )
        if max_per_img < 1:
            raise ValueError(f'max_per_img must be >= 1, got {max_per_img}')
        self.iou_threshold = iou_threshold
        self.max_per_img = max_per_img
        self.class_agnostic = class_agnostic

    def __call__(
        self,
        bboxes_xyxy: Tensor,
        scores: Tensor,
        labels: Tensor,
        view_ids: Tensor,
    ) -> InstanceData:
        """Merge the boxes of one image.

        Args:
            bboxes_xyxy: Shape (n, 4), float32, pixels of the original image.
            scores: Shape (n,).
            labels: Shape (n,), the class of each box.
            view_ids: Shape (n,), the view that each box comes from.

        Returns:
            `bboxes` (k, 4), `scores`, `labels` and `num_views` (k,), by
            descending score; of equal scores, which comes first is open.
            Empty if nothing was given.
        """
        if not len(bboxes_xyxy):  # batched_nms fails on this
            return InstanceData(
                bboxes=bboxes_xyxy,
                scores=scores,
                labels=labels,
                num_views=view_ids,
            )
        nms = dict(type='nms', iou_threshold=self.iou_threshold)
        # batched_nms has a flag for this, but drops it from 10,000 boxes on.
        groups = torch.zeros_like(labels) if self.class_agnostic else labels
        bboxes_and_scores, kept = batched_nms(bboxes_xyxy, scores, groups, nms)
        bboxes_and_scores = bboxes_and_scores[: self.max_per_img]
        kept = kept[: self.max_per_img]
        kept_xyxy, kept_labels = bboxes_and_scores[:, :4], labels[kept]
        overlaps = bbox_overlaps(kept_xyxy, bboxes_xyxy)
        same_class = kept_labels[:, None] == labels[None]
        supports = (overlaps > self.iou_threshold) & same_class
        return InstanceData(
            bboxes=kept_xyxy,
            scores=bboxes_and_scores[:, 4],
            labels=kept_labels,
            num_views=count_views(supports, view_ids),
        )


def count_views(supports: Tensor, view_ids: Tensor) -> Tensor:
    """Count the views that support each detection.

    Args:
        supports: Shape (k, n), whether box n supports detection k.
        view_ids: Shape (n,), the view of each box, from 0; n is not 0.

    Returns:
        Shape (k,), int64, the number of different views.
    """
    is_from_view = torch.nn.functional.one_hot(view_ids).float()
    return (supports.float() @ is_from_view > 0).sum(dim=1)
