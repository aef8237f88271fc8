"""Masks of objects, each cut to its own rectangle of the image.

A hundred masks of an image of 1333x800 pixels are 107 MB; cut to objects of
200x200 pixels, they are 4 MB. Everything that views do with masks is therefore
done with the rectangles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor


@dataclass(frozen=True)
class MaskPatch:
    """The mask of an object: a rectangle, outside of which nothing is set.

    Args:
        values: Shape (h, w): bool, or uint8 with 255 for a probability of 1,
            or float32 from 0 to 1.
        left: The column of the image where the rectangle starts, in pixels
            from 0 on.
        top: The row of the image where it starts, in pixels from 0 on.
    """

    values: Tensor
    left: int
    top: int

    @property
    def size_hw(self) -> tuple[int, int]:
        """The height and width of the rectangle, in pixels."""
        height, width = self.values.shape
        return height, width

    def probabilities(self) -> Tensor:
        """Convert the values to probabilities.

        Returns:
            Float32, shape (h, w), from 0 to 1; a bool becomes 0 or 1. It is
            `values` itself if they are float32.
        """
        values = self.values.float()
        return values / 255 if self.values.dtype == torch.uint8 else values

    def cut(self, size_hw: tuple[int, int]) -> 'MaskPatch':
        """Return the part that lies in an image of some size.

        Args:
            size_hw: The height and width of the image in pixels. Its top left
                corner is that of the patch's own image.

        Returns:
            The patch without the rows below and the columns right of the
            image, whose memory is shared; one of shape (0, 0) at (0, 0) if it
            lies outside.
        """
        height, width = size_hw
        rows, columns = max(height - self.top, 0), max(width - self.left, 0)
        if not rows * columns:
            # Rows without columns would still reach out of the image.
            return MaskPatch(self.values[:0, :0], 0, 0)
        return replace(self, values=self.values[:rows, :columns])


def find_extents(masks: Sequence[Tensor] | Tensor) -> Tensor:
    """Find the smallest rectangle around each mask.

    Args:
        masks: n masks of one shape (h, w) without a 0, bool or uint8; what is
            not 0 is set.

    Returns:
        Shape (n, 4), int64, on the device of the masks: left, top, right and
        bottom in pixels, each right and bottom one past the last pixel. They
        are 0 for a mask without a pixel. Without a mask, the result is on the
        CPU.
    """
    if not len(masks):
        return torch.zeros(0, 4, dtype=torch.long)
    # On a CPU, `amax` of bytes takes an eighth of the time of `any`.
    numbers = [
        mask.view(torch.uint8) if mask.dtype == torch.bool else mask
        for mask in masks
    ]
    edges = []
    for axis in (0, 1):
        # Axis 0, the rows, is reduced first: columns remain, left and right.
        along = torch.stack([mask.amax(dim=axis) for mask in numbers]) > 0
        first = along.int().argmax(dim=1)
        last = along.shape[1] - along.flip(1).int().argmax(dim=1)
        edges.append((first, torch.where(along.any(dim=1), last, first)))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], dim=1)


def cut_masks(masks: Sequence[Tensor] | Tensor) -> list[MaskPatch]:
    """Cut each mask to the smallest rectangle around it.

    Args:
        masks: n masks of one shape (h, w) without a 0, bool or uint8, see
            `MaskPatch`.

    Returns:
        The patches, in order and with the type of the masks. They do not keep
        the memory of `masks`. A mask without a pixel gives a patch of shape
        (0, 0) at (0, 0).
    """
    return [
        # A copy: a slice would keep the whole mask in memory.
        MaskPatch(mask[top:bottom, left:right].clone(), left, top)
        for mask, (left, top, right, bottom) in zip(
            masks, find_extents(masks).tolist(), strict=True
        )
    ]


def resize_mask(
    mask: MaskPatch, size_hw: tuple[int, int], new_hw: tuple[int, int]
) -> MaskPatch:
    """Resize the image of a mask.

    The interpolation is bilinear. Where the image becomes smaller, each pixel
    is a weighted mean of the pixels around it (antialiasing). Up to rounding,
    the result is that of `torch.nn.functional.interpolate` on the whole image,
    with `mode='bilinear'` and `antialias=True`.

    Args:
        mask: The mask.
        size_hw: The height and width of its image, in pixels.
        new_hw: The new height and width of the image, in pixels.

    Returns:
        The mask in the new image, with probabilities as float32. Its rectangle
        holds all pixels that the mask counts to, and stays in the image.
    """
    height, width = mask.size_hw
    device = mask.values.device
    top, rows = weigh_pixels(mask.top, height, size_hw[0], new_hw[0], device)
    left, columns = weigh_pixels(
        mask.left, width, size_hw[1], new_hw[1], device
    )
    # Separable: (h', h) @ (h, w) @ (w, w').
    return MaskPatch(rows @ mask.probabilities() @ columns.T, left, top)


def weigh_pixels(
    start: int, length: int, size: int, new_size: int, device: torch.device
) -> tuple[int, Tensor]:
    """Return how much some pixels of a line count in its resized pixels.

    Args:
        start: The index of the first of the pixels.
        length: The number of pixels.
        size: The length of the line, in pixels.
        new_size: The length of the resized line, in pixels.
        device: The device of the weights.

    Returns:
        The index of the first resized pixel to which they count, and the
        weights, shape (number of resized pixels, length), float32, on
        `device`. For each resized pixel, the weights of all pixels of the line
        would add up to 1.
    """
    scale = size / new_size
    # As with antialiasing: the smaller the new image, the more pixels count to
    # one of its pixels.
    reach = max(scale, 1.0)
    # `first` and `end` are rounded outwards: a pixel too many has weight 0.
    first = math.floor((start + 0.5 - reach) / scale - 0.5)
    first = min(max(first, 0), new_size)
    end = math.ceil((start + length - 0.5 + reach) / scale - 0.5) + 1
    end = max(min(end, new_size), first)
    # All pixels that count to these, so that the sums are right at the border.
    low = max(math.floor((first + 0.5) * scale - reach), 0)
    high = min(math.ceil((end - 0.5) * scale + reach), size)
    centers = (torch.arange(first, end, device=device) + 0.5).double() * scale
    pixels = (torch.arange(low, high, device=device) + 0.5).double()
    # The triangle filter, (number of resized pixels, high - low).
    weights = 1 - (pixels[None] - centers[:, None]).abs() / reach
    weights = weights.clamp(min=0)
    weights = weights / weights.sum(dim=1, keepdim=True)
    offset = start - low
    return first, weights[:, offset : offset + length].float()


def encode_rle(
    is_set: np.ndarray, left: int, top: int, size_hw: tuple[int, int]
) -> bytes:
    """Encode a mask as COCO's compressed run-length encoding.

    pycocotools would encode the whole image; the time taken here depends on
    the rectangle alone.

    Args:
        is_set: The rectangle of the mask, shape (h, w), bool. It lies in the
            image.
        left: The column of the image where the rectangle starts, in pixels.
        top: The row of the image where it starts, in pixels.
        size_hw: The height and width of the image, in pixels.

    Returns:
        The `counts` of the encoding, equal to those of `pycocotools`.
    """
    height, width = size_hw
    num_rows = is_set.shape[0] + 1  # A row that is not set ends each column.
    below = np.zeros((num_rows, is_set.shape[1]), np.int8)
    below[:-1] = is_set
    flat = below.ravel(order='F')
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0))
    # From the rectangle to the image, in columns as COCO counts.
    edges = (edges // num_rows + left) * height + edges % num_rows + top
    starts, ends = edges[::2], edges[1::2]
    # A run to the lower border goes on in the next column.
    # Without a run, the slice drops the True.
    is_new = np.append(True, starts[1:] != ends[:-1])[: len(starts)]
    is_last = np.append(is_new[1:], True)[: len(starts)]
    runs = np.stack([starts[is_new], ends[is_last]], axis=1).ravel()
    counts = np.diff(runs, prepend=0, append=height * width)
    # pycocotools writes no empty run at the end.
    if counts[-1] == 0 and len(counts) > 1:
        counts = counts[:-1]
    rle = dict(size=[height, width], counts=counts.tolist())
    return coco_mask.frPyObjects(rle, height, width)['counts']
