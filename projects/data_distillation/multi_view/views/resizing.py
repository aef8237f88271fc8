"""OpenCV's bilinear resizing on any device, bit for bit.

MMDetection trains and tests on images that OpenCV has resized. PyTorch's
interpolation differs from OpenCV's by a gray level in about one pixel of ten,
and it differs between devices. The functions here do not differ, so a view is
the same on every device.
"""

import functools

import cv2
import numpy as np
import torch
from torch import Tensor

# OpenCV's weights are fixed-point numbers of 11 bits (imgproc/src/resize.cpp).
# The vertical pass drops 4 bits before it multiplies, and 16 + 2 after.
ONE = 1 << 11


def put_on_device(image: Tensor, device: torch.device) -> Tensor:
    """Copy an image to a device.

    Args:
        image: Shape (3, h, w), uint8, on the host.
        device: The device. A copy of pinned memory to a GPU may not be done
            yet when this returns.

    Returns:
        The image, of the same shape. It shares the memory of the given one if
        that is already right. On a CPU, it lies in memory as OpenCV wants it
        (the channels of a pixel together). Otherwise each view would rearrange
        it again.
    """
    if device.type == 'cpu':
        pixels = image.permute(1, 2, 0).contiguous()
        return pixels.permute(2, 0, 1)
    return image.to(device, non_blocking=True)


def resize_image(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize an image on its device as `mmcv.imresize` does by default.

    The interpolation is bilinear, without antialiasing (`cv2.INTER_LINEAR`).

    Args:
        image: Shape (3, h, w), uint8.
        size_hw: The new height and width, in pixels, each at least 1.

    Returns:
        Shape (3, *size_hw), uint8, on the same device; `image` itself if it
        has this size.
    """
    if tuple(image.shape[-2:]) == tuple(size_hw):
        return image
    if image.device.type == 'cpu':
        # After `put_on_device`, the pixels lie like this already: no copy.
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        resized = cv2.resize(pixels, size_hw[::-1])  # (width, height)
        return torch.from_numpy(resized).permute(2, 0, 1)
    return resize_in_fixed_point(image, size_hw)


def resize_in_fixed_point(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize with OpenCV's integer arithmetic, written in PyTorch.

    Args:
        image: Shape (3, h, w), uint8, on any device.
        size_hw: The new height and width, in pixels.

    Returns:
        A copy of shape (3, *size_hw), uint8, on the same device.
    """
    height, width = image.shape[-2:]
    left, right, left_weight, right_weight = find_taps(
        width, size_hw[1], image.device
    )
    upper, lower, upper_weight, lower_weight = find_taps(
        height, size_hw[0], image.device
    )
    pixels = image.int()
    # Both (3, h, new width): horizontally first, as OpenCV does.
    wide = pixels[..., left] * left_weight + pixels[..., right] * right_weight
    wide = wide >> 4
    total = (wide[:, upper] * upper_weight[:, None] >> 16) + (
        wide[:, lower] * lower_weight[:, None] >> 16
    )
    return ((total + 2) >> 2).to(torch.uint8)


# To copy the result to a GPU for every view would wait for the GPU each time.
@functools.lru_cache(maxsize=256)
def find_taps(
    old: int, new: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find the two pixels that each new pixel is made of, along one side.

    Args:
        old: The number of pixels of the side.
        new: The number of pixels to reach.
        device: The device of the result.

    Returns:
        Four tensors of shape (new,): the index of the first and of the second
        pixel (int64; beyond a border, the index of the pixel at this border),
        and the weight of the first and of the second (int32, in units of
        `1 / ONE`). They are shared, so they must not be changed.
    """
    centers = (np.arange(new) + 0.5) * (old / new) - 0.5
    # Like OpenCV: computed in double precision, kept as float32.
    centers = centers.astype(np.float32)
    first = np.floor(centers)
    share = centers - first
    # Like OpenCV, this rounds halves to even.
    weights = np.rint(np.stack([1 - share, share]) * ONE).astype(np.int32)
    indices = np.stack([first, first + 1]).clip(0, old - 1).astype(np.int64)
    return (
        *torch.from_numpy(indices).to(device),
        *torch.from_numpy(weights).to(device),
    )
