"""Picks detections by class and score, and the images that have them."""

from itertools import compress

import numpy as np

from ..detections.columns import Detections


def keep_elements(value: object, keep: np.ndarray) -> object:
    """Keep some elements of a list, and any other value as it is.

    Args:
        value: A list of n elements, or a value of another type.
        keep: Whether to keep each element, shape (n,), bool.

    Returns:
        A new list, in order, or the value itself.
    """
    if not isinstance(value, list):
        return value
    return list(compress(value, keep))


def is_at_least(min_scores: np.ndarray, detections: Detections) -> np.ndarray:
    """Find the detections with at least the score of their class.

    Args:
        min_scores: Shape (number of classes,), float32.
        detections: The n detections.

    Returns:
        Shape (n,), bool; an equal score is enough.
    """
    return detections.scores >= min_scores[detections.labels]


def find_images_with(
    detections: Detections, chosen: np.ndarray, num_images: int
) -> np.ndarray:
    """Find the images that have a detection which is chosen.

    Args:
        detections: All n detections.
        chosen: Whether each detection is chosen, shape (n,), bool.
        num_images: The number of images.

    Returns:
        Shape (num_images,), bool.
    """
    has_one = np.zeros(num_images, bool)
    has_one[detections.image_index[chosen]] = True
    return has_one


def find_best_scores(detections: Detections, num_images: int) -> np.ndarray:
    """Find the highest score of each image.

    Args:
        detections: All detections, ordered by image and then by descending
            score.
        num_images: The number of images.

    Returns:
        Shape (num_images,), float32; 0 for an image without detections.
    """
    best = np.zeros(num_images, np.float32)
    # The first detection of an image is its best.
    images, first = np.unique(detections.image_index, return_index=True)
    best[images] = detections.scores[first]
    return best
