"""Images of scattered digits, with the boxes of the digits."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .scans import find_ink_box, lay_ink


@dataclass(frozen=True)
class Style:
    """The look of an image. From each range, a value is drawn uniformly.

    Attributes:
        side: The width and height of an image, in pixels.
        digits: The least and the greatest number of digits that are tried,
            both included, as in `strokes` and `blobs`.
        digit_side: The range of the side of a scan on the image, in pixels.
        angle: The greatest rotation in either direction, in degrees. It is
            well below 90, because a six turned by 180 degrees is a nine.
        stretch: The greatest relative change of the width, and the greatest
            shear.
        overlap: The greatest part, 0 to 1, of the smaller of two digits' boxes
            that may lie in the other.
        contrast: The range of the gray levels from the mean background down to
            a digit.
        strokes: The least and the greatest number of pen strokes, which are
            not digits.
        blobs: The least and the greatest number of soft spots in the
            background.
        noise: The range of the standard deviation of the noise, in gray
            levels.
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
        label: The digit itself, 0 to 9.
        alpha: Shape (H, W), float32: the part of each pixel that ink covers, 0
            to 1.
        bbox_xywh: The smallest box, in whole pixels, around the pixels with
            at least `INK` ink, also those that a later digit hides.
    """

    label: int
    alpha: np.ndarray
    bbox_xywh: tuple[int, int, int, int]


def draw_pose(
    rng: np.random.Generator, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """Choose a digit's size, rotation, stretch, shear and place at random.

    Args:
        rng: The source of the random numbers, which is advanced.
        style: The style of the image, which gives the ranges.

    Returns:
        `linear` (shape (2, 2)) and `center` (shape (2,), in pixels) of
        `lay_ink`, float64. A scan that is neither turned, stretched nor
        sheared would lie inside the image, but for half a pixel at the right
        and below.

    Raises:
        ValueError: If a range of the style is the wrong way round, or a scan
            is larger than the image.
    """
    size = rng.uniform(*style.digit_side)
    angle = np.deg2rad(rng.uniform(-style.angle, style.angle))
    wide, shear = rng.uniform(-style.stretch, style.stretch, 2)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    # The scans have 8 x 8 pixels.
    # First stretched and sheared, then turned.
    linear = size / 8 * turn @ np.array([[1 + wide, shear], [0, 1]])
    return linear, rng.uniform(size / 2, style.side - size / 2, 2)


def measure_covered_part(
    bbox_xywh: tuple[int, int, int, int], other_xywh: tuple[int, int, int, int]
) -> float:
    """Return the part of the smaller of two boxes that lies in the other.

    Args:
        bbox_xywh: A box, in whole pixels.
        other_xywh: Another box, in whole pixels.

    Returns:
        The part, from 0 to 1, the same either way round; 0 if one box is
        empty.
    """
    x, y, w, h = bbox_xywh
    other_x, other_y, other_w, other_h = other_xywh
    shared_w = min(x + w, other_x + other_w) - max(x, other_x)
    shared_h = min(y + h, other_y + other_h) - max(y, other_y)
    smaller = min(w * h, other_w * other_h)
    # Areas are in whole pixels: only that of an empty box is below 1.
    return max(shared_w, 0) * max(shared_h, 0) / max(smaller, 1)


def place_digit(
    scan: np.ndarray,
    label: int,
    others: list[Digit],
    rng: np.random.Generator,
    style: Style,
) -> Digit | None:
    """Find a place for one digit among those that are already on the image.

    Args:
        scan: The ink of the digit, shape (8, 8), from 0 to 1.
        label: The digit, 0 to 9.
        others: The digits on the image. They are overlapped by
            `style.overlap` at most.
        rng: The source of the random numbers, which is advanced.
        style: The style of the image.

    Returns:
        The digit; None if none of 20 poses fits.

    Raises:
        ValueError: See `draw_pose`.
    """
    # A crowded image may have no place left. Then it gets a digit less.
    for _ in range(20):
        alpha = lay_ink(scan, *draw_pose(rng, style), style.side)
        bbox_xywh = find_ink_box(alpha)
        overlaps = [
            measure_covered_part(bbox_xywh, other.bbox_xywh)
            for other in others
        ]
        if max(overlaps, default=0) <= style.overlap:
            return Digit(label, alpha, bbox_xywh)
    return None


def draw_background(rng: np.random.Generator, style: Style) -> np.ndarray:
    """Draw a slope of gray with soft blobs.

    Without blobs (`style.blobs` up to 0), there is no slope either.

    Args:
        rng: The source of the random numbers, which is advanced.
        style: The style of the image.

    Returns:
        Shape (side, side), float32, gray levels that are not clipped to
        0..255.

    Raises:
        ValueError: If the range of the blobs is the wrong way round.
    """
    # No measurement is behind these ranges and those of `draw_stroke`. The
    # paper (140 to 220) is light enough for ink that is darker by the greatest
    # contrast of a style, 120.
    axis = np.linspace(-0.5, 0.5, style.side, dtype=np.float32)
    # A style without blobs is flat, for tests that look for the digits.
    right, down = rng.uniform(-40, 40, 2) if style.blobs[1] else (0, 0)
    image = rng.uniform(140, 220) + right * axis + down * axis[:, None]
    for _ in range(rng.integers(*style.blobs, endpoint=True)):
        spot = np.zeros_like(image)
        center = rng.integers(0, style.side, 2).tolist()
        cv2.circle(spot, center, int(rng.integers(6, 20)), 1.0, -1)
        # OpenCV derives the size of a kernel of (0, 0) from sigma.
        image += rng.uniform(-50, 50) * cv2.GaussianBlur(spot, (0, 0), 3)
    return image.astype(np.float32)


def draw_stroke(rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw the ink of a pen stroke, which is a bent line or an arc.

    Args:
        rng: The source of the random numbers, which is advanced.
        side: The width and height of the image, in pixels.

    Returns:
        Shape (side, side), float32, the ink of each pixel from 0 to 1.
    """
    ink = np.zeros((side, side), np.float32)
    start = rng.integers(0, side, 2)
    width = int(rng.integers(1, 5))
    if rng.random() < 0.5:
        # Three random steps, x and y: (3, 2).
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
    """Return an image with ink on it that is darker than the image's mean.

    Args:
        image: Shape (H, W), gray levels. It is not changed.
        alpha: Shape (H, W), the ink of each pixel from 0 to 1.
        rng: The source of the random numbers, which is advanced.
        style: The style of the image, which gives the contrast.

    Returns:
        Shape (H, W), float, a new array of gray levels. Only that of the ink
        is clipped to 0..255.

    Raises:
        ValueError: If the range of the contrast is the wrong way round.
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
        scans: An endless iterator over the ink, shape (8, 8), from 0 to 1, and
            the label of each scan.
        rng: The source of the random numbers, which is advanced.
        style: The style of the image.

    Returns:
        The gray levels, shape (side, side), uint8, and the digits in the order
        in which they are painted: a later one lies on top. A digit for which
        there is no place is left out.

    Raises:
        ValueError: If a range of the style is the wrong way round, a scan is
            larger than the image, or the noise is below 0.
        StopIteration: If there are no more scans.
    """
    digits: list[Digit] = []
    for _ in range(rng.integers(*style.digits, endpoint=True)):
        digit = place_digit(*next(scans), digits, rng, style)
        digits += [digit] if digit else []
    # Drawn in this order: another one would give other images for a seed.
    strokes = [
        draw_stroke(rng, style.side)
        for _ in range(rng.integers(*style.strokes, endpoint=True))
    ]
    image = draw_background(rng, style)
    # The strokes first, so that they hide no digit.
    for alpha in strokes + [digit.alpha for digit in digits]:
        image = paint(image, alpha, rng, style)
    image += rng.normal(0, rng.uniform(*style.noise), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), digits
