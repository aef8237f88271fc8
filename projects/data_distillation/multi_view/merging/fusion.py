"""Weighted boxes fusion: replaces the boxes of an object by their mean."""

import numpy as np
import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ...arguments import check_is_one_of
from .mergers import Merger

CONF_TYPES = ('avg', 'max')


@TASK_UTILS.register_module()
class WBFMerger(Merger):
    """Clusters boxes, and replaces each cluster by its mean (WBF).

    The boxes are taken one by one, starting with the highest score. Each box
    looks for the cluster of its class (of any class, if `class_agnostic`)
    whose mean it overlaps most. It joins that cluster if the overlap is above
    `iou_threshold`, and otherwise starts a new one. The mean is weighted by
    score, and moves with each box that joins. A detection has the box of the
    mean and the label of the best box of the cluster.

    Ties: Of boxes with equal scores, the one that was given first is taken
    first. Of clusters with equal overlaps, the older one is joined. Of
    detections with equal scores, the lower class comes first, and within a
    class the older cluster. With `class_agnostic`, only the age of the cluster
    counts.

    Each box depends on those before it, so this runs on the CPU. Boxes that
    are on a GPU are copied there and back once per call. 2,000 boxes take
    about 30 ms on one core; the original package takes 40 to 70 ms.

    Args:
        iou_threshold: The overlap above which two boxes are the same object,
            in (0, 1).
        max_per_img: The most detections to keep per image, at least 1.
        class_agnostic: Whether boxes of different classes can be the same
            object.
        conf_type: The score of a cluster. With 'avg', it is the mean of the
            cluster's scores, times min(boxes, views) / views: an object that
            few views found scores low. With 'max', it is the highest of the
            scores, however many views found the object.

    Raises:
        ValueError: If an argument is out of range, or `max_per_img` is no
            integer.
        TypeError: If one of the numbers is no number.

    Source:
        Solovyev et al., arXiv 1910.13302, and its package `ensemble_boxes`,
        for views of equal weight.
    """

    def __init__(
        self,
        iou_threshold: float = 0.55,
        max_per_img: int = 100,
        class_agnostic: bool = False,
        conf_type: str = 'avg',
    ) -> None:
        super().__init__(iou_threshold, max_per_img, class_agnostic)
        check_is_one_of('conf_type', conf_type, CONF_TYPES)
        self.conf_type = conf_type

    def merge(
        self,
        bboxes_xyxy: Tensor,
        scores: Tensor,
        labels: Tensor,
        num_views: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fuse boxes, as `Merger.merge` describes it.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels; n is at least 1.
            scores: Shape (n,), 0 or more.
            labels: Shape (n,), integers, below 2**24.
            num_views: The number of views of the image, at least 1.

        Returns:
            New tensors, of the types and on the device of those given: the
            means (shape (c, 4)), their scores and their labels (shape (c,)),
            group by group, and in a group the older clusters first. There may
            be more than `max_per_img`.
        """
        # As columns of a float32 table, groups and labels are exact up to
        # 2**24.
        columns = (scores, self.number_groups(labels), labels)
        table = torch.cat([bboxes_xyxy, torch.stack(columns, dim=1)], dim=1)
        # Boxes join clusters one after another, for which a GPU is too slow.
        rows = table.cpu().double().numpy()  # (n, 7)
        # A reversed sort would turn equal scores around; a negated one does
        # not.
        rows = rows[np.argsort(-rows[:, 4], kind='stable')]
        fused = [
            self._fuse_group(rows[rows[:, 5] == group], num_views)
            for group in np.unique(rows[:, 5])
        ]
        table = torch.from_numpy(np.concatenate(fused)).to(table)
        return table[:, :4], table[:, 4], table[:, 5].to(labels)

    def _fuse_group(self, rows: np.ndarray, num_views: int) -> np.ndarray:
        """Fuse the boxes of one group.

        Args:
            rows: Shape (m, 7): box, score, group and label, by descending
                score.
            num_views: The number of views of the image.

        Returns:
            Shape (c, 6): box, score and label, the older clusters first.
        """
        scores = rows[:, 4]
        fused_xyxy, cluster_ids = fuse_boxes(
            rows[:, :4], scores, self.iou_threshold
        )
        # Rows come by descending score, so the first one of a cluster is its
        # best box.
        _, first, sizes = np.unique(
            cluster_ids, return_index=True, return_counts=True
        )
        if self.conf_type == 'max':
            fused_scores = scores[first]
        else:
            means = np.bincount(cluster_ids, scores) / sizes
            fused_scores = means * np.minimum(sizes, num_views) / num_views
        return np.column_stack([fused_xyxy, fused_scores, rows[first, 6]])


def fuse_boxes(
    bboxes_xyxy: np.ndarray, scores: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster boxes around their running means, see `WBFMerger`.

    Args:
        bboxes_xyxy: Shape (m, 4), float64, pixels, by descending score; every
            box has an area.
        scores: Shape (m,), float64, 0 or more, in the order of the boxes.
        iou_threshold: The overlap above which a box joins a mean, from 0 to 1.

    Returns:
        The means, shape (c, 4), float64, xyxy in pixels, in the order in which
        the clusters began; and the number of the cluster of each box, shape
        (m,), int64. Both are empty without boxes.
    """
    # Each column is a cluster: its mean as (x1, y1, -x2, -y2), so that one
    # maximum gives all corners of its intersections. The column after the last
    # cluster is a box without area, whose overlap is 0.
    means = np.zeros((4, len(scores) + 1))
    areas = np.zeros(len(scores) + 1)
    totals = np.zeros(len(scores) + 1)
    cluster_ids = np.empty(len(scores), dtype=np.int64)
    num_clusters = 0
    # The weights are above 0, so that boxes of score 0 have a mean.
    weights = np.maximum(scores, np.finfo(np.float64).tiny)
    signed_boxes = bboxes_xyxy * [1, 1, -1, -1]  # As the columns of `means`.
    pairs = zip(signed_boxes, weights, strict=True)
    for i, (signed_box, weight) in enumerate(pairs):
        last = num_clusters + 1
        overlaps = compute_overlaps(means[:, :last], areas[:last], signed_box)
        # `argmax` takes the first of equal overlaps, which is the older
        # cluster. If there is no overlap at all, the next lines start a new
        # one.
        cluster = int(overlaps.argmax())
        if overlaps[cluster] <= iou_threshold:
            cluster = num_clusters
            num_clusters += 1
        totals[cluster] += weight
        share = weight / totals[cluster]
        # The running mean. A new cluster has the share 1, and becomes the box.
        means[:, cluster] += (signed_box - means[:, cluster]) * share
        areas[cluster] = compute_area(means[:, cluster])
        cluster_ids[i] = cluster
    return means[:, :num_clusters].T * [1, 1, -1, -1], cluster_ids


def compute_overlaps(
    means: np.ndarray, areas: np.ndarray, signed_box: np.ndarray
) -> np.ndarray:
    """Compute the intersection over union of many boxes with one box.

    mmcv's `bbox_overlaps` computes in float32, and is slower for few boxes.

    Args:
        means: Shape (4, c): each column is a box (x1, y1, -x2, -y2) in pixels,
            which may have no area.
        areas: Shape (c,), the areas of these boxes, in pixels squared.
        signed_box: Shape (4,), a box with an area, in the same form.

    Returns:
        Shape (c,), in [0, 1].
    """
    corners = np.maximum(means, signed_box[:, None])
    # Negative where there is an intersection.
    sides = np.minimum(corners[:2] + corners[2:], 0)
    intersections = sides[0] * sides[1]
    # Never 0 / 0, because `signed_box` has an area.
    return intersections / (areas + compute_area(signed_box) - intersections)


def compute_area(signed_box: np.ndarray) -> float:
    """Return the area of a box.

    Args:
        signed_box: Shape (4,), (x1, y1, -x2, -y2) in pixels, with x1 <= x2 and
            y1 <= y2.

    Returns:
        Pixels squared; 0 if the box has no width or no height.
    """
    x1, y1, minus_x2, minus_y2 = signed_box.tolist()
    return (minus_x2 + x1) * (minus_y2 + y1)
