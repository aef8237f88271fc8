"""View transforms that change the colors of an image, and no box."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .transforms import VIEW_TRANSFORMS, ViewTransform


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Brightness(ViewTransform):
    """Multiplies the gray levels by a factor.

    Args:
        factor: The factor, above 0. A factor above 1 makes an image brighter,
            one below 1 makes it darker.

    Raises:
        ValueError: If the factor is not above 0.
        TypeError: If it is no number.
    """

    factor: float = 1.2

    def __post_init__(self) -> None:
        check_positive(self, self.factor)

    def apply(self, image: Tensor) -> Tensor:
        """Multiply the gray levels of an image.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            The same shape, uint8, rounded and limited to 0 to 255.
        """
        return to_gray_levels(image.float() * self.factor)


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Contrast(ViewTransform):
    """Moves the gray levels away from the mean of the image, or towards it.

    Args:
        factor: The factor by which the distance to the mean grows, above 0. A
            factor below 1 moves the gray levels towards the mean.

    Raises:
        ValueError: If the factor is not above 0.
        TypeError: If it is no number.
    """

    factor: float = 1.2

    def __post_init__(self) -> None:
        check_positive(self, self.factor)

    def apply(self, image: Tensor) -> Tensor:
        """Scale how far the gray levels of an image are from their mean.

        Args:
            image: Shape (3, h, w), uint8. The mean is that of all its pixels
                and channels.

        Returns:
            The same shape, uint8, rounded and limited to 0 to 255.
        """
        # The sum of integers is exact, whatever the number of threads.
        mean = image.sum() / image.numel()
        # `mean` is a float, so the difference of bytes does not wrap around.
        return to_gray_levels((image - mean) * self.factor + mean)


@VIEW_TRANSFORMS.register_module()
@dataclass(frozen=True)
class Gamma(ViewTransform):
    """Raises the gray levels, as fractions of 255, to a power.

    Args:
        gamma: The power, above 0. A power below 1 makes dark parts brighter,
            one above 1 makes them darker.

    Raises:
        ValueError: If the power is not above 0.
        TypeError: If it is no number.
    """

    gamma: float = 0.8

    def __post_init__(self) -> None:
        check_positive(self, self.gamma)

    def apply(self, image: Tensor) -> Tensor:
        """Raise the gray levels of an image, as parts of 255, to a power.

        Args:
            image: Shape (3, h, w), uint8.

        Returns:
            The same shape, uint8, rounded and limited to 0 to 255.
        """
        return to_gray_levels((image.float() / 255) ** self.gamma * 255)


def to_gray_levels(pixels: Tensor) -> Tensor:
    """Round pixels to the nearest gray level, halves to the even one.

    Args:
        pixels: Any shape, float32, without NaN.

    Returns:
        The same shape, uint8; values outside [0, 255] are clipped.
    """
    # `to` alone would drop fractions, and it does not clip.
    return pixels.round().clamp(0, 255).to(torch.uint8)


def check_positive(transform: ViewTransform, value: float) -> None:
    """Check an argument that must be above 0.

    Args:
        transform: The transform, for the message.
        value: The argument.

    Raises:
        ValueError: If the argument is 0 or less, or NaN.
        TypeError: If it is no number.
    """
    # Not `<= 0`, which is False for NaN.
    if not value > 0:
        raise ValueError(f'the argument must be above 0, got {transform}')
