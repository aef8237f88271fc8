"""Takes the boxes of views back to the image, together, and to the host."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain, compress

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from .view_batches import LoadedView, MadeView

# What a merged detection has, besides its box.
VIEW_COLUMNS = dict(
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
            numbers: The numbers of the views in the config, counted from 0, in
                any order; at least one. A negative one counts from the end.

        Returns:
            The arguments of `Merger.__call__` by name, as if only these views
            had been run, in the order of the config and by all teachers.
            `labels` are int64.

        Raises:
            IndexError: If there is no view of such a number, as for an image
                that could not be read.
        """
        # An image that could not be read has no views: -1 + 1 is 0.
        num_run = int(self.run_index.max(initial=-1)) + 1
        is_run = np.zeros(num_run, bool)
        is_run[self.run_index[list(numbers)]] = True
        # `counts` has all views of the first teacher, then all of the next.
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


@dataclass(frozen=True)
class FoundBoxes:
    """What all teachers found on all views of an image, on their device.

    Args:
        bboxes_xyxy: Shape (n, 4), float32, pixels of the original image,
            beyond which they may reach. The boxes of a view stand together,
            those of the first view first. With several teachers, all views of
            the first come first.
        scores: Shape (n,), float32.
        labels: Shape (n,), int64.
        view_ids: Shape (n,), int64, ascending, in [0, `num_views`).
        num_views: The number of views of all teachers together, those without
            a box included; 0 if the image could not be read.
        masks: n masks as `MaskMerger.keep` gives them, in their views; none if
            masks are not wanted.
    """

    bboxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor
    view_ids: Tensor
    num_views: int
    masks: Sequence = ()

    @property
    def columns(self) -> dict[str, Tensor]:
        """The boxes, as a merger takes them; `num_views` is not there."""
        return dict(
            bboxes_xyxy=self.bboxes_xyxy,
            scores=self.scores,
            labels=self.labels,
            view_ids=self.view_ids,
        )


FoundOnView = tuple[MadeView | LoadedView, InstanceData]


def take_back(
    found: Sequence[Sequence[FoundOnView]],
    device: torch.device,
    with_masks: bool,
) -> list[FoundBoxes]:
    """Take what was found on all views of a batch back to its images.

    Boxes of objects that a view may have cut are left out. The host waits for
    the device once, to learn how many are left.

    Args:
        found: For each image, its views in order, those of all teachers, each
            with `bboxes` (shape (n, 4), xyxy in the pixels of the view's
            `frame_hw`), `scores` and `labels` (shape (n,)).
        device: The device of the boxes.
        with_masks: Whether there are `masks` too, as `MaskMerger.keep` gives
            them.

    Returns:
        The boxes of each image, in order and on `device`; none for an image
        without views.
    """
    of_views = [one for image in found for one in image]
    counts = [len(one.scores) for _, one in of_views]
    bboxes_xyxy, is_whole = invert_boxes(of_views, counts, device)
    # One copy for all views: the host waits for the device at each.
    is_kept = is_whole.cpu().numpy()
    number = np.repeat(np.arange(len(of_views)), counts)[is_kept]  # (kept,)
    # Indices and not a mask, for which the device would have to tell how many
    # rows are left.
    rows = torch.from_numpy(np.flatnonzero(is_kept)).to(device)
    # Each image counts from 0, through the views of all teachers.
    index_in_image = [i for image in found for i in range(len(image))]
    view_ids = np.array(index_in_image, np.int64)[number]
    ones = [one for _, one in of_views]
    all_scores = [one.scores for one in ones]
    all_labels = [one.labels for one in ones]
    kept_xyxy = bboxes_xyxy[rows]
    scores = concatenate_parts(all_scores, torch.float32, device)[rows]
    labels = concatenate_parts(all_labels, torch.int64, device)[rows]
    ids = torch.from_numpy(view_ids).to(device)
    masks = chain.from_iterable(one.masks for one in ones if with_masks)
    kept_masks = list(compress(masks, is_kept))
    # `number` ascends, so the boxes of an image are a slice.
    first_views = np.cumsum([0, *map(len, found)])
    bounds = np.searchsorted(number, first_views).tolist()
    return [
        FoundBoxes(
            kept_xyxy[start:end],
            scores[start:end],
            labels[start:end],
            ids[start:end],
            num_views=len(image),
            masks=kept_masks[start:end],
        )
        for image, start, end in zip(
            found, bounds[:-1], bounds[1:], strict=True
        )
    ]


def invert_boxes(
    of_views: Sequence[FoundOnView],
    counts: Sequence[int],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Take boxes back to the original images, many views at once.

    Args:
        of_views: The n views, with what was found on each; n may be 0.
        counts: The number of boxes of each view.
        device: The device of the boxes.

    Returns:
        The boxes of all views, in order, shape (sum of `counts`, 4), float32,
        pixels of the original images; and whether each is that of an object
        that the view shows whole, shape (sum of `counts`,), bool.
    """
    alike: dict[Hashable, list[int]] = {}
    for number, (view, _) in enumerate(of_views):
        alike.setdefault(view.way_back, []).append(number)
    bboxes_xyxy = [torch.zeros(0, 4)] * len(of_views)
    is_whole = [torch.zeros(0, dtype=torch.bool)] * len(of_views)
    for numbers in alike.values():
        view = of_views[numbers[0]][0]
        in_views = torch.cat([of_views[i][1].bboxes for i in numbers])
        sizes = [counts[i] for i in numbers]
        parts = (part.split(sizes) for part in view.invert(in_views.float()))
        for i, of_view, whole in zip(numbers, *parts, strict=True):
            bboxes_xyxy[i], is_whole[i] = of_view, whole
    in_order = concatenate_parts(bboxes_xyxy, torch.float32, device)
    # Without views, `concatenate_parts` gives the shape (0,).
    return in_order.reshape(-1, 4), concatenate_parts(
        is_whole, torch.bool, device
    )


def concatenate_parts(
    parts: Sequence[Tensor], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Concatenate tensors, of which there may be none, as one type.

    Args:
        parts: Tensors that differ in their first dimension, and in type, only.
        dtype: The type of the result.
        device: The device of the result if there are none.

    Returns:
        One tensor, on the device of the parts; of shape (0,) if there are
        none.
    """
    if not parts:
        return torch.zeros(0, dtype=dtype, device=device)
    return torch.cat(list(parts)).to(dtype)


def copy_boxes_to_host(merged: Sequence[InstanceData]) -> list[InstanceData]:
    """Copy the merged detections of all images to the host in one copy.

    Args:
        merged: The detections of each image, as a merger returns them; at
            least one image.

    Returns:
        The same detections on the host, in order: `bboxes` (shape (k, 4)) and
        the fields of `VIEW_COLUMNS` (shape (k,)), which says their types. All
        columns travel as float32, so whole numbers are exact up to 2**24.
    """
    rows = [
        torch.cat(
            [one.bboxes, *(one[name][:, None] for name in VIEW_COLUMNS)], 1
        )
        for one in merged
    ]
    # float32 holds the numbers of classes and views exactly up to 2**24, so
    # that one table and one copy do.
    on_host = torch.cat(rows).cpu().split([len(row) for row in rows])
    return [
        InstanceData(
            bboxes=row[:, :4],
            **{
                name: row[:, 4 + n].to(dtype)
                for n, (name, dtype) in enumerate(VIEW_COLUMNS.items())
            },
        )
        for row in on_host
    ]


def keep_boxes(
    found: FoundBoxes, ran: Sequence[MadeView | LoadedView]
) -> ViewBoxes:
    """Copy the boxes of all views of an image to the host.

    Args:
        found: The boxes of the views of all teachers.
        ran: The views of the image that were run, in order, each once however
            many teachers there are.

    Returns:
        The boxes, in the order of `found`; none if no view was run.
    """
    columns = [found.scores, found.labels, found.view_ids]
    # (n, 7): box, score, class and view, in one copy to the host. float32 has
    # whole numbers exactly up to 2**24.
    table = torch.cat([found.bboxes_xyxy, torch.stack(columns, 1)], 1).cpu()
    run_index = {
        number: index
        for index, view in enumerate(ran)
        for number in view.numbers
    }
    of_view = table[:, 6].int().numpy()
    counts = np.bincount(of_view, minlength=found.num_views)
    return ViewBoxes(
        bboxes_xyxy=table[:, :4].numpy(),
        scores=table[:, 4].numpy(),
        labels=table[:, 5].int().numpy(),
        counts=counts.astype(np.int32),
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
        A new sample, with `found` as `pred_instances`. Its metainfo is that of
        the image, without the flip, the scale and the size of a view.
    """
    of_view = {'flip', 'flip_direction', 'scale_factor', 'img_shape'}
    metainfo = {
        key: value
        for key, value in original.metainfo.items()
        if key not in of_view
    }
    return DetDataSample(metainfo=metainfo, pred_instances=found)
