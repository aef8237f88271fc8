"""Every kind of MMDetection instance segmentor, with its masks.

See `real_detectors`. With random weights, masks are noise too.
"""

import copy
import functools

import cv2
import numpy as np
import pytest
import torch
from builders import annotate, annotate_cfg
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from pycocotools import mask as coco_mask
from real_detectors import (
    RESNET,
    Subject,
    image_of,
    make_config,
    make_detector,
    run_plain,
)

from projects.data_distillation.multi_view.inference.tta import MultiViewTTA

pytestmark = pytest.mark.slow

QUERIES = {
    'backbone.depth': 18,
    'backbone.base_channels': 32,
    'panoptic_head.in_channels': [32, 64, 128, 256],
    'panoptic_head.pixel_decoder.encoder.num_layers': 1,
    'panoptic_head.transformer_decoder.num_layers': 2,
    'panoptic_head.num_queries': 40,
    'panoptic_head.loss_cls.class_weight': [1.0] * 3 + [0.1],
    'data_preprocessor.batch_augments': None,
    'test_cfg.max_per_image': 40,
}
# Fewer proposals: each mask takes time.
TWO_STAGE = {
    **RESNET,
    'test_cfg.rpn.max_per_img': 16,
    'test_cfg.rcnn.max_per_img': 16,
    'test_cfg.rpn.nms_pre': 40,
}
ONE_HEAD = {**TWO_STAGE, 'roi_head.bbox_head.fc_out_channels': 64}
FEW = {'test_cfg.nms_pre': 100, 'test_cfg.max_per_img': 40}
SUBJECTS = {
    'Mask R-CNN': Subject('mask_rcnn/mask-rcnn_r50_fpn_1x_coco', TWO_STAGE),
    'PointRend': Subject(
        'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco',
        ONE_HEAD,
    ),
    'QueryInst': Subject(
        'queryinst/queryinst_r50_fpn_1x_coco',
        {
            **RESNET,
            'rpn_head.num_proposals': 12,
            'test_cfg.rcnn.max_per_img': 12,
            **{
                f'roi_head.bbox_head.{i}.feedforward_channels': 64
                for i in range(6)
            },
            # Random boxes outside of the image would end pasting of masks.
            **{
                f'roi_head.bbox_head.{i}.bbox_coder.clip_border': True
                for i in range(6)
            },
        },
    ),
    'RTMDet-Ins': Subject(
        'rtmdet/rtmdet-ins_tiny_8xb32-300e_coco',
        # Random weights give probabilities near this one.
        {**FEW, 'test_cfg.mask_thr_binary': 0.41},
    ),
    'CondInst': Subject(
        'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
        {**RESNET, **FEW},
    ),
    'SOLOv2': Subject(
        'solov2/solov2-light_r50_fpn_ms-3x_coco', {**RESNET, **FEW}
    ),
    'YOLACT': Subject('yolact/yolact_r50_1xb8-55e_coco', {**RESNET, **FEW}),
    'Mask2Former': Subject(
        'mask2former/mask2former_r50_8xb2-lsj-50e_coco', QUERIES
    ),
}
# Its masks are made by the head of Mask R-CNN.
ALIKE = ['QueryInst']
FLIP = dict(type='Flip')


# With other random weights, its masks reach all borders, and so do its boxes.
SEEDS = {'Mask2Former': 1}
NAMES = ('one', 'two', 'three')


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


@pytest.fixture(scope='module')
def segmentors():
    """Each segmentor, built when it is first asked for."""
    return functools.cache(build)


@torch.no_grad()
def build(name: str) -> torch.nn.Module:
    return make_detector(SUBJECTS[name], SEEDS.get(name, 0))


def run_cfg(drawn, name: str, segmentor, image, work_dir):
    """An annotation of an image and its mirror image, of all that is found."""
    folder = drawn.folder / 'mirrored'
    folder.mkdir()
    for number, one in enumerate((image, image.flip(-1))):
        pixels = one.permute(1, 2, 0).numpy()
        cv2.imwrite(str(folder / f'{number}.png'), pixels)
    weights = drawn.folder / 'weights.pth'
    meta = dict(dataset_meta=dict(classes=NAMES))
    torch.save(dict(state_dict=segmentor.state_dict(), meta=meta), weights)
    categories = [dict(id=i, name=name) for i, name in enumerate(NAMES)]
    annotations = [
        dict(one, category_id=0) for one in drawn.labeled['annotations']
    ]
    labeled = dict(
        drawn.labeled, categories=categories, annotations=annotations
    )
    resize = dict(type='Resize', scale=SUBJECTS[name].size_wh)

    cfg = annotate_cfg(drawn, weights, work_dir)
    cfg.model.module = make_config(SUBJECTS[name]).model
    cfg.model.views = [[resize], [resize, FLIP]]
    # Many of these masks fill most of the image, and so do their boxes.
    cfg.model.merger = dict(type='NMSMerger', iou_threshold=0.97)
    # Random boxes may be thinner than a pixel.
    cfg.model.masks = dict(min_score=0, bbox_from='masks')
    cfg.test_dataloader.dataset.update(
        ann_file='',
        data_prefix=dict(img=str(folder)),
        metainfo=dict(classes=NAMES),
    )
    cfg.custom_hooks[0].labeled.ann_file = str(
        drawn.write('named.json', labeled)
    )
    cfg.custom_hooks[0].selection = dict(
        selector=dict(type='FixedSelector', min_score=0.0)
    )
    return cfg


def worst_ious(masks, others, same) -> np.ndarray:
    """The IoU of each mask with the most alike of those that may be it."""
    shared = np.einsum('ihw,jhw->ij', masks * 1.0, others * 1.0)
    areas, other_areas = (m.sum(axis=(1, 2)) for m in (masks, others))
    unions = areas[:, None] + other_areas - shared
    ious = np.where(unions > 0, shared / np.maximum(unions, 1), 1)
    return np.where(same, ious, 0).max(axis=1)


def are_same(scores, labels, other_scores, other_labels) -> np.ndarray:
    alike = np.abs(np.subtract.outer(scores, other_scores)) < 1e-3
    return alike & np.equal.outer(labels, other_labels)


@pytest.mark.parametrize('name', SUBJECTS)
def test_mirrored_image_gives_mirrored_masks(
    segmentors, name, drawn, tmp_path
):
    width, height = SUBJECTS[name].size_wh
    # A resize by two treats an image and its mirror image alike to the bit.
    image = image_of(width // 2, height // 2)

    content = annotate(
        run_cfg(drawn, name, segmentors(name), image, tmp_path / 'work')
    )

    found = []
    for number in (1, 2):
        some = [a for a in content['annotations'] if a['image_id'] == number]
        masks = [coco_mask.decode(a['segmentation']) == 1 for a in some]
        scores, labels = zip(*((a['score'], a['category_id']) for a in some))
        found.append((np.stack(masks), scores, labels))
    (masks, *of_image), (mirrored, *of_mirrored) = found
    ious = worst_ious(
        masks, mirrored[:, :, ::-1], are_same(*of_image, *of_mirrored)
    )
    assert (ious > 0.98).mean() > 0.95, np.sort(ious)
    assert len({mask.tobytes() for mask in masks}) >= 3
    # None is its own mirror image.
    assert (masks != masks[:, :, ::-1]).any(axis=(1, 2)).sum() >= 3


def own_masks(segmentor, image, size_wh):
    """What a segmentor finds, with masks that are cut at 0.5.

    Those of two-stage detectors are cut after rounding to 1/255, which shows:
    the probabilities of random weights are near 0.5.
    """
    segmentor = copy.deepcopy(segmentor)
    if hasattr(segmentor, 'roi_head'):
        segmentor.roi_head.test_cfg.mask_thr_binary = -1
    found = run_plain(segmentor, image, [dict(type='Resize', scale=size_wh)])
    masks = found.masks.numpy()
    return found, masks >= (1 if masks.dtype == bool else 128)


@pytest.mark.parametrize(
    'name', [name for name in SUBJECTS if name not in ALIKE]
)
def test_view_has_the_masks_of_the_segmentors_own_test_step(segmentors, name):
    size_wh = SUBJECTS[name].size_wh
    image = image_of(*size_wh)
    tta = MultiViewTTA(
        copy.deepcopy(segmentors(name)),
        dict(type='NMSMerger', iou_threshold=0.97),
        [[]],
        masks=dict(min_score=0),
    ).eval()
    sample = DetDataSample(metainfo=dict(ori_shape=tuple(image.shape[-2:])))

    with torch.no_grad():
        (found,) = tta.test_step(dict(inputs=[image], data_samples=[sample]))

    found = found.pred_instances
    plain, own = own_masks(segmentors(name), image, size_wh)
    assert len(found) >= 3
    ious = worst_ious(
        np.stack([coco_mask.decode(one) == 1 for one in found.masks]),
        own,
        are_same(found.scores, found.labels, plain.scores, plain.labels),
    )
    # Norms are folded: fp32 rounds in another order.
    assert (ious > 0.97).mean() > 0.9, np.sort(ious)
