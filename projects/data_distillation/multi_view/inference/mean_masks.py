"""Averages the masks that several views show of one object."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..views.masks import MaskPatch, encode_rle
from ..views.transforms import Size

# The largest error of a mean in fp32, so that rounding decides no tie.
ROUNDING = 1e-5


@dataclass(frozen=True)
class MeanMask:
    """The mean of the masks of some views, on their device.

    Args:
        is_set: Where the mean reaches the threshold, shape (h, w), bool.
        left: The column of the image where the rectangle starts, in pixels.
        top: The row of the image where it starts, in pixels.
        agreement: How much the views agree, shape (), float32, see
            `MaskMerger.merge`.
    """

    is_set: Tensor
    left: int
    top: int
    agreement: Tensor


@dataclass(frozen=True)
class HostMask:
    """A `MeanMask` on the host.

    Args:
        is_set: Shape (h, w), bool: which pixels of the rectangle are set.
        left: The column of the rectangle's first pixel in the original image.
        top: The row of the rectangle's first pixel in the original image.
        agreement: How much the views agree, see `MaskMerger.merge`.
    """

    is_set: np.ndarray
    left: int
    top: int
    agreement: float

    def encode(self, size_hw: Size) -> dict:
        """Encode the mask as COCO's RLE; it may have no pixel.

        Args:
            size_hw: The height and width of the original image, in pixels.

        Returns:
            `size` (a list of height and width) and `counts` (bytes, which are
            not empty even if the mask has no pixel).
        """
        counts = encode_rle(self.is_set, self.left, self.top, size_hw)
        return dict(size=list(size_hw), counts=counts)

    def find_bbox_xyxy(self) -> list[float]:
        """Find the smallest box around the mask, which must have a pixel.

        Returns:
            (x1, y1, x2, y2) in pixels of the original image; x2 and y2 are one
            past the last pixel.

        Raises:
            IndexError: If the mask has no pixel.
        """
        # Rows that have a pixel (columns are reduced), then columns.
        rows, columns = (
            np.flatnonzero(self.is_set.any(axis=1 - i)) for i in (0, 1)
        )
        return [
            float(self.left + columns[0]),
            float(self.top + rows[0]),
            float(self.left + columns[-1] + 1),
            float(self.top + rows[-1] + 1),
        ]


def average_masks(
    masks: Iterable[MaskPatch], weights: Sequence[float], threshold: float
) -> MeanMask:
    """Average the masks of one object.

    Args:
        masks: The masks in the original image, at least one, on one device.
            They are taken one by one, so that a generator saves memory.
        weights: The weight of each mask, 0 or more. If all are 0, they count
            alike.
        threshold: What a pixel of the mean must reach to be set, above 0 and
            below 1.

    Returns:
        The mean, cut at the threshold, on the device of the masks. A pixel
        whose mean is less by at most `ROUNDING` is set too. The rectangle
        holds all those of the masks that have pixels.

    Raises:
        ValueError: If there are not as many weights as masks.
    """
    # The weights are above 0, so that boxes of score 0 have a mean.
    positive = np.maximum(weights, np.finfo(np.float64).tiny)
    shares = (positive / positive.sum()).tolist()
    votes = []
    # No rectangle yet: the first mask gives it one.
    total = MaskPatch(torch.zeros(0, 0), 0, 0)
    for mask, share in zip(masks, shares, strict=True):
        values = mask.probabilities()
        total = widen_mask(total, mask)
        # `find_window` shares the memory of `total`, so this adds in place.
        find_window(total, mask).add_(values, alpha=share)
        votes.append(MaskPatch(values >= threshold, mask.left, mask.top))
    is_set = total.values >= threshold - ROUNDING
    # By now `total` holds the rectangles of all votes that have pixels, on
    # which `measure_mask_iou` relies.
    ious = [
        measure_mask_iou(vote, MaskPatch(is_set, total.left, total.top))
        for vote in votes
    ]
    agreement = torch.stack(ious) @ is_set.new_tensor(
        shares, dtype=torch.float32
    )
    return MeanMask(is_set, total.left, total.top, agreement)


def widen_mask(mask: MaskPatch, other: MaskPatch) -> MaskPatch:
    """Widen the rectangle of a mask to one that holds another's too.

    Args:
        mask: The mask, of float32; without pixels if nothing is set yet.
        other: The other mask.

    Returns:
        The mask in the wider rectangle, 0 where it was not before; the same
        one if only the other has no pixels.
    """
    if not mask.values.numel():
        nothing = torch.zeros_like(other.values, dtype=torch.float32)
        return MaskPatch(nothing, other.left, other.top)
    height, width = other.size_hw
    if not height * width:
        return mask
    own_height, own_width = mask.size_hw
    left, top = min(mask.left, other.left), min(mask.top, other.top)
    right = max(mask.left + own_width, other.left + width)
    bottom = max(mask.top + own_height, other.top + height)
    # `functional.pad` counts from the last dimension: left, right, top,
    # bottom.
    padding = (
        mask.left - left,
        right - mask.left - own_width,
        mask.top - top,
        bottom - mask.top - own_height,
    )
    return MaskPatch(functional.pad(mask.values, padding), left, top)


def find_window(mask: MaskPatch, other: MaskPatch) -> Tensor:
    """Return the part of a mask that lies in the rectangle of another.

    Args:
        mask: The mask, whose rectangle holds the other's.
        other: The other mask.

    Returns:
        The shape of the other; it shares the memory of the mask.
    """
    top, left = other.top - mask.top, other.left - mask.left
    height, width = other.size_hw
    return mask.values[top : top + height, left : left + width]


def measure_mask_iou(mask: MaskPatch, whole: MaskPatch) -> Tensor:
    """Return the intersection over union of two masks.

    Args:
        mask: A mask, of bool.
        whole: Another, of bool, whose rectangle holds that of the mask.

    Returns:
        Shape (), float32; 1 if neither has a pixel.
    """
    shared = (mask.values & find_window(whole, mask)).sum()
    union = mask.values.sum() + whole.values.sum() - shared
    # `where` and not `if`, for which the host would wait for the device. Both
    # sides are computed, hence the clamp.
    return torch.where(union > 0, shared / union.clamp(min=1), 1.0).float()


def copy_masks_to_host(means: Sequence[MeanMask]) -> list[HostMask]:
    """Copy masks to the host in one copy.

    Args:
        means: The masks, of any sizes and on one device.

    Returns:
        One mask for each, in order; an empty list if there is none. They share
        one array.
    """
    if not means:
        return []
    agreements = torch.stack([mean.agreement for mean in means]).float()
    # Flat, because masks of different sizes cannot be stacked; as bytes, so
    # that numbers and pixels travel together.
    columns = [agreements, *(mean.is_set.flatten() for mean in means)]
    flat = torch.cat([one.view(torch.uint8) for one in columns]).cpu().numpy()
    ends = np.cumsum([one.nbytes for one in columns])
    shares, *parts = np.split(flat, ends[:-1])
    return [
        HostMask(
            part.view(bool).reshape(mean.is_set.shape),
            mean.left,
            mean.top,
            share,
        )
        for mean, part, share in zip(
            means, parts, shares.view(np.float32).tolist(), strict=True
        )
    ]
