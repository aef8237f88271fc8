"""Masks of views: each comes back, and those of one object are merged."""

import cv2
import numpy as np
import pytest
import torch
from builders import ToySegmentor, toy_detector_cfg
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from projects.data_distillation import (
    VIEW_TRANSFORMS,
    MultiViewTTA,
    ViewTransform,
)
from projects.data_distillation.multi_view.inference.mean_masks import (
    average_masks,
    copy_masks_to_host,
)
from projects.data_distillation.multi_view.inference.view_batches import (
    LoadedView,
    MadeView,
)
from projects.data_distillation.multi_view.inference.view_boxes import (
    take_back,
)
from projects.data_distillation.multi_view.inference.view_masks import (
    MaskMerger,
)
from projects.data_distillation.multi_view.views.masks import cut_masks
from projects.data_distillation.multi_view.views.view import View

NMS = dict(type='NMSMerger')
LARGE = dict(type='Resize', scale=(260, 170))
SMALL = dict(type='Resize', scale=(90, 60))
FLIP = dict(type='Flip')
VIEWS = [
    [],
    [LARGE],
    [SMALL],
    [LARGE, FLIP],
    [dict(type='Flip', direction='vertical')],
    [dict(type='Rotate', degrees=90), LARGE],
    [dict(type='Rotate', degrees=180)],
    [dict(type='Crop', right=0.95), dict(type='Rotate', degrees=270)],
    [dict(type='Tile', row=1, column=1, overlap=0.9), LARGE, FLIP],
    [LARGE, FLIP, dict(type='Pad', value=0)],
    [dict(type='Resize', scale=(131, 77), keep_ratio=False)],
]
SIZE_HW = (80, 124)


def segmentor(**changes):
    return MODELS.build(
        dict(toy_detector_cfg(), type='ToySegmentor') | changes
    )


def wrapper(views, masks=(), merger=NMS, detector=None, **kwargs):
    detector = detector or segmentor()
    masks = dict(masks)
    return MultiViewTTA(detector, merger, views, masks=masks, **kwargs).eval()


@torch.no_grad()
def label(tta, image):
    sample = DetDataSample(metainfo=dict(ori_shape=tuple(image.shape[-2:])))
    (found,) = tta.test_step(dict(inputs=[image], data_samples=[sample]))
    return found.pred_instances


def draw(*draws) -> tuple[torch.Tensor, list[np.ndarray]]:
    """An image with a red and a green object, and their masks."""
    pixels = np.zeros((*SIZE_HW, 3), np.uint8)
    masks = []
    for channel, one in zip((2, 1), draws):  # BGR
        mask = np.zeros(SIZE_HW, np.uint8)
        one(mask)
        pixels[..., channel] = 255 * mask
        masks.append(mask.astype(bool))
    return torch.from_numpy(pixels).permute(2, 0, 1), masks


def ellipse(mask):
    cv2.ellipse(mask, (40, 44), (25, 14), 30, 0, 360, 1, -1)


def rectangle(mask):
    mask[30:62, 80:110] = 1


def ring(mask):
    """With a hole, as no polygon has it."""
    cv2.circle(mask, (88, 45), 22, 1, 9)


def pair(mask):
    """An object that something hides in part."""
    mask[24:40, 30:50] = 1
    mask[48:60, 30:50] = 1


def decoded(found, label):
    (index,) = (found.labels == label).nonzero().flatten().tolist()
    return coco_mask.decode(found.masks[index]).astype(bool)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize('draws', [(ellipse, rectangle), (pair, ring)])
@pytest.mark.parametrize('views', [*([v] for v in VIEWS), VIEWS], ids=str)
def test_drawn_masks_come_back(views, draws):
    image, masks = draw(*draws)

    found = label(wrapper(views), image)

    # A view that makes pixels larger or fewer loses a part of the border.
    least = 0.87 if views == [[SMALL]] else 0.93
    for number, mask in enumerate(masks):
        assert iou(decoded(found, number), mask) > least
    assert found.mask_areas.tolist() == [
        coco_mask.area(mask) for mask in found.masks
    ]
    assert found.masks[0]['size'] == list(SIZE_HW)


@pytest.mark.parametrize(
    'views', [[v] for v in VIEWS if 'Resize' not in str(v)], ids=str
)
def test_mask_of_a_view_without_resizing_is_exact(views):
    image, masks = draw(ellipse, ring)

    found = label(wrapper(views), image)

    for number, mask in enumerate(masks):
        assert np.array_equal(decoded(found, number), mask)
    assert found.mask_agreement.tolist() == [1, 1]


@pytest.mark.parametrize('keep_views', [False, True])
def test_boxes_are_the_same_with_masks(keep_views):
    image, _ = draw(ellipse, rectangle)
    boxes = MultiViewTTA(segmentor(), NMS, VIEWS).eval()

    plain = label(boxes, image)
    found = label(wrapper(VIEWS, keep_views=keep_views), image)

    assert 'masks' not in plain
    for name, values in plain.items():
        assert torch.equal(found[name], values)


# --- merging ---------------------------------------------------------------


def random_views(seed, num_views=4, num_boxes=9, dtype=torch.bool):
    """Each view is the image itself; boxes and masks are noise."""
    random = np.random.default_rng(seed)
    objects = np.hstack([random.uniform(0, 40, (3, 2)), np.full((3, 2), 16)])
    objects[:, 2:] += objects[:, :2]
    views = []
    for index in range(num_views):
        of_object = random.integers(0, 3, num_boxes)
        bboxes = objects[of_object] + random.normal(0, 2, (num_boxes, 4))
        masks = np.zeros((num_boxes, 60, 64), np.float32)
        for mask, (x1, y1, x2, y2) in zip(masks, bboxes.round().astype(int)):
            part = mask[max(y1, 0) : y2, max(x1, 0) : x2]
            part[:] = random.random(part.shape)
        masks = masks > 0.4 if dtype == torch.bool else masks * 255
        found = InstanceData(
            bboxes=torch.from_numpy(bboxes).float(),
            scores=torch.from_numpy(random.uniform(0, 1, num_boxes)).float(),
            labels=torch.from_numpy(of_object % 2),
            masks=torch.from_numpy(masks).to(dtype),
        )
        view = MadeView(
            0, index, View([]), torch.zeros(3, 60, 64), DetDataSample(), (0,)
        )
        views.append((view, found))
    return views


def merge(views, merger, **options):
    """What `MultiViewTTA` does with the boxes of one image."""
    options = MaskMerger(**options)
    kept = [(view, options.keep(view, found)) for view, found in views]
    (boxes,) = take_back([kept], torch.device('cpu'), with_masks=True)
    merged = merger(**boxes.columns, num_views=len(kept))
    options.merge(merged, boxes, merger.find_supporters, (60, 64))
    return merged


def slow_iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if min(width, height) <= 0:
        return 0.0
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return width * height / (sum(areas) - width * height)


def best_box(found, bbox, label, merger, min_score):
    """The overlap, score and mask of the box that a detection is most like."""
    best = (0.0, None, None)
    for i in range(len(found)):
        other = found.labels[i] != label and not merger.class_agnostic
        overlap = slow_iou(bbox.tolist(), found.bboxes[i].tolist())
        if not other and found.scores[i] >= min_score and overlap > best[0]:
            best = (overlap, found.scores[i], found.masks[i])
    return best


def slow_merge(views, merger, threshold, *detection):
    """The merged mask of a detection, with arrays of the whole image."""
    best = [best_box(found, *detection) for _, found in views]
    supporters = [one for one in best if one[0] > merger.iou_threshold]
    alone = max(best, key=lambda one: one[0])
    if not supporters and alone[0]:
        supporters = [alone]
    if not supporters:
        return np.zeros((60, 64), bool), 0.0
    scores = np.array([score for _, score, _ in supporters], np.float64)
    masks = np.array([mask.numpy() for *_, mask in supporters], np.float64)
    masks /= 1 if views[0][1].masks.dtype == torch.bool else 255
    mean = np.tensordot(scores / scores.sum(), masks, 1)
    merged = mean >= threshold - 1e-5
    agreement = [iou(mask >= threshold, merged) for mask in masks]
    return merged, np.average(agreement, weights=scores)


@pytest.mark.parametrize(
    'seed', [0, *[pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3)]]
)
@pytest.mark.parametrize(
    ('dtype', 'threshold'),
    [(torch.bool, 0.5), (torch.uint8, 0.5), (torch.uint8, 0.3)],
    ids=str,
)
@pytest.mark.parametrize(
    'merger',
    [
        NMS,
        dict(type='WBFMerger', iou_threshold=0.6),
        dict(type='SoftNMSMerger'),
        dict(type='BoxVotingMerger', class_agnostic=True, iou_threshold=0.4),
    ],
    ids=str,
)
def test_merged_masks_are_those_of_slow_merging(
    seed, dtype, threshold, merger
):
    views, merger = random_views(seed, dtype=dtype), TASK_UTILS.build(merger)

    found = merge(views, merger, min_score=0.2, mask_thr_binary=threshold)

    num_several = 0
    for i in range(len(found)):
        mask, agreement = slow_merge(
            views,
            merger,
            threshold,
            found.bboxes[i],
            found.labels[i],
            merger,
            0.2,
        )
        if found.scores[i] < 0.2:
            mask, agreement = np.zeros_like(mask), 0.0
        assert np.array_equal(coco_mask.decode(found.masks[i]), mask)
        assert found.mask_areas[i] == mask.sum()
        assert found.mask_agreement[i] == pytest.approx(agreement, abs=1e-5)
        num_several += 0 < agreement < 1
    assert num_several


def views_of(*masks, scores=None):
    """A view for each mask; all see one object in one box."""
    scores = scores or [0.5] * len(masks)
    views = random_views(0, len(masks), 1)
    for (_, found), rows, score in zip(views, masks, scores):
        found.bboxes = torch.tensor([[0.0, 0, 20, 20]])
        found.scores, found.labels = torch.tensor([score]), torch.tensor([0])
        found.masks = torch.zeros(1, 60, 64, dtype=torch.bool)
        found.masks[0, rows, :20] = True
    return views


def merged_rows(views, **options):
    """The rows that the mask of the best detection has."""
    rle, *_ = merge(views, TASK_UTILS.build(NMS), **options).masks
    return np.flatnonzero(coco_mask.decode(rle).any(axis=1)).tolist()


def test_two_views_that_disagree_give_the_union_whatever_their_scores_are():
    up, down = slice(0, 4), slice(2, 6)
    for score in (0.1, 0.3, 0.7, 1.0):
        views = views_of(up, down, scores=[score, score])
        assert merged_rows(views) == [0, 1, 2, 3, 4, 5]
    assert merged_rows(views_of(up, down, scores=[0.5, 0.4])) == [0, 1, 2, 3]
    assert merged_rows(views_of(up, down, down)) == [2, 3, 4, 5]


def test_lower_threshold_sets_what_fewer_views_show():
    views = views_of(slice(0, 4), slice(2, 6), scores=[0.5, 0.4])

    # 0.4 of 0.9 is 0.444.
    assert merged_rows(views, mask_thr_binary=0.45) == [0, 1, 2, 3]
    assert merged_rows(views, mask_thr_binary=0.44) == [0, 1, 2, 3, 4, 5]
    assert merged_rows(views, mask_thr_binary=0.56) == [2, 3]


def test_views_without_the_object_do_not_vote():
    nothing = views_of(slice(0, 0), scores=[0.0])[0]
    nothing[1].bboxes += 40  # elsewhere

    assert merged_rows([*views_of(slice(1, 3)), nothing, nothing]) == [1, 2]


@pytest.mark.parametrize('order', [(0, 1), (1, 0)], ids=['first', 'second'])
@pytest.mark.parametrize('turned', [False, True], ids=['right', 'below'])
def test_mask_in_the_padding_adds_no_pixel(order, turned):
    padding, inside = torch.zeros(2, 64, 64, dtype=torch.bool)
    padding[10:30, 60:64], inside[20:40, 30:60] = True, True
    size_hw = (60, 64) if turned else (64, 60)
    view = View([dict(type='Pad')])
    masks = [padding.T, inside.T] if turned else [padding, inside]
    patches = [view.invert_mask(one, size_hw) for one in cut_masks(masks)]

    mean = average_masks([patches[i] for i in order], [0.5, 0.5], 0.5)

    rle = copy_masks_to_host([mean])[0].encode(size_hw)
    expected = masks[1][: size_hw[0], : size_hw[1]].numpy()
    assert np.array_equal(coco_mask.decode(rle), expected)
    assert mean.agreement == 0.5


def test_only_the_best_have_masks():
    views = random_views(1)
    scores = torch.cat([found.scores for _, found in views])

    kept = [MaskMerger(0.3, 2).keep(*one) for one in views]

    for (_, found), one in zip(views, kept):
        best = found.scores.argsort(descending=True)[:2].tolist()
        wanted = {i for i in best if found.scores[i] >= 0.3}
        assert {i for i, mask in enumerate(one.masks) if mask} == wanted
    merger = TASK_UTILS.build(dict(NMS, iou_threshold=0.9))
    found = merge(views, merger, min_score=0.3, max_per_img=5)
    assert scores.max() == found.scores[0] and len(found) > 5
    assert (found.mask_areas > 0).tolist()[5:] == [False] * (len(found) - 5)
    assert found.mask_areas[0] > 0
    empty = coco_mask.encode(np.zeros((60, 64), np.uint8, order='F'))
    assert found.masks[-1]['counts'] == empty['counts']


def test_score_of_exactly_the_floor_has_a_mask():
    assert merged_rows(views_of(slice(3), scores=[0.25]), min_score=0.25)


def test_boxes_may_be_those_around_the_masks():
    image, _ = draw(pair, ring)

    found = label(wrapper(VIEWS, dict(bbox_from='masks')), image)

    for number in range(2):
        ys, xs = np.nonzero(decoded(found, number))
        around = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        bbox = found.bboxes[found.labels == number]
        assert bbox.tolist() == [around]


@MODELS.register_module()
class BoxlessSegmentor(ToySegmentor):
    """Gives boxes of zeros, as SOLO does; some of its masks are soft."""

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        super().predict(batch_inputs, batch_data_samples, rescale)
        for sample in batch_data_samples:
            found = sample.pred_instances
            found.bboxes.zero_()
            found.masks = found.masks * torch.tensor(200, dtype=torch.uint8)
            found.masks[:, 0, 0] = 100  # less than half
        return batch_data_samples


def test_boxes_of_zeros_become_those_of_the_masks():
    image, _ = draw(ellipse, rectangle)
    boxless = segmentor(type='BoxlessSegmentor')

    found = label(wrapper(VIEWS, detector=boxless), image)

    expected = label(wrapper(VIEWS), image)
    assert torch.equal(found.bboxes, expected.bboxes)
    assert found.num_views.tolist() == [len(VIEWS)] * 2


def test_image_without_objects_has_no_masks():
    found = label(wrapper(VIEWS), torch.zeros(3, *SIZE_HW, dtype=torch.uint8))

    assert found.masks == []
    assert found.mask_areas.shape == found.mask_agreement.shape == (0,)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flip_of_the_pipeline_is_undone(direction):
    image, masks = draw(ellipse, ring)
    axes = dict(horizontal=[-1], vertical=[-2], diagonal=[-1, -2])[direction]
    (shown,) = torch.nn.functional.interpolate(
        image[None].float(), scale_factor=2.0
    ).byte()
    samples = []
    for flip in (False, True):
        size_hw = tuple(shown.shape[-2:])
        metainfo = dict(
            ori_shape=SIZE_HW,
            img_shape=size_hw,
            scale_factor=(2.0, 2.0),
            flip=flip,
            flip_direction=direction,
        )
        samples.append([DetDataSample(metainfo=metainfo)])
    data = dict(inputs=[[shown], [shown.flip(axes)]], data_samples=samples)

    (found,) = wrapper(None).test_step(data)

    for number, mask in enumerate(masks):
        assert iou(decoded(found.pred_instances, number), mask) > 0.97


# --- what is refused -------------------------------------------------------


def test_detector_without_masks_is_refused():
    detector = MODELS.build(toy_detector_cfg())
    image, _ = draw(ellipse, rectangle)

    with pytest.raises(ValueError, match="segments instances.*'bboxes'"):
        label(wrapper(VIEWS, detector=detector), image)


def test_masks_of_another_size_are_refused_and_short_ones_are_filled():
    sample = DetDataSample(metainfo=dict(ori_shape=(60, 64)))
    view = LoadedView(0, 0, torch.zeros(3, 60, 64), sample)
    found = views_of(slice(58))[0][1]
    for height, width in ((58, 66), (62, 62)):
        masks = torch.zeros(1, height, width, dtype=torch.bool)
        masks[:, :, :20] = True
        found.masks = masks
        (mask,) = MaskMerger().keep(view, found).masks
        assert mask.patch.size_hw == (min(height, 60), 20)

    found.masks = torch.zeros(1, 64, 60, dtype=torch.bool)
    with pytest.raises(ValueError, match=r'\(60, 64\) .*got \(64, 60\)'):
        MaskMerger().keep(view, found)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(min_score=1.5), 'min_score must be from 0 to 1, got 1.5'),
        (dict(max_per_img=0), 'max_per_img must be an .* least 1, got 0'),
        (dict(bbox_from='mask'), "bbox_from must be one of .* got 'mask'"),
        (dict(mask_thr_binary=1), 'mask_thr_binary must be .* below 1, got 1'),
    ],
)
def test_bad_option_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        wrapper([[]], options)


def test_transform_that_cannot_take_masks_back_is_refused():
    views = [[], [FLIP, dict(type='Shear')]]
    methods = dict(invert=lambda self, bboxes_xyxy, size_hw: bboxes_xyxy)
    shear = type('Shear', (ViewTransform,), methods)
    VIEW_TRANSFORMS.register_module(module=shear)

    try:
        with pytest.raises(ValueError, match='invert_mask in Shear'):
            wrapper(views)
        MultiViewTTA(segmentor(), NMS, views)
    finally:
        del VIEW_TRANSFORMS.module_dict['Shear']
