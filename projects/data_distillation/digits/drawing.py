"""Images of scattered digits, and where the digits are."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .scans import ink_box, lay_ink


@dataclass(frozen=True)
class Style:
    """How an image looks; the ranges are drawn from uniformly.

    Attributes:
        side: Width and height of an image, in pixels.
        digits: Least and greatest number of digits that are tried.
        digit_side: Side of a scan on the image, in pixels.
        angle: Greatest rotation either way, in degrees. Well below 90: a
            six turned by 180 degrees is a nine.
        stretch: Greatest relative change of the width, and of the shear.
        overlap: Greatest part of a digit's box, 0 to 1, that the box of
            another may cover.
        contrast: Gray levels from the mean background down to a digit.
        strokes: Least and greatest number of pen strokes that are no digits.
        blobs: Least and greatest number of soft spots in the background.
        noise: Standard deviation of the noise, in gray levels.
    """

    side: int = 128
    digits: tuple[int, int] = (7, 9)
    digit_side: tuple[float, float] = (20.0, 44.0)
    angle: float = 6.0
    stretch: float = 0.1
    overlap: float = 0.15
    contrast: tuple[float, float] = (60.0, 120.0)
    strokes: tuple[int, int] = (2, 5)
    blobs: tuple[int, int] = (0, 4)
    noise: tuple[float, float] = (2.0, 10.0)


@dataclass(frozen=True)
class Digit:
    """One digit on an image.

    Attributes:
        label: 0 to 9, the digit itself.
        alpha: (H, W) float32, how much of each pixel the ink covers, 0 to 1.
        bbox_xywh: The smallest box, in whole pixels, around the pixels with
            at least `INK` ink, also those that a later digit hides.
    """

    label: int
    alpha: np.ndarray
    bbox_xywh: tuple[int, int, int, int]


def draw_pose(
    rng: np.random.Generator, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a digit's size, rotation, stretch and shear, and its place.

    Args:
        rng: Is advanced.
        style: Gives the ranges.

    Returns:
        `linear` and `center` of `lay_ink`; the upright scan would lie wholly
        inside the image.
    """
    size = rng.uniform(*style.digit_side)
    angle = np.deg2rad(rng.uniform(-style.angle, style.angle))
    wide, shear = rng.uniform(-style.stretch, style.stretch, 2)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    linear = size / 8 * turn @ np.array([[1 + wide, shear], [0, 1]])
    return linear, rng.uniform(size / 2, style.side - size / 2, 2)


def covered_part(
    box: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> float:
    """Return how much of the smaller of two xywh boxes lies in the other."""
    w = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    h = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    smaller = min(box[2] * box[3], other[2] * other[3])
    return max(w, 0) * max(h, 0) / max(smaller, 1)


def place_digit(
    scan: np.ndarray,
    label: int,
    others: list[Digit],
    rng: np.random.Generator,
    style: Style,
) -> Digit | None:
    """Find a place for one digit among those that are already there.

    Args:
        scan: (8, 8), ink from 0 to 1.
        label: 0 to 9.
        others: Are overlapped by `style.overlap` at most.
        rng: Is advanced.
        style: Of the image.

    Returns:
        The digit, or None if 20 poses did not fit.
    """
    for _ in range(20):
        alpha = lay_ink(scan, *draw_pose(rng, style), style.side)
        box = ink_box(alpha)
        overlaps = [covered_part(box, other.bbox_xywh) for other in others]
        if max(overlaps, default=0) <= style.overlap:
            return Digit(label, alpha, box)
    return None


def draw_background(rng: np.random.Generator, style: Style) -> np.ndarray:
    """Draw a slope of gray with soft blobs.

    Args:
        rng: Is advanced.
        style: Of the image.

    Returns:
        (H, W) float32, gray levels, not clipped to 0..255.
    """
    axis = np.linspace(-0.5, 0.5, style.side, dtype=np.float32)
    right, down = rng.uniform(-40, 40, 2) if style.blobs[1] else (0, 0)
    image = rng.uniform(140, 220) + right * axis + down * axis[:, None]
    for _ in range(rng.integers(*style.blobs, endpoint=True)):
        spot = np.zeros_like(image)
        center = rng.integers(0, style.side, 2).tolist()
        cv2.circle(spot, center, int(rng.integers(6, 20)), 1.0, -1)
        image += rng.uniform(-50, 50) * cv2.GaussianBlur(spot, (0, 0), 3)
    return image.astype(np.float32)


def draw_stroke(rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw the ink of a pen stroke: a bent line or an arc, no digit.

    Args:
        rng: Is advanced.
        side: Width and height of the image, in pixels.

    Returns:
        (H, W) float32, the ink of each pixel from 0 to 1.
    """
    ink = np.zeros((side, side), np.float32)
    start = rng.integers(0, side, 2)
    width = int(rng.integers(1, 5))
    if rng.random() < 0.5:
        path = start + np.cumsum(rng.integers(-20, 21, (3, 2)), axis=0)
        cv2.polylines(ink, [path.astype(np.int32)], False, 1.0, width)
    else:
        axes = rng.integers(4, 16, 2).tolist()
        turn, span = rng.uniform(0, 360), rng.uniform(60, 240)
        cv2.ellipse(ink, start.tolist(), axes, turn, 0, span, 1.0, width)
    return cv2.GaussianBlur(ink, (0, 0), 0.8)


def paint(
    image: np.ndarray,
    alpha: np.ndarray,
    rng: np.random.Generator,
    style: Style,
) -> np.ndarray:
    """Put ink on an image, darker than the image's mean.

    Args:
        image: (H, W) gray levels; stays as it is.
        alpha: (H, W), the ink of each pixel from 0 to 1.
        rng: Is advanced.
        style: Gives the contrast.

    Returns:
        (H, W), the inked image.
    """
    tone = image.mean() - rng.uniform(*style.contrast)
    return image * (1 - alpha) + np.clip(tone, 0, 255) * alpha


def draw_image(
    scans: Iterator[tuple[np.ndarray, int]],
    rng: np.random.Generator,
    style: Style,
) -> tuple[np.ndarray, list[Digit]]:
    """Draw one image.

    Args:
        scans: Gives (8, 8) ink from 0 to 1 and the label, without end.
        rng: Is advanced.
        style: Of the image.

    Returns:
        (H, W) uint8 gray levels, and the digits, the lowest one first.
    """
    digits: list[Digit] = []
    for _ in range(rng.integers(*style.digits, endpoint=True)):
        digit = place_digit(*next(scans), digits, rng, style)
        digits += [digit] if digit else []
    strokes = [
        draw_stroke(rng, style.side)
        for _ in range(rng.integers(*style.strokes, endpoint=True))
    ]
    image = draw_background(rng, style)
    for alpha in strokes + [digit.alpha for digit in digits]:
        image = paint(image, alpha, rng, style)
    image += rng.normal(0, rng.uniform(*style.noise), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), digits
