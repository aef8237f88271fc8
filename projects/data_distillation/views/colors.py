"""Transforms that change the colors of an image, and no box."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .transforms import VIEW_TRANSFORMS, ViewTransform, check_positive


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Brightness(ViewTransform):
    """Multiply the gray levels.

    Args:
        factor: Above 1 makes an image brighter, below 1 darker; positive.

    Raises:
        ValueError: If it is not positive.
    """

    factor: float = 1.2

    def __post_init__(self) -> None:
        check_positive(self, self.factor)

    def apply(self, image: Tensor) -> Tensor:
        """Change an image."""
        return to_gray_levels(image.float() * self.factor)


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Contrast(ViewTransform):
    """Move the gray levels away from the image's mean, or towards it.

    Args:
        factor: Of the distance to the mean; positive.

    Raises:
        ValueError: If it is not positive.
    """

    factor: float = 1.2

    def __post_init__(self) -> None:
        check_positive(self, self.factor)

    def apply(self, image: Tensor) -> Tensor:
        """Change an image."""
        # Of integers: the same however many threads add them up.
        mean = image.sum() / image.numel()
        return to_gray_levels((image - mean) * self.factor + mean)


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Gamma(ViewTransform):
    """Raise the gray levels, as parts of 255, to a power.

    Args:
        gamma: Below 1 makes dark parts brighter, above 1 darker; positive.

    Raises:
        ValueError: If it is not positive.
    """

    gamma: float = 0.8

    def __post_init__(self) -> None:
        check_positive(self, self.gamma)

    def apply(self, image: Tensor) -> Tensor:
        """Change an image."""
        return to_gray_levels((image.float() / 255) ** self.gamma * 255)


def to_gray_levels(pixels: Tensor) -> Tensor:
    """Round to the nearest gray level, uint8."""
    return pixels.round().clamp(0, 255).to(torch.uint8)
