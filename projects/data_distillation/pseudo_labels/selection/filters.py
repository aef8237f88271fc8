"""Filters: the detections that may become pseudo labels, whatever their score.

A filter decides for each detection whether it passes. A detection must pass
all filters. If a filter stops it, it does not count when a selector chooses
`min_score`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from mmdet.registry import TASK_UTILS

from ...arguments import check_above_0, check_at_least_1, check_score
from ...label_files.coco.schema import MIN_SIDE
from ...text import format_call
from ..detections.columns import Detections

# So many pairs of a doubtful detection and a label are compared at once.
PAIRS_AT_ONCE = 5_000_000


class Filter(Protocol):
    """Decides which detections may become pseudo labels."""

    def __call__(self, detections: Detections) -> np.ndarray:
        """Decide which detections pass.

        Args:
            detections: The n detections.

        Returns:
            Whether each detection passes, shape (n,), bool.

        Raises:
            ValueError: If the detections lack what the filter looks at.
        """
        ...


@TASK_UTILS.register_module()
class MinSide:
    """Stops boxes that are narrow or low.

    Args:
        pixels: The least width and height of a box that passes, in pixels of
            the original image, above 0.

    Raises:
        ValueError: If `pixels` is not above 0.
    """

    def __init__(self, pixels: float) -> None:
        check_above_0('pixels', pixels)
        self.pixels = pixels

    def __call__(self, detections: Detections) -> np.ndarray:
        """Decide which boxes are long enough on both sides.

        Args:
            detections: The n detections.

        Returns:
            Shape (n,), bool; a side of just `pixels` is enough.
        """
        return detections.bbox_xywh[:, 2:].min(axis=1) >= self.pixels


@TASK_UTILS.register_module()
class MinArea:
    """Stops small detections.

    Args:
        area: The least area of a detection that passes, in pixels squared of
            the original image, above 0. It is the area of the mask if
            detections have masks, otherwise that of the box.

    Raises:
        ValueError: If `area` is not above 0.
    """

    def __init__(self, area: float) -> None:
        check_above_0('area', area)
        self.area = area

    def __call__(self, detections: Detections) -> np.ndarray:
        """Decide which detections have a large enough area.

        Args:
            detections: The n detections.

        Returns:
            Shape (n,), bool; an area of just `area` is enough. With masks, a
            detection without one has an area of 0.
        """
        areas = detections.mask_areas
        if areas is None:
            areas = detections.bbox_xywh[:, 2:].prod(axis=1)
        return areas >= self.area


@TASK_UTILS.register_module()
class MinViews:
    """Stops detections that few views support.

    Args:
        num_views: The least number of views that support a detection which
            passes, at least 1.

    Raises:
        ValueError: If `num_views` is below 1, or no integer.
        TypeError: If it is no number.
    """

    def __init__(self, num_views: int) -> None:
        check_at_least_1('num_views', num_views)
        self.num_views = num_views

    def __call__(self, detections: Detections) -> np.ndarray:
        """Decide which detections enough views support.

        Args:
            detections: The n detections.

        Returns:
            Shape (n,), bool; just `num_views` are enough.
        """
        return detections.num_views >= self.num_views


@TASK_UTILS.register_module()
class MaxCornerSpread:
    """Stops detections on whose corners the views disagree.

    Args:
        spread: The largest corner spread of a detection that passes, as a
            share of the box's size (the square root of its area), above 0.
            See `merging.boxes.corner_spread`. The spread of a detection that
            only one box supports is 0.

    Raises:
        ValueError: If `spread` is not above 0.
    """

    def __init__(self, spread: float) -> None:
        check_above_0('spread', spread)
        self.spread = spread

    def __call__(self, detections: Detections) -> np.ndarray:
        """Decide which detections have a small corner spread.

        Args:
            detections: The n detections.

        Returns:
            Shape (n,), bool; a spread of just `spread` passes.
        """
        return detections.corner_spread <= self.spread


@TASK_UTILS.register_module()
class MinMaskAgreement:
    """Stops detections on whose masks the views disagree.

    Args:
        agreement: The smallest agreement of a detection that passes, above 0
            and at most 1. It is the mean IoU of the masks of the views with
            the merged mask, weighted by score, see `MaskMerger.merge`. That of
            a detection that only one view supports is 1, that of one without a
            mask 0.

    Raises:
        ValueError: If `agreement` is out of range.
    """

    def __init__(self, agreement: float) -> None:
        check_above_0('agreement', agreement)
        check_score('agreement', agreement)
        self.agreement = agreement

    def __call__(self, detections: Detections) -> np.ndarray:
        """Decide on the masks of which detections the views agree.

        Args:
            detections: The n detections.

        Returns:
            Shape (n,), bool; an agreement of just `agreement` passes.

        Raises:
            ValueError: If detections have no masks.
        """
        if detections.mask_agreement is None:
            raise ValueError(
                'MinMaskAgreement needs detections with masks, got boxes '
                'only: annotate with model.masks, or remove the filter'
            )
        return detections.mask_agreement >= self.agreement


def build_filters(configs: Sequence[dict]) -> dict[str, Filter]:
    """Build filters.

    Args:
        configs: Their configs.

    Returns:
        Each filter by its config as a call, such as `MinViews(num_views=2)`,
        in order.

    Raises:
        ValueError: If an argument is out of range.
        KeyError, TypeError: If a type is unknown or missing, or an argument
            is.
    """
    # Before they are named: the registry says which config lacks its type.
    built = [TASK_UTILS.build(config) for config in configs]
    return dict(zip(map(format_call, configs), built, strict=True))


def find_valid(detections: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Find the detections that can be written as labels.

    Args:
        detections: The n detections.

    Returns:
        Whether both sides of each detection have at least `MIN_SIDE` pixels,
        and whether it also has a mask if detections have masks; both of shape
        (n,), bool.
    """
    is_thick = MinSide(MIN_SIDE)(detections)
    return is_thick, is_thick & detections.has_mask


def choose_regions(
    detections: Detections, is_wanted: np.ndarray, is_selected: np.ndarray
) -> np.ndarray:
    """Choose the wanted regions that neither are nor cover a label.

    Args:
        detections: All n detections, ordered by image.
        is_wanted: Whether each detection has the score of a region to ignore,
            shape (n,), bool.
        is_selected: Whether each detection is a label, shape (n,), bool.

    Returns:
        Whether each detection is a region to ignore, shape (n,), bool; see
        `covers_a_label`.
    """
    wanted = np.flatnonzero(is_wanted & ~is_selected)
    selected = np.flatnonzero(is_selected)
    covers = covers_a_label(detections, wanted, selected)
    is_ignored = np.zeros_like(is_wanted)
    is_ignored[wanted[~covers]] = True
    return is_ignored


def covers_a_label(
    detections: Detections, doubtful: np.ndarray, selected: np.ndarray
) -> np.ndarray:
    """Find the doubtful detections that cover more than half of a label.

    As regions to ignore, they would take the label's own anchors away.

    Args:
        detections: All detections, ordered by image.
        doubtful: The indices of the detections in question, ascending, shape
            (d,).
        selected: The indices of the labels, ascending, shape (s,).

    Returns:
        Whether each doubtful detection covers a label of its image, shape
        (d,), bool.
    """
    images = detections.image_index
    # Labels are ordered by image: those of an image are a slice.
    starts = np.searchsorted(images[selected], images[doubtful], 'left')
    ends = np.searchsorted(images[selected], images[doubtful], 'right')
    covers = np.zeros(len(doubtful), bool)
    num_pairs = np.cumsum(ends - starts)
    # All pairs at once would not fit into memory: a crowded image has many.
    # `[-1:].sum()` is the last number, or 0 if there is none.
    parts = np.arange(PAIRS_AT_ONCE, num_pairs[-1:].sum(), PAIRS_AT_ONCE)
    borders = [0, *np.searchsorted(num_pairs, parts), len(doubtful)]
    for first, last in pairwise(borders):
        part = slice(first, last)
        of_doubtful, of_label = pair_up(starts[part], ends[part])
        share = compute_covered_share(
            detections.bbox_xywh[doubtful[part][of_doubtful]],
            detections.bbox_xywh[selected[of_label]],
        )
        # A slice is a view, so this writes into `covers`.
        covers[part][of_doubtful[share > 0.5]] = True
    return covers


def pair_up(
    starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pair each i with starts[i], ..., ends[i] - 1.

    Args:
        starts: The first partner of each i, shape (n,), int.
        ends: One more than the last partner of each i, shape (n,), int; equal
            to the start if it has none.

    Returns:
        Two arrays of shape (number of pairs,), int: the i of each pair,
        ascending, and its partner.
    """
    counts = ends - starts
    first = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    # The running number, less that of the first pair of this i.
    second = np.arange(len(first)) - (before - starts)[first]
    return first, second


def compute_covered_share(
    regions_xywh: np.ndarray, bbox_xywh: np.ndarray
) -> np.ndarray:
    """Return the share of each box that its region covers.

    Args:
        regions_xywh: The regions, shape (n, 4), pixels.
        bbox_xywh: The boxes, shape (n, 4), pixels, with areas above 0.

    Returns:
        The shares, shape (n,), in [0, 1].
    """
    low = np.maximum(regions_xywh[:, :2], bbox_xywh[:, :2])
    high = np.minimum(
        regions_xywh[:, :2] + regions_xywh[:, 2:],
        bbox_xywh[:, :2] + bbox_xywh[:, 2:],
    )
    covered = np.clip(high - low, 0, None).prod(axis=1)
    return covered / bbox_xywh[:, 2:].prod(axis=1)
