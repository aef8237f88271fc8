"""Descriptions of images by vectors: features of the teacher, or colors."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import Tensor, nn

# The longer side of what the backbone looks at, in pixels. Larger images cost
# time, and say little more about what an image shows as a whole.
FEATURE_SIDE = 320
# The side of the thumbnail that describes an image without a backbone.
COLOR_SIDE = 8
# What a detector raises whose features need more than an image, or a larger
# one (SSD).
FEATURELESS = (
    NotImplementedError,
    AttributeError,
    TypeError,
    ValueError,
    RuntimeError,
)

Describe = Callable[[np.ndarray], np.ndarray]


def normalize_vector(vector: np.ndarray) -> np.ndarray:
    """Scale a vector to the length 1; 0 stays 0.

    Args:
        vector: Shape (d,).

    Returns:
        Shape (d,), a vector of length 1; zeros stay zeros.
    """
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def describe_colors(pixels: np.ndarray) -> np.ndarray:
    """Describe an image by a thumbnail, for models without a backbone.

    Args:
        pixels: Shape (height, width, 3), BGR, uint8.

    Returns:
        Shape (3 * COLOR_SIDE ** 2,), float32, from -127.5 to 127.5.
    """
    size_wh = (COLOR_SIDE, COLOR_SIDE)
    small = cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)
    # Centered: vectors of positive numbers all point to one side.
    return small.astype(np.float32).ravel() - 127.5


class BackboneDescription:
    """Describes an image by the pooled features of a detector.

    Args:
        detector: A detector with `extract_feat`. It is set to evaluation mode.

    Raises:
        AttributeError: If the detector has no `extract_feat` or no
            `data_preprocessor`.
    """

    def __init__(self, detector: nn.Module) -> None:
        # Methods and modules of the detector; mypy knows only nn.Module.
        self.extract: Any = detector.extract_feat
        self.prepare: Any = detector.data_preprocessor
        detector.eval()

    @torch.no_grad()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Describe an image, see `describe_colors`.

        Args:
            pixels: Shape (height, width, 3), BGR, uint8. If the longer side is
                above `FEATURE_SIDE`, a smaller copy is looked at.

        Returns:
            Shape (k,), float32: mean and standard deviation of each channel,
            where the features of each level have the length 1.

        Raises:
            ValueError: If the detector gives no feature map.
        """
        scale = min(FEATURE_SIDE / max(pixels.shape[:2]), 1)
        size_wh = [max(round(n * scale), 1) for n in pixels.shape[1::-1]]
        small = cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)
        levels = self.extract(self._prepare(small))
        if isinstance(levels, Tensor):
            levels = [levels]
        parts = [
            # Each level counts alike, however large its numbers are.
            normalize_vector(pool_level(level))
            for level in levels
            if level.dim() == 4
        ]
        return np.concatenate(parts)

    def _prepare(self, pixels: np.ndarray) -> Tensor:
        """Return the batch that the backbone takes."""
        height, width = pixels.shape[:2]
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(height, width),
                ori_shape=(height, width),
                scale_factor=(1.0, 1.0),
            )
        )
        image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        batch = dict(inputs=[image], data_samples=[sample])
        return self.prepare(batch, False)['inputs']


def pool_level(level: Tensor) -> np.ndarray:
    """Compute mean and standard deviation of each channel.

    Args:
        level: Shape (1, channels, height, width).

    Returns:
        Shape (2 * channels,), float32: first all means.
    """
    flat = level[0].flatten(1)
    both = torch.cat([flat.mean(1), flat.std(1, correction=0)])
    return both.float().cpu().numpy()


def choose_description(detector: nn.Module | None) -> tuple[Describe, str]:
    """Choose how images are described.

    Args:
        detector: The teacher; None if it is not at hand.

    Returns:
        The function, and in words what it looks at: the detector's backbone if
        it takes an image alone (it is tried with a black one), otherwise the
        colors.
    """
    if detector is not None:
        try:
            describe = BackboneDescription(detector)
            describe(np.zeros((64, 64, 3), np.uint8))
        except torch.cuda.OutOfMemoryError:
            raise  # It is a RuntimeError, and no fault of the detector.
        except FEATURELESS:
            pass
        else:
            return describe, "the teacher's backbone"
    return describe_colors, 'colors, because there are no features'
