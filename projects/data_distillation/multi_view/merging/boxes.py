"""The boxes of several images as columns, and what mergers compute of them.

Small tensors take as much time as large ones, so the images of a batch share
the steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ...arguments import check_at_least_1

# The columns of `Boxes` and the fields of a detection, in order.
COLUMNS = 'bboxes_xyxy', 'scores', 'labels', 'view_ids'
FIELDS = 'bboxes', 'scores', 'labels', 'num_views', 'corner_spread'


@dataclass(frozen=True)
class Boxes:
    """The boxes of some images, those of the first image first.

    Args:
        bboxes_xyxy: Shape (n, 4), pixels of the image of each box; every box
            has an area.
        scores: Shape (n,), float32.
        labels: Shape (n,), int64, the class of each box.
        view_ids: Shape (n,), int64, the number of the view that found each
            box, among the views of its image.
        counts: The number of boxes of each image, n in all.
    """

    bboxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor
    view_ids: Tensor
    counts: list[int]

    def by_image(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the columns of each image.

        Yields:
            For each image, in order, its part of each column, in the order of
            `COLUMNS`; n is 0 for an image without boxes.
        """
        parts = (getattr(self, name).split(self.counts) for name in COLUMNS)
        yield from zip(*parts, strict=True)


def join_images(images: Sequence[dict]) -> Boxes:
    """Put the boxes of some images together, apart from those without area.

    One with a NaN or an infinite number has no area either, nor has one whose
    score is such a number: in a mean, it would spoil the boxes beside it.

    Args:
        images: The arguments of `Merger.__call__` by name, for each image; at
            least one image. All boxes are on one device.

    Returns:
        The boxes that have an area, in the order in which they are given.

    Raises:
        ValueError: If `num_views` is below 1 or no integer, or an id in
            `view_ids` is not in [0, num_views), even if its box has no area.
    """
    for image in images:
        check_at_least_1('num_views', image['num_views'])
    columns = [torch.cat([image[key] for image in images]) for key in COLUMNS]
    counts = [len(image['scores']) for image in images]
    num_views = [image['num_views'] for image in images]
    check_views(
        columns[3], repeat_numbers(num_views, counts, columns[3].device)
    )
    has_area = (columns[0][:, 2:] > columns[0][:, :2]).all(dim=1)
    has_area &= columns[0].isfinite().all(dim=1) & columns[1].isfinite()
    if not has_area.all():
        counts = [int(part.sum()) for part in has_area.split(counts)]
        columns = [column[has_area] for column in columns]
    bboxes_xyxy, scores, labels, view_ids = columns
    return Boxes(bboxes_xyxy, scores, labels, view_ids, counts)


def repeat_numbers(
    numbers: Sequence[int], counts: Sequence[int], device: torch.device
) -> Tensor:
    """Repeat the number of each image for each of its boxes.

    Args:
        numbers: An integer for each image; at least one.
        counts: The number of boxes of each image, as many as `numbers`.
        device: The device of the result.

    Returns:
        Shape (sum of `counts`,), int64, image by image.
    """
    # On the host first: on a GPU, the host would wait to learn the size of the
    # result.
    return (
        torch.tensor(numbers)
        .repeat_interleave(torch.tensor(counts))
        .to(device)
    )


def check_views(view_ids: Tensor, num_views: Tensor) -> None:
    """Refuse boxes of a view that their image does not have.

    Args:
        view_ids: Shape (n,), integers.
        num_views: Shape (n,), integers on the same device: the number of views
            of the image of each box.

    Raises:
        ValueError: If an id is not in [0, num_views); with the first such id.
    """
    is_outside = (view_ids < 0) | (view_ids >= num_views)
    if is_outside.any():
        first = int(is_outside.int().argmax())
        raise ValueError(
            f'view_ids must be in [0, num_views = {int(num_views[first])}), '
            f'got {int(view_ids[first])}'
        )


def rank_detections(
    scores: Tensor, counts: Sequence[int], most: int
) -> Tensor:
    """Find the best detections of each image.

    Args:
        scores: Shape (k,), those of the first image first. A NaN counts as the
            highest score.
        counts: The number of detections of each image, k in all; at least one
            image.
        most: The most detections to keep of an image.

    Returns:
        Shape (number kept,), int64, the indices in `scores` of those that are
        kept, image by image and by descending score. Equal scores keep their
        order.
    """
    images = repeat_numbers(range(len(counts)), counts, scores.device)
    ends = list(accumulate(counts, initial=0))
    first = repeat_numbers(ends[:-1], counts, scores.device)
    # By image and then by score, in two stable sorts: the last one decides
    # first.
    order = scores.argsort(descending=True, stable=True)
    order = order[images[order].argsort(stable=True)]
    # An image has the same places before and after sorting, since the images
    # stay in order. So `first` fits here too.
    places = torch.arange(len(scores), device=scores.device)
    return order[places - first < most]


def compute_pairwise_ious_xyxy(
    some_xyxy: Tensor, others_xyxy: Tensor
) -> Tensor:
    """Compute the overlap of each box with each of some others.

    The numbers are those of mmcv's `bbox_overlaps`, bit for bit. Here each
    coordinate lies on its own in memory, which is several times as fast.

    Args:
        some_xyxy: Shape (k, 4), pixels; a box may have no area.
        others_xyxy: Shape (n, 4), pixels; every box has an area.

    Returns:
        Shape (k, n), intersection over union in [0, 1], of the type of the
        boxes; 0 for boxes that only touch.
    """
    some = some_xyxy.T.contiguous()[:, :, None]  # (4, k, 1)
    others = others_xyxy.T.contiguous()[:, None]  # (4, 1, n)
    # (2, k, n), the width and height of each intersection. It is changed in
    # place, to save memory.
    sides = torch.minimum(some[2:], others[2:])
    sides -= torch.maximum(some[:2], others[:2])
    intersections = sides.clamp_(min=0).prod(dim=0)
    areas = [(xyxy[2:] - xyxy[:2]).prod(dim=0) for xyxy in (some, others)]
    return intersections / (areas[0] + areas[1] - intersections)


def count_views(
    supports: Tensor, num_kept: int, view_ids: Tensor, num_views: int
) -> Tensor:
    """Count the views that support each detection.

    Args:
        supports: Shape (p, 2), int64, the number of a detection and that of a
            box that supports it, both from 0 on, in any order.
        num_kept: The number of detections, k.
        view_ids: Shape (n,), int64, the view of each box, in [0, num_views).
        num_views: The largest number of views of an image.

    Returns:
        Shape (k,), int64, the number of different views of each detection; 0
        if no box supports it.
    """
    is_seen = view_ids.new_zeros(num_kept, num_views)
    # Set and not added: several boxes of one view count once.
    is_seen[supports[:, 0], view_ids[supports[:, 1]]] = 1
    return is_seen.sum(dim=1)


def measure_corner_spread(
    supports: Tensor, kept_xyxy: Tensor, bboxes_xyxy: Tensor
) -> Tensor:
    """Measure how far apart the boxes are that support each detection.

    This is the root mean square of the distance of a coordinate from its mean,
    over the supporting boxes and their four coordinates x1, y1, x2 and y2. It
    is divided by sqrt(width * height) of the detection. The mean of each
    coordinate is that over the supporting boxes.

    Args:
        supports: Shape (p, 2), int64, the number of a detection and that of a
            box that supports it, both from 0 on, in any order.
        kept_xyxy: Shape (k, 4), the detections, pixels.
        bboxes_xyxy: Shape (n, 4), pixels of the same images.

    Returns:
        Shape (k,), of the type of `kept_xyxy`, without a unit; 0 for a
        detection that one box or no box supports. If all coordinates are
        finite, none is NaN.
    """
    kept, supporting = supports.unbind(dim=1)
    # At least 1, for detections that no box supports.
    counts = kept.bincount(minlength=len(kept_xyxy)).clamp(min=1)[:, None]

    def means_of(values: Tensor) -> Tensor:
        """Return the mean of each detection's rows, shape (k, 4)."""
        # Rows are added as single numbers: PyTorch is slow to add rows.
        cells = kept[:, None] * 4 + torch.arange(4, device=kept.device)
        sums = values.new_zeros(kept_xyxy.numel())
        sums.index_add_(0, cells.flatten(), values.flatten())
        return sums.reshape(-1, 4) / counts

    # Measured from the detection and not from 0, so that the spread of equal
    # boxes is exactly 0. In float64, no digit depends on the order of boxes.
    offsets = bboxes_xyxy[supporting].double() - kept_xyxy[kept]
    variances = means_of((offsets - means_of(offsets)[kept]) ** 2)
    sides = kept_xyxy[:, 2:] - kept_xyxy[:, :2]
    size = sides.prod(dim=1).sqrt().clamp(min=find_smallest_normal(sides))
    return variances.mean(dim=1).sqrt().to(kept_xyxy) / size


def find_smallest_normal(like: Tensor) -> float:
    """Find the smallest positive normal number, to divide by instead of 0.

    Args:
        like: A tensor of floats, of the type that the number must fit.

    Returns:
        The number; those that are still smaller are less exact.
    """
    return torch.finfo(like.dtype).tiny
