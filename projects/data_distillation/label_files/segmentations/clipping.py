"""Clips polygons to their image."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def clip_polygon(
    polygon: Sequence[float], size_wh: Sequence[float]
) -> list[float]:
    """Clip a polygon to its image.

    Args:
        polygon: x1, y1, x2, y2, ... in pixels of the image; the last point is
            joined to the first.
        size_wh: Width and height of the image, pixels.

    Returns:
        The part inside the image in the same format, not rounded. If nothing
        lies inside, it is empty, or only points on the border. A polygon that
        is not convex can have edges on the border of the image.

    Raises:
        ValueError: If the polygon has an odd number of numbers.

    Source:
        Sutherland and Hodgman, Reentrant polygon clipping, 1974.
    """
    points = np.array(polygon, float).reshape(-1, 2)
    for axis, side in enumerate(size_wh):
        for limit, sign in ((0.0, 1), (float(side), -1)):
            points = clip_at(points, axis, limit, sign)
    return points.ravel().tolist()


def clip_at(
    points: np.ndarray, axis: int, limit: float, sign: int
) -> np.ndarray:
    """Clip a polygon at a line.

    Args:
        points: Shape (n, 2), x and y; the last one is joined to the first.
        axis: 0 for a vertical line, 1 for a horizontal one.
        limit: The x (or y) of the line.
        sign: 1 to keep what has a larger x (or y) than the line, -1 for what
            has a smaller one. Points on it are kept too.

    Returns:
        Shape (m, 2), float64, in order; (0, 2) if nothing is kept.
    """
    kept: list[np.ndarray] = []
    closed = [*points, *points[:1]]
    for one, other in pairwise(closed):
        # How far inside both ends are.
        depths = sign * (one[axis] - limit), sign * (other[axis] - limit)
        if depths[0] >= 0:
            kept.append(one)
        # A point on the line is kept already, and is no crossing: not <=.
        if depths[0] * depths[1] < 0:
            share = depths[0] / (depths[0] - depths[1])
            kept.append(one + share * (other - one))
    return np.array(kept).reshape(-1, 2)
