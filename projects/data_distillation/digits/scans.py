"""The scanned digits of scikit-learn, as ink."""

import functools
import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from sklearn.datasets import load_digits

# Reading the file takes longer than drawing an image.
read_scans = functools.cache(load_digits)
CLASSES = tuple('0123456789')
# Split -> its share of the scans. The few labeled images need few of them.
POOLS = {'labeled': 0.15, 'unlabeled': 0.6, 'val': 0.25}
# A pixel belongs to a digit if at least this part of it is covered by ink.
INK = 0.4


def split_scans(seed: int) -> dict[str, list[int]]:
    """Deal the scans of each class out to the splits.

    Args:
        seed: The seed of the shuffling, at least 0.

    Returns:
        Split -> the numbers of its scans in `load_digits`; no number is in two
        splits. As long as no class runs out, every ten numbers in a row,
        counted from the first, are of ten classes. So the splits have equal
        shares of every class, however few images they have.

    Raises:
        ValueError: If the seed is negative.
    """
    rng = np.random.default_rng(seed)
    labels = read_scans().target
    turns: dict[str, list[tuple[int, float, int]]] = {
        name: [] for name in POOLS
    }
    for label in range(10):
        numbers = rng.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum([round(len(numbers) * p) for p in POOLS.values()])
        # The last split takes what rounding leaves over.
        parts = np.split(numbers, ends[:-1])
        for name, part in zip(POOLS, parts, strict=True):
            # Sorted by turns below: the first scans of a split have all
            # classes.
            turns[name] += [
                (turn, rng.random(), int(number))
                for turn, number in enumerate(part)
            ]
    return {
        name: [number for _, _, number in sorted(turns[name])]
        for name in POOLS
    }


def lay_ink(
    scan: np.ndarray, linear: np.ndarray, center: np.ndarray, side: int
) -> np.ndarray:
    """Draw a scan on an empty image.

    Args:
        scan: The ink of the scan, shape (8, 8), from 0 to 1.
        linear: The matrix, shape (2, 2), that maps an offset (x, y) in the
            scan to the offset in the image: `linear @ offset`.
        center: The place of the scan's middle, shape (2,), x and y in pixels.
            The middle of the first pixel is at 0, here and in the scan.
        side: The width and height of the image, in pixels.

    Returns:
        Shape (side, side), float32, the ink of each pixel from 0 to 1. What
        lies outside the image is cut off.
    """
    # The middle of 8 pixels, counted from 0.
    shift = center - linear @ np.full(2, 3.5)
    matrix = np.column_stack([linear, shift])
    # OpenCV takes what is outside of the scan for 0, no ink. Between pixels,
    # cubic interpolation reaches a little below 0 and above 1.
    ink = cv2.warpAffine(
        scan.astype(np.float32), matrix, (side, side), flags=cv2.INTER_CUBIC
    )
    return np.clip(1.1 * ink, 0, 1)  # Most scans fall just short of 1.


def find_ink_box(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """Find the smallest box around a digit's ink.

    Args:
        alpha: Shape (H, W), the ink of each pixel from 0 to 1.

    Returns:
        The box xywh, in whole pixels, around the pixels with at least `INK`
        ink; (0, 0, 0, 0) if there are none.
    """
    x, y, w, h = cv2.boundingRect((alpha >= INK).astype(np.uint8))
    return x, y, w, h


def cycle_scans(numbers: list[int]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield these scans in order, again and again without end.

    Args:
        numbers: The numbers of the scans in `load_digits`; without any,
            nothing is yielded.

    Yields:
        The ink, shape (8, 8), from 0 to 1, and the label, 0 to 9.

    Raises:
        IndexError: If there is no scan of a number.
    """
    scans = read_scans()
    for number in itertools.cycle(numbers):
        # scikit-learn counts ink from 0 to 16.
        yield scans.images[number] / 16, int(scans.target[number])
