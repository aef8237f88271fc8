"""Writes scores with as few digits as tell them apart."""

from collections.abc import Sequence

import numpy as np


def shorten_scores(scores: np.ndarray) -> list[float | None]:
    """Write float32 scores with the fewest digits that identify them.

    Args:
        scores: Shape (n,), float32.

    Returns:
        n numbers, in order; None for infinity and NaN, as JSON has neither.
    """
    return [float(str(s)) if np.isfinite(s) else None for s in scores]


def map_by_class(
    classes: Sequence[str], scores: np.ndarray | None
) -> dict[str, float | None] | None:
    """Map the name of each class to its score.

    Args:
        classes: The names of the classes.
        scores: Shape (number of classes,), float32, in their order, or None.

    Returns:
        Each score as `shorten_scores` writes it; None if there are no scores.
    """
    if scores is None:
        return None
    return dict(zip(classes, shorten_scores(scores), strict=True))
