"""Takes the boxes of views back to the image, together, and to the host."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from .view_batches import LoadedView, MadeView

# What a merged detection has, besides its box.
FIELDS = dict(
    scores=torch.float32,
    labels=torch.int64,
    num_views=torch.int64,
    corner_spread=torch.float32,
)


@dataclass(frozen=True)
class ViewBoxes:
    """What the teachers found on each view of an image, not merged.

    Args:
        bboxes_xyxy: Shape (n, 4), float32, pixels of the original image. The
            boxes of a view stand together, those of the first view first.
            With several teachers, all views of the first come first.
        scores: Shape (n,), float32, the score of each box.
        labels: Shape (n,), int32, the class of each box.
        counts: Shape (number of teachers * number of views that were run,),
            int32, the number of boxes of each view.
        run_index: Shape (number of views in the config,), int32, which of the
            views that were run each view of the config is. Views of the config
            that look the same were run once.
    """

    bboxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    run_index: np.ndarray

    def choose(self, numbers: Sequence[int]) -> dict:
        """Choose views, and return their boxes as a merger takes them.

        Args:
            numbers: The numbers of the views in the config, at least one.

        Returns:
            The arguments of `Merger.__call__`, as if only these views had been
            run, in the order of the config and by all teachers.
        """
        num_run = int(self.run_index.max(initial=-1)) + 1
        is_run = np.zeros(num_run, bool)
        is_run[self.run_index[list(numbers)]] = True
        is_kept = np.tile(is_run, len(self.counts) // max(num_run, 1))
        counts = self.counts[is_kept]
        rows = np.repeat(is_kept, self.counts)
        return dict(
            bboxes_xyxy=torch.from_numpy(self.bboxes_xyxy[rows]),
            scores=torch.from_numpy(self.scores[rows]),
            labels=torch.from_numpy(self.labels[rows]).long(),
            view_ids=torch.arange(len(counts)).repeat_interleave(
                torch.from_numpy(counts).long()
            ),
            num_views=max(len(counts), 1),
        )


def in_original_image(
    view: MadeView | LoadedView, found: InstanceData, has_masks: bool = False
) -> InstanceData:
    """Take what was found on a view back to the original image.

    Args:
        view: The view.
        found: `bboxes` as the detector gives them, `scores` and `labels`, each
            with n elements.
        has_masks: Whether `found` has `masks` too, as `MaskMerger.keep` gives
            them. They stay in the view.

    Returns:
        `bboxes` (shape (m, 4), xyxy, pixels of the original image) and
        `scores` (shape (m,)), both float32, `labels` (shape (m,)), and `masks`
        if there are any, in order. Boxes of objects that the view may have cut
        are left out.
    """
    bboxes_xyxy, is_whole = view.invert(found.bboxes.float())
    in_original = InstanceData(
        bboxes=bboxes_xyxy, scores=found.scores.float(), labels=found.labels
    )
    if has_masks:
        in_original.masks = found.masks
    return in_original[is_whole]


def concatenate_views(
    views: Sequence[InstanceData], device: torch.device
) -> dict[str, Tensor]:
    """Put the boxes of all views of an image into one set of tensors.

    Args:
        views: The boxes of each view, as `in_original_image` returns them.
        device: The device of the tensors if there is no view.

    Returns:
        `bboxes_xyxy` (shape (n, 4)) and `scores` (shape (n,)), float32;
        `labels` and `view_ids` (shape (n,)), int64. The boxes are in the order
        of the views. All tensors are empty if there is no view.
    """
    none = dict(
        bboxes=torch.zeros(0, 4, device=device),
        scores=torch.zeros(0, device=device),
        labels=torch.zeros(0, dtype=torch.long, device=device),
    )
    views = [InstanceData(**none), *views]
    counts = torch.tensor([len(view) for view in views[1:]], dtype=torch.long)
    view_ids = torch.arange(len(counts)).repeat_interleave(counts)
    return dict(
        bboxes_xyxy=torch.cat([view.bboxes for view in views]),
        scores=torch.cat([view.scores for view in views]),
        labels=torch.cat([view.labels for view in views]),
        view_ids=view_ids.to(device),
    )


def to_host(merged: Sequence[InstanceData]) -> list[InstanceData]:
    """Copy the merged detections of all images to the host in one copy.

    Args:
        merged: The detections of each image, as a merger returns them; at
            least one image.

    Returns:
        The same detections on the host. All columns travel as float32, so
        whole numbers are exact up to 2^24.
    """
    rows = [
        torch.cat([one.bboxes, *(one[name][:, None] for name in FIELDS)], 1)
        for one in merged
    ]
    on_host = torch.cat(rows).cpu().split([len(row) for row in rows])
    return [
        InstanceData(
            bboxes=row[:, :4],
            **{
                name: row[:, 4 + n].to(dtype)
                for n, (name, dtype) in enumerate(FIELDS.items())
            },
        )
        for row in on_host
    ]


def keep_boxes(
    views: Sequence[InstanceData], ran: Sequence[MadeView | LoadedView]
) -> ViewBoxes:
    """Copy the boxes of all views of an image to the host.

    Args:
        views: The boxes of each view, as `in_original_image` returns them; the
            views of all teachers.
        ran: The views of the image that were run, in order.

    Returns:
        The boxes. There are none if no view was run.
    """
    table = torch.zeros(0, 6)
    if views:
        rows = [
            torch.cat([v.bboxes, v.scores[:, None], v.labels[:, None]], dim=1)
            for v in views
        ]
        table = torch.cat(rows).cpu()
    run_index = {
        number: index
        for index, view in enumerate(ran)
        for number in view.numbers
    }
    return ViewBoxes(
        bboxes_xyxy=table[:, :4].numpy(),
        scores=table[:, 4].numpy(),
        labels=table[:, 5].int().numpy(),
        counts=np.array([len(view) for view in views], np.int32),
        run_index=np.array(
            [run_index[n] for n in sorted(run_index)], np.int32
        ),
    )


def make_merged_sample(
    original: DetDataSample, found: InstanceData
) -> DetDataSample:
    """Make the sample of an image from its merged detections.

    Args:
        original: The sample of the image, or of its first view.
        found: The merged detections, in the frame of the original image.

    Returns:
        A new sample. Its metainfo is that of the image, without the flip, the
        scale and the size of a view.
    """
    of_view = {'flip', 'flip_direction', 'scale_factor', 'img_shape'}
    metainfo = {
        key: value
        for key, value in original.metainfo.items()
        if key not in of_view
    }
    return DetDataSample(metainfo=metainfo, pred_instances=found)
