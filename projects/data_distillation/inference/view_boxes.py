"""Takes the boxes of views back to the image, together, and to the host."""

from collections.abc import Sequence

import torch
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


def in_original_image(
    view: MadeView | LoadedView, found: InstanceData
) -> InstanceData:
    """Take what was found on a view back to the original image.

    Args:
        view: The view.
        found: `bboxes` as the detector gives them, `scores` and `labels`, each
            with n elements.

    Returns:
        `bboxes` (shape (m, 4), xyxy, pixels of the original image) and
        `scores` (shape (m,)), both float32, and `labels` (shape (m,)), in
        order. Boxes of objects that the view may have cut are left out.
    """
    bboxes_xyxy, is_whole = view.invert(found.bboxes.float())
    return InstanceData(
        bboxes=bboxes_xyxy, scores=found.scores.float(), labels=found.labels
    )[is_whole]


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
