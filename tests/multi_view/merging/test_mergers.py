"""Each merger against a slow oracle, and what holds for all of them."""

import math

import numpy as np
import pytest
import torch
from ensemble_boxes import weighted_boxes_fusion
from mmcv.ops import batched_nms, bbox_overlaps
from mmdet.registry import TASK_UTILS

from projects.data_distillation import (
    BoxVotingMerger,
    NMSMerger,
    SoftNMSMerger,
    WBFMerger,
)
from projects.data_distillation.multi_view.merging.boxes import (
    compute_pairwise_ious_xyxy,
    measure_corner_spread,
)

SEEDS = [0, 1, *[pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4)]]
FIELDS = ('bboxes', 'scores', 'labels', 'num_views', 'corner_spread')
MERGERS = [
    pytest.param(NMSMerger, {}, id='nms'),
    pytest.param(SoftNMSMerger, {}, id='soft linear'),
    pytest.param(SoftNMSMerger, dict(method='gaussian'), id='soft gaussian'),
    pytest.param(BoxVotingMerger, {}, id='voting'),
    pytest.param(WBFMerger, {}, id='wbf avg'),
    pytest.param(WBFMerger, dict(conf_type='max'), id='wbf max'),
]
every_merger = pytest.mark.parametrize(('merger_class', 'arguments'), MERGERS)
aware_or_agnostic = pytest.mark.parametrize(
    'class_agnostic', [False, True], ids=['aware', 'agnostic']
)


def random_boxes(
    seed: int, n: int = 120, num_views: int = 5, num_scores: int | None = None
) -> dict:
    """Boxes around a few objects, from several views and classes.

    All scores differ, unless `num_scores` says how many there are.
    """
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 60, (n // 8, 2))
    sides = random.uniform(10, 40, (n // 8, 2))
    objects = np.hstack([corners, corners + sides])
    found = random.integers(0, len(objects), n)
    scores = random.uniform(0.01, 1, n)
    if num_scores:
        scores = np.ceil(scores * num_scores) / num_scores
    return dict(
        bboxes_xyxy=torch.tensor(
            objects[found] + random.normal(0, 1.5, (n, 4))
        ).float(),
        scores=torch.tensor(scores).float(),
        labels=torch.tensor(random.integers(0, 3, n)),
        view_ids=torch.tensor(random.integers(0, num_views, n)),
        num_views=num_views,
    )


def boxes_of(*rows: tuple, num_views: int = 3) -> dict:
    """Boxes of view 0 from rows of x1, y1, x2, y2, score, label."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return dict(
        bboxes_xyxy=table[:, :4],
        scores=table[:, 4],
        labels=table[:, 5].long(),
        view_ids=torch.zeros(len(table), dtype=torch.long),
        num_views=num_views,
    )


def select(boxes: dict, indices: torch.Tensor) -> dict:
    return {k: v if k == 'num_views' else v[indices] for k, v in boxes.items()}


def in_python(boxes: dict) -> list[tuple]:
    """Box, score and label of each, by descending score; ties as given."""
    columns = (boxes[k].tolist() for k in ('bboxes_xyxy', 'scores', 'labels'))
    return sorted(zip(*columns), key=lambda box: -box[1])


def overlap(a: list, b: list) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return w * h / (area - w * h)


def class_overlap(a: tuple, b: tuple, class_agnostic: bool) -> float:
    if not class_agnostic and a[2] != b[2]:
        return 0.0
    return overlap(a[0], b[0])


def weighted_mean(members: list[tuple]) -> list[float]:
    total = sum(score for _, score, _ in members)
    return [
        sum(box[i] * score for box, score, _ in members) / total
        for i in range(4)
    ]


def slow_nms(
    boxes: dict, threshold: float, class_agnostic: bool = False
) -> list[tuple]:
    """NMS by its definition: box by box, from the highest score."""
    kept = []
    for box in in_python(boxes):
        if all(
            class_overlap(box, k, class_agnostic) <= threshold for k in kept
        ):
            kept.append(box)
    return kept


def slow_soft_nms(
    boxes: dict, decay, min_score: float, class_agnostic: bool
) -> list[tuple]:
    """Soft-NMS: take the best of the rest, and lower the others' scores."""
    rest, kept = in_python(boxes), []
    while rest:
        best = max(rest, key=lambda box: box[1])
        rest.remove(best)
        kept.append(best)
        rest = [
            (box, score * decay(iou), label)
            for (box, score, label), iou in (
                (r, class_overlap(r, best, class_agnostic)) for r in rest
            )
            if score * decay(iou) >= min_score
        ]
    return kept


def slow_voting(
    boxes: dict, threshold: float, voting: float, class_agnostic: bool
) -> list[tuple]:
    detections = []
    for kept in slow_nms(boxes, threshold, class_agnostic):
        voters = [
            box
            for box in in_python(boxes)
            if class_overlap(box, kept, class_agnostic) >= voting
        ]
        detections.append((weighted_mean(voters), kept[1], kept[2]))
    return detections


def slow_wbf(
    boxes: dict, threshold: float, conf_type: str, class_agnostic: bool
) -> list[tuple]:
    """Weighted boxes fusion, every mean anew from all boxes of a cluster."""
    clusters = []
    for box in in_python(boxes):
        best_iou, best = threshold, None
        for cluster in clusters:
            mean = (weighted_mean(cluster), 1, cluster[0][2])
            if class_overlap(box, mean, class_agnostic) > best_iou:
                best_iou = class_overlap(box, mean, class_agnostic)
                best = cluster
        if best is None:
            clusters.append([box])
        else:
            best.append(box)
    if not class_agnostic:
        clusters.sort(key=lambda cluster: cluster[0][2])
    num_views, fused = boxes['num_views'], []
    for cluster in clusters:
        scores = [score for _, score, _ in cluster]
        score = max(scores)
        if conf_type == 'avg':
            few = min(len(cluster), num_views)
            score = sum(scores) / len(scores) * few / num_views
        fused.append((weighted_mean(cluster), score, cluster[0][2]))
    return sorted(fused, key=lambda box: -np.float32(box[1]))


def assert_merged_is(merged, expected: list[tuple]) -> None:
    bboxes, scores, labels = zip(*expected)
    assert len(merged) == len(expected)
    # float32 pixels up to 100, and scores up to 1.
    np.testing.assert_allclose(merged.bboxes, bboxes, atol=1e-4)
    np.testing.assert_allclose(merged.scores, scores, atol=1e-6)
    assert tuple(merged.labels.tolist()) == labels


def assert_same(a, b, fields=FIELDS) -> None:
    assert len(a) == len(b)
    for name in fields:
        # The order of sums differs.
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.7])
@aware_or_agnostic
def test_nms_is_slow_nms(seed, threshold, class_agnostic):
    boxes = random_boxes(seed)

    merged = NMSMerger(threshold, 1000, class_agnostic)(**boxes)

    expected = slow_nms(boxes, threshold, class_agnostic)
    assert 5 < len(expected) < 120
    assert_merged_is(merged, expected)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('min_score', [0.001, 0.3])
@aware_or_agnostic
def test_soft_nms_is_slow_soft_nms(seed, min_score, class_agnostic):
    boxes = random_boxes(seed)
    arguments = dict(
        min_score=min_score, max_per_img=1000, class_agnostic=class_agnostic
    )

    linear = SoftNMSMerger(0.4, **arguments)(**boxes)
    gaussian = SoftNMSMerger(sigma=0.3, method='gaussian', **arguments)(
        **boxes
    )

    def lower_linearly(iou: float) -> float:
        return 1 - iou if iou >= 0.4 else 1

    def lower_smoothly(iou: float) -> float:
        return math.exp(-(iou**2) / 0.3)

    for merged, decay in [
        (linear, lower_linearly),
        (gaussian, lower_smoothly),
    ]:
        expected = slow_soft_nms(boxes, decay, min_score, class_agnostic)
        assert_merged_is(merged, expected)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('voting', [0.6, 0.8])
@aware_or_agnostic
def test_voting_is_slow_voting(seed, voting, class_agnostic):
    boxes = random_boxes(seed)

    merged = BoxVotingMerger(
        0.5, 1000, class_agnostic, voting_iou_threshold=voting
    )(**boxes)

    expected = slow_voting(boxes, 0.5, voting, class_agnostic)
    assert_merged_is(merged, expected)
    assert expected != slow_nms(boxes, 0.5, class_agnostic)


def test_a_box_exactly_at_the_voting_threshold_has_a_vote():
    boxes = boxes_of((0, 0, 8, 8, 0.6, 0), (0, 0, 8, 6, 0.2, 0))

    merged = BoxVotingMerger(voting_iou_threshold=0.75)(**boxes)

    torch.testing.assert_close(
        merged.bboxes, torch.tensor([[0.0, 0.0, 8.0, 7.5]])
    )


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('num_scores', [None, 8], ids=['', 'ties'])
@pytest.mark.parametrize('conf_type', ['avg', 'max'])
@aware_or_agnostic
def test_wbf_is_slow_wbf(seed, num_scores, conf_type, class_agnostic):
    boxes = random_boxes(seed, num_scores=num_scores)

    merged = WBFMerger(0.5, 1000, class_agnostic, conf_type)(**boxes)

    expected = slow_wbf(boxes, 0.5, conf_type, class_agnostic)
    assert 5 < len(expected) < 120
    assert_merged_is(merged, expected)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('conf_type', ['avg', 'max'])
@pytest.mark.parametrize('num_views', [3, 8])
def test_wbf_is_the_original_package(seed, conf_type, num_views):
    boxes = random_boxes(seed, num_views=num_views)
    # The last view finds nothing, and the package wants the unit square.
    boxes['num_views'] += 1
    boxes['bboxes_xyxy'] += 20
    of_view = [boxes['view_ids'] == i for i in range(num_views + 1)]

    merged = WBFMerger(max_per_img=1000, conf_type=conf_type)(**boxes)

    bboxes, scores, labels = weighted_boxes_fusion(
        [boxes['bboxes_xyxy'][i].double().numpy() / 200 for i in of_view],
        [boxes['scores'][i].double().numpy() for i in of_view],
        [boxes['labels'][i].numpy() for i in of_view],
        iou_thr=0.55,
        conf_type=conf_type,
    )
    assert_merged_is(merged, list(zip(bboxes * 200, scores, labels)))


def test_wbf_mean_moves_with_each_box():
    # The third box overlaps the mean of the others, but not the best box.
    boxes = boxes_of(
        (0, 0, 10, 10, 0.9, 0), (2, 0, 12, 10, 0.8, 0), (3, 0, 13, 10, 0.7, 0)
    )

    assert len(WBFMerger(0.6)(**boxes)) == 1
    assert len(WBFMerger(0.6)(**select(boxes, torch.tensor([0, 2])))) == 2


@pytest.mark.parametrize('seed', SEEDS)
def test_wbf_compares_overlaps_in_double_precision(seed):
    sides = np.random.default_rng(seed).uniform(9, 10, 4)
    boxes = boxes_of((0, 0, *sides[:2], 0.9, 0), (0, 0, *sides[2:], 0.8, 0))
    iou = overlap(*boxes['bboxes_xyxy'].tolist())

    assert len(WBFMerger(iou - 1e-9)(**boxes)) == 1
    assert len(WBFMerger(iou + 1e-9)(**boxes)) == 2


@pytest.mark.parametrize(
    'merger_class', [NMSMerger, BoxVotingMerger, WBFMerger]
)
def test_boxes_exactly_at_the_threshold_are_two_objects(merger_class):
    boxes = boxes_of((0, 0, 8, 8, 0.6, 0), (0, 0, 8, 4, 0.2, 0))
    boxes['view_ids'] = torch.tensor([0, 1])

    merged = merger_class(iou_threshold=0.5)(**boxes)

    assert merged.num_views.tolist() == [1, 1]


@pytest.mark.parametrize('merger_class', [WBFMerger, BoxVotingMerger])
def test_boxes_of_score_0_are_merged(merger_class):
    boxes = boxes_of(*[(0, 0, 10, 10, 0, 0)] * 2)

    merged = merger_class()(**boxes)

    assert merged.bboxes.tolist() == [[0, 0, 10, 10]]
    assert merged.scores.tolist() == [0]


@pytest.mark.parametrize('seed', SEEDS)
@aware_or_agnostic
@every_merger
def test_support_is_that_of_brute_force(
    merger_class, arguments, class_agnostic, seed
):
    boxes = random_boxes(seed)
    merger = merger_class(
        iou_threshold=0.6, class_agnostic=class_agnostic, **arguments
    )

    merged = merger(**boxes)

    expected_views, expected_spread = [], []
    for detection in zip(
        merged.bboxes.tolist(), merged.scores, merged.labels.tolist()
    ):
        supporters, views = [], set()
        for box, label, view in zip(
            boxes['bboxes_xyxy'].tolist(),
            boxes['labels'].tolist(),
            boxes['view_ids'].tolist(),
        ):
            if class_overlap((box, 0, label), detection, class_agnostic) > 0.6:
                supporters.append(box)
                views.add(view)
        x1, y1, x2, y2 = detection[0]
        rms = np.sqrt(np.var(supporters, axis=0).mean()) if supporters else 0
        expected_views.append(len(views))
        expected_spread.append(rms / math.sqrt((x2 - x1) * (y2 - y1)))
    assert merged.num_views.tolist() == expected_views
    np.testing.assert_allclose(
        merged.corner_spread, expected_spread, rtol=1e-4, atol=1e-6
    )
    assert max(expected_views) > 2 and max(expected_spread) > 0.02


def test_corner_spread_far_from_the_origin_loses_no_digits():
    random = np.random.default_rng(0)
    corners = np.array([4000, 4000, 4010, 4010]) + random.normal(
        0, 0.1, (7, 4)
    )
    boxes = boxes_of(*[(*box, 0.5, 0) for box in corners])

    merged = NMSMerger()(**boxes)

    x1, y1, x2, y2 = merged.bboxes[0].tolist()
    rms = boxes['bboxes_xyxy'].double().var(dim=0, correction=0).mean().sqrt()
    expected = float(rms) / math.sqrt((x2 - x1) * (y2 - y1))
    assert merged.corner_spread.tolist() == pytest.approx([expected], rel=1e-5)


def test_corner_spread_of_equal_boxes_is_0():
    boxes = boxes_of(*[(4000.1, 3000.3, 4010.7, 3013.9, 0.5, 0)] * 7)

    assert NMSMerger()(**boxes).corner_spread.tolist() == [0]


def test_corner_spread_of_a_detection_without_area_is_0():
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]])

    assert measure_corner_spread(
        torch.zeros(0, 2).long(), point, point
    ).tolist() == [0]


@every_merger
@aware_or_agnostic
def test_order_of_the_views_does_not_matter(
    merger_class, arguments, class_agnostic
):
    boxes = random_boxes(2)
    new_ids = torch.tensor([3, 0, 4, 1, 2])
    renamed = dict(boxes, view_ids=new_ids[boxes['view_ids']])
    reordered = select(renamed, renamed['view_ids'].argsort())
    merger = merger_class(class_agnostic=class_agnostic, **arguments)

    assert_same(merger(**boxes), merger(**reordered))


@every_merger
def test_scaling_the_image_scales_the_boxes(merger_class, arguments):
    boxes = random_boxes(4)
    scaled = dict(boxes, bboxes_xyxy=boxes['bboxes_xyxy'] * 4)
    merger = merger_class(**arguments)

    merged, merged_scaled = merger(**boxes), merger(**scaled)

    torch.testing.assert_close(merged.bboxes * 4, merged_scaled.bboxes)
    assert_same(merged, merged_scaled, FIELDS[1:])


@pytest.mark.parametrize('merger_class', [NMSMerger, BoxVotingMerger])
@pytest.mark.parametrize('as_new_views', [False, True])
def test_views_given_twice_change_nothing(merger_class, as_new_views):
    boxes = random_boxes(3)
    num_views = boxes['num_views']
    twice = select(boxes, torch.arange(120).repeat(2))
    if as_new_views:
        twice['view_ids'][120:] += num_views
        twice['num_views'] *= 2

    once, merged = merger_class()(**boxes), merger_class()(**twice)

    assert_same(once, merged, ('bboxes', 'scores', 'labels', 'corner_spread'))
    factor = 2 if as_new_views else 1
    assert torch.equal(once.num_views * factor, merged.num_views)


@every_merger
def test_only_the_highest_scores_are_kept(merger_class, arguments):
    boxes = random_boxes(5)

    every = merger_class(max_per_img=1000, **arguments)(**boxes)
    merged = merger_class(max_per_img=3, **arguments)(**boxes)

    assert len(every) > 3 == len(merged)
    assert_same(merged, every[:3])
    assert torch.equal(every.scores, every.scores.sort(descending=True)[0])


@every_merger
@aware_or_agnostic
def test_images_are_merged_together_as_one_by_one(
    merger_class, arguments, class_agnostic
):
    images = [
        random_boxes(7, n=40, num_views=2),
        boxes_of(),
        random_boxes(8),
        boxes_of((3, 3, 3, 9, 0.9, 0)),  # It has no area.
    ]
    merger = merger_class(
        max_per_img=9, class_agnostic=class_agnostic, **arguments
    )

    together = merger.merge_images(images)

    for merged, image in zip(together, images, strict=True):
        alone = merger(**image)
        assert all(torch.equal(merged[name], alone[name]) for name in FIELDS)
    assert [len(merged) for merged in together][1::2] == [0, 0]
    assert len(together[2]) == 9
    assert merger.merge_images([]) == []


@pytest.mark.parametrize('seed', SEEDS)
@aware_or_agnostic
def test_nms_is_that_of_mmcv_bit_for_bit(seed, class_agnostic):
    boxes = random_boxes(seed)
    moved = boxes['bboxes_xyxy'] - boxes['bboxes_xyxy'].min()
    nms = dict(type='nms', iou_threshold=0.5, class_agnostic=class_agnostic)

    merged = NMSMerger(0.5, 1000, class_agnostic)(**boxes)

    _, kept = batched_nms(moved, boxes['scores'], boxes['labels'], nms)
    assert torch.equal(merged.bboxes, boxes['bboxes_xyxy'][kept])
    assert torch.equal(merged.scores, boxes['scores'][kept])


def test_overlaps_are_those_of_mmcv_bit_for_bit():
    some, others = (random_boxes(n)['bboxes_xyxy'] for n in (0, 1))

    overlaps = compute_pairwise_ious_xyxy(some[:70], others)

    assert torch.equal(overlaps, bbox_overlaps(some[:70], others))
    assert (overlaps > 0.5).any()


@every_merger
def test_no_box_gives_no_detection(merger_class, arguments):
    merged = merger_class(**arguments)(**boxes_of())

    assert merged.bboxes.shape == (0, 4)
    assert all(len(merged[name]) == 0 for name in FIELDS)
    dtypes = [merged[name].dtype for name in FIELDS]
    f, i = torch.float32, torch.int64
    assert dtypes == [f, f, i, i, f]


@every_merger
def test_single_box_is_kept(merger_class, arguments):
    box = boxes_of((1.1, 2.2, 7.7, 5.5, 0.6, 2), num_views=1)

    merged = merger_class(**arguments)(**box)

    assert torch.equal(merged.bboxes, box['bboxes_xyxy'])
    assert torch.equal(merged.scores, box['scores'])
    assert merged.labels.tolist() == [2]
    assert merged.num_views.tolist() == [1]
    assert merged.corner_spread.tolist() == [0]
    dtypes = [merged[name].dtype for name in FIELDS]
    f, i = torch.float32, torch.int64
    assert dtypes == [f, f, i, i, f]


@every_merger
def test_inputs_are_not_modified(merger_class, arguments):
    boxes = random_boxes(6)
    copies = select(boxes, torch.arange(120))

    merger_class(**arguments)(**boxes)

    for name in ('bboxes_xyxy', 'scores', 'labels', 'view_ids'):
        assert torch.equal(boxes[name], copies[name])


@every_merger
def test_boxes_without_area_are_left_out(merger_class, arguments):
    boxes = boxes_of(
        (0, 0, 10, 10, 0.5, 0),
        (3, 3, 3, 9, 0.9, 0),
        (3, 3, 9, 3, 0.9, 0),
        (3, 3, 3, 3, 0.8, 1),
        (5, 5, 2, 2, 0.7, 1),
    )
    merger = merger_class(**arguments)

    assert merger(**boxes).bboxes.tolist() == [[0, 0, 10, 10]]
    assert len(merger(**select(boxes, torch.arange(1, 5)))) == 0


@every_merger
@aware_or_agnostic
@pytest.mark.parametrize('column', [0, 2, 4])
@pytest.mark.parametrize('value', [math.nan, math.inf], ids=str)
def test_numbers_that_are_not_finite_spoil_no_other_box(
    merger_class, arguments, class_agnostic, column, value
):
    rows = [(0, 0, 10, 10, 0.9, 0), (1, 0, 11, 10, 0.5, 0)]
    rows.append((40, 40, 50, 50, 0.7, 1))
    broken = [1, 0, 10, 10, 0.8, 0]
    broken[column] = value
    merger = merger_class(class_agnostic=class_agnostic, **arguments)

    merged = merger(**boxes_of(rows[0], broken, *rows[1:]))

    alone = merger(**boxes_of(*rows))
    assert all(torch.equal(merged[name], alone[name]) for name in FIELDS)


@every_merger
def test_classes_stay_apart_left_of_and_above_the_image(
    merger_class, arguments
):
    # mmcv's offset of class 1 would put its box onto that of class 0.
    boxes = boxes_of((90, 90, 100, 100, 0.9, 0), (-11, -11, -1, -1, 0.8, 1))
    boxes['num_views'] = 1

    merged = merger_class(**arguments)(**boxes)

    assert merged.bboxes.tolist() == boxes['bboxes_xyxy'].tolist()
    torch.testing.assert_close(merged.scores, boxes['scores'])


@every_merger
def test_high_class_numbers_lose_no_precision(merger_class, arguments):
    # mmcv's offset of class 100,000 would round 4.6 to 5.
    boxes = boxes_of(
        (0, 0, 10, 10, 0.9, 100_000), (4.6, 0, 14.6, 10, 0.8, 100_000)
    )
    alike = dict(boxes, labels=boxes['labels'] * 0)
    merger = merger_class(iou_threshold=0.35, **arguments)

    merged = merger(**boxes)

    assert_same(merged, merger(**alike), ('bboxes', 'scores', 'num_views'))
    assert set(merged.labels.tolist()) == {100_000}


@pytest.mark.slow
@pytest.mark.parametrize(
    'merger_class', [NMSMerger, SoftNMSMerger, BoxVotingMerger, WBFMerger]
)
@aware_or_agnostic
def test_very_many_boxes_are_merged_alike(merger_class, class_agnostic):
    # From 10,000 boxes on, mmcv takes another way.
    n = 10_050
    boxes = dict(
        bboxes_xyxy=torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(n, 1),
        scores=torch.arange(1, n + 1) / n,
        labels=torch.arange(n) % 3,
        view_ids=torch.arange(n) % 18,
        num_views=18,
    )

    merged = merger_class(class_agnostic=class_agnostic)(**boxes)

    assert len(merged) == (1 if class_agnostic else 3)
    assert merged.num_views.tolist()[0] == (18 if class_agnostic else 6)


@pytest.mark.parametrize(
    ('merger_class', 'defaults'),
    [
        (NMSMerger, dict(iou_threshold=0.5)),
        (
            SoftNMSMerger,
            dict(
                iou_threshold=0.5, sigma=0.5, min_score=0.001, method='linear'
            ),
        ),
        (BoxVotingMerger, dict(iou_threshold=0.5, voting_iou_threshold=0.8)),
        (WBFMerger, dict(iou_threshold=0.55, conf_type='avg')),
    ],
)
def test_defaults_are_those_of_the_sources(merger_class, defaults):
    explicit = merger_class(max_per_img=100, class_agnostic=False, **defaults)

    assert vars(merger_class()) == vars(explicit)


@pytest.mark.parametrize('name', ['NMS', 'SoftNMS', 'BoxVoting', 'WBF'])
def test_mergers_are_built_from_a_config(name):
    config = dict(type=f'{name}Merger', iou_threshold=0.6, max_per_img=7)

    merger = TASK_UTILS.build(config)

    assert (merger.iou_threshold, merger.max_per_img) == (0.6, 7)


@pytest.mark.parametrize(
    'merger_class', [NMSMerger, SoftNMSMerger, BoxVotingMerger, WBFMerger]
)
def test_bad_shared_argument_is_refused(merger_class):
    for value in (0, 1, 50, math.nan):
        with pytest.raises(
            ValueError,
            match=f'iou_threshold must be above 0 and below 1, got {value}',
        ):
            merger_class(iou_threshold=value)
    for number in (0, 1.5, math.nan):
        with pytest.raises(
            ValueError, match=f'max_per_img must be an int.* 1, got {number}'
        ):
            merger_class(max_per_img=number)


@pytest.mark.parametrize(
    ('merger_class', 'arguments', 'message'),
    [
        (
            BoxVotingMerger,
            dict(voting_iou_threshold=80),
            'voting_iou_threshold must be above 0 and below 1, got 80',
        ),
        (SoftNMSMerger, dict(sigma=0), 'sigma must be above 0, got 0'),
        (
            SoftNMSMerger,
            dict(min_score=-1),
            'min_score must be above 0 and below 1, got -1',
        ),
        (
            SoftNMSMerger,
            dict(method='naive'),
            r"method must be one of \('linear', 'gaussian'\), got 'naive'",
        ),
        (
            WBFMerger,
            dict(conf_type='sum'),
            r"conf_type must be one of \('avg', 'max'\), got 'sum'",
        ),
    ],
)
def test_bad_argument_is_refused(merger_class, arguments, message):
    with pytest.raises(ValueError, match=message):
        merger_class(**arguments)


@pytest.mark.parametrize('view', [-1, 3])
def test_view_that_the_image_does_not_have_is_refused(view):
    boxes = boxes_of((0, 0, 9, 9, 0.5, 0), num_views=3)
    boxes['view_ids'] += view

    with pytest.raises(
        ValueError, match=rf'view_ids .* \[0, num_views = 3\), got {view}'
    ):
        NMSMerger()(**boxes)


def test_image_without_a_view_is_refused():
    with pytest.raises(ValueError, match='num_views must be an .* 1, got 0'):
        NMSMerger()(**boxes_of(num_views=0))


@aware_or_agnostic
def test_supporters_are_the_boxes_of_each_view_that_overlap_most(
    class_agnostic,
):
    merger = NMSMerger(iou_threshold=0.5, class_agnostic=class_agnostic)
    boxes = random_boxes(3)
    boxes['view_ids'][boxes['view_ids'] == 2] = 0  # a view without a box
    kept = NMSMerger(iou_threshold=0.3)(**random_boxes(4)).bboxes
    labels = torch.arange(len(kept)) % 3

    found = merger.find_supporters(kept, labels, **select_support(boxes))

    num_alone = 0
    for bbox, label, views in zip(kept, labels.tolist(), found.tolist()):
        detection = (bbox.tolist(), 0, label)
        ious = np.array(
            [
                class_overlap((box, 0, other), detection, class_agnostic)
                for box, other in zip(
                    boxes['bboxes_xyxy'].tolist(), boxes['labels'].tolist()
                )
            ]
        )
        is_alone = 0 < ious.max() <= 0.5
        num_alone += is_alone
        expected = []
        for view in range(boxes['num_views']):
            of_view = np.where(boxes['view_ids'].numpy() == view, ious, 0)
            best = of_view.argmax()
            least = ious.max() - 1e-9 if is_alone else 0.5
            expected.append(int(best) if of_view[best] > least else -1)
        assert views == expected
    assert num_alone and (found >= 0).any(dim=0).tolist().count(False) == 1


def select_support(boxes: dict) -> dict:
    return {name: value for name, value in boxes.items() if name != 'scores'}
