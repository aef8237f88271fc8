"""Chooses images that are worth much and differ from each other.

This is the greedy k-center method, in which the distance from what is labeled
or chosen already counts together with the value of an image.
"""

from dataclasses import dataclass

import numpy as np

from .appearance import Appearance, measure_distances


@dataclass(frozen=True)
class ChosenImages:
    """The images that were chosen.

    Args:
        indices: Shape (k,), int, the numbers of the images, in the order in
            which they were chosen, best first.
        near: Number of an image that was left out -> the number of the chosen
            one of which it is a near-duplicate; -1 for a labeled one.
    """

    indices: np.ndarray
    near: dict[int, int]


def find_candidates(
    values: np.ndarray, count: int, is_unlabeled: np.ndarray | None = None
) -> np.ndarray:
    """Find the images that are worth most.

    Args:
        values: Shape (n,), the value of each image. Equal ones keep their
            order.
        count: The number of candidates that are wanted.
        is_unlabeled: Shape (n,), bool: whether an image may be chosen; None if
            each may.

    Returns:
        Shape (at most `count`,), the numbers of images, best first.
    """
    order = np.argsort(-values, kind='stable')
    if is_unlabeled is not None:
        order = order[is_unlabeled[order]]
    return order[:count]


def choose_images(
    values: np.ndarray, appearance: Appearance, labeled: Appearance, count: int
) -> ChosenImages:
    """Choose images one after the other.

    Each time, the image is taken for which the value times the distance from
    the labeled and the chosen images is the largest. The distance counts only
    up to that of the median image from the labeled ones, and as its root, so
    that an outlier without errors is not taken. Of images that are equal in
    this, the first is taken. Near-duplicates of labeled or chosen images are
    left out.

    Args:
        values: Shape (n,), the value of each candidate, 0 or more.
        appearance: What the candidates look like.
        labeled: What the labeled images look like.
        count: The number of images that are wanted; there are fewer if the
            candidates do not suffice.

    Returns:
        The choice, in numbers of the candidates; empty if there is none.
    """
    distances = measure_distances(appearance.vectors, labeled.vectors)
    # In proportion to the usual distance, which is another one for each
    # detector.
    typical = max(float(np.median(distances)) if len(values) else 0, 1e-6)
    is_free = np.ones(len(values), bool)
    near: dict[int, int] = {}
    for index in range(len(values)):
        if appearance.are_near(index, labeled).any():
            near[index], is_free[index] = -1, False
    chosen: list[int] = []
    while len(chosen) < count and is_free.any():
        # Of images that are worth nothing, the one that is most different.
        gains = (values + 1e-9) * np.sqrt(np.minimum(distances / typical, 1))
        best = int(np.where(is_free, gains, -1).argmax())
        chosen.append(best)
        is_free[best] = False
        alike = appearance.are_near(best, appearance) & is_free
        near |= dict.fromkeys(np.flatnonzero(alike).tolist(), best)
        is_free &= ~alike
        distances = np.minimum(distances, appearance.measure_distances(best))
    return ChosenImages(np.array(chosen, int), near)
