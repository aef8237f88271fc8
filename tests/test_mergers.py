"""NMSMerger against a slow oracle, and its invariants."""

import numpy as np
import pytest
import torch

from projects.data_distillation import NMSMerger


def random_boxes(seed: int, n: int = 120, num_views: int = 5) -> dict:
    """Boxes that overlap a lot, from several views and classes."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 30, (n, 2))
    sides = random.uniform(10, 40, (n, 2))
    return dict(
        bboxes_xyxy=torch.tensor(
            np.hstack([corners, corners + sides])
        ).float(),
        scores=torch.tensor(random.permutation(n) / n).float(),
        labels=torch.tensor(random.integers(0, 3, n)),
        view_ids=torch.tensor(random.integers(0, num_views, n)),
    )


def overlap(a: list, b: list) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return w * h / (area - w * h)


def slow_nms(
    boxes: dict, threshold: float, class_agnostic: bool = False
) -> list[tuple]:
    """NMS by its definition: box by box, from the highest score."""
    columns = [boxes[k].tolist() for k in boxes]
    kept = []
    for box, score, label, _ in sorted(zip(*columns), key=lambda b: -b[1]):
        rivals = [k for k in kept if class_agnostic or k[2] == label]
        if all(overlap(box, k[0]) <= threshold for k in rivals):
            kept.append((box, score, label))
    return kept


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.7])
def test_merged_boxes_are_those_of_slow_nms(seed, threshold):
    boxes = random_boxes(seed)

    merged = NMSMerger(threshold, max_per_img=1000)(**boxes)

    expected = slow_nms(boxes, threshold)
    assert len(merged) == len(expected) > 5
    np.testing.assert_allclose(merged.bboxes, [b for b, _, _ in expected])
    np.testing.assert_allclose(merged.scores, [s for _, s, _ in expected])
    assert merged.labels.tolist() == [label for _, _, label in expected]


@pytest.mark.parametrize('seed', range(5))
def test_class_agnostic_boxes_are_those_of_slow_nms(seed):
    boxes = random_boxes(seed)

    merged = NMSMerger(0.5, class_agnostic=True)(**boxes)

    expected = slow_nms(boxes, 0.5, class_agnostic=True)
    assert len(merged) == len(expected) < len(slow_nms(boxes, 0.5))
    np.testing.assert_allclose(merged.bboxes, [b for b, _, _ in expected])


def test_class_agnostic_holds_for_very_many_boxes():
    # From 10,000 boxes on, mmcv takes another way.
    box = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(10050, 1)
    labels = torch.arange(10050) % 3

    merged = NMSMerger(class_agnostic=True)(
        box, torch.rand(10050), labels, torch.zeros_like(labels)
    )

    assert len(merged) == 1


def test_num_views_counts_views_with_a_box_of_the_class_at_that_place():
    boxes = random_boxes(1)

    merged = NMSMerger()(**boxes)

    for box, label, num_views in zip(
        merged.bboxes.tolist(), merged.labels, merged.num_views
    ):
        supporting = {
            int(view)
            for other, other_label, view in zip(
                boxes['bboxes_xyxy'].tolist(),
                boxes['labels'],
                boxes['view_ids'],
            )
            if other_label == label and overlap(box, other) > 0.5
        }
        assert num_views == len(supporting) >= 1


def test_order_of_the_boxes_does_not_matter():
    boxes = random_boxes(2)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))

    merged = NMSMerger()(**boxes)
    shuffled = NMSMerger()(**{k: v[order] for k, v in boxes.items()})

    for name in ('bboxes', 'scores', 'labels', 'num_views'):
        assert torch.equal(merged[name], shuffled[name])


def test_a_view_given_twice_changes_no_box():
    boxes = random_boxes(3)
    twice = {k: torch.cat([v, v]) for k, v in boxes.items()}

    once = NMSMerger()(**boxes)
    assert torch.equal(once.bboxes, NMSMerger()(**twice).bboxes)


def test_scaling_the_image_scales_the_boxes():
    boxes = random_boxes(4)
    scaled = dict(boxes, bboxes_xyxy=boxes['bboxes_xyxy'] * 4)

    assert torch.equal(
        NMSMerger()(**boxes).bboxes * 4, NMSMerger()(**scaled).bboxes
    )


def test_only_the_highest_scores_are_kept():
    boxes = random_boxes(5)

    merged = NMSMerger(max_per_img=3)(**boxes)

    assert torch.equal(merged.scores, NMSMerger()(**boxes).scores[:3])
    assert len(merged.bboxes) == len(merged.num_views) == 3


def test_no_box_gives_no_detection():
    empty = {k: v[:0] for k, v in random_boxes(0).items()}

    merged = NMSMerger()(**empty)

    assert merged.bboxes.shape == (0, 4)
    assert len(merged.scores) == len(merged.num_views) == 0


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (dict(iou_threshold=50), 'iou_threshold must be .* got 50'),
        (dict(max_per_img=0), 'max_per_img must be >= 1, got 0'),
    ],
)
def test_bad_argument_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        NMSMerger(**arguments)
