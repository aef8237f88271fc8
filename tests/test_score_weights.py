"""A label's score weights all that its anchors add to the gradient."""

import copy
import functools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from projects.data_distillation.coco import CocoError
from projects.data_distillation.score_weights import ScoreWeightHook

CLASSES = ('left', 'right', 'both')
SMALL = {
    'backbone.depth': 18,
    'backbone.base_channels': 16,
    'neck.in_channels': [16, 32, 64, 128],
}
DETECTORS = {
    'Faster R-CNN': ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco', SMALL),
    'Cascade R-CNN': ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco', SMALL),
    'RetinaNet': ('retinanet/retinanet_r50_fpn_1x_coco', SMALL),
    'ATSS': ('atss/atss_r50_fpn_1x_coco', SMALL),
    'GFL': ('gfl/gfl_r50_fpn_1x_coco', SMALL),
    'SSDLite': ('ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco', {}),
}
DENSE = ['RetinaNet', 'ATSS', 'GFL', 'SSDLite']
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]


@functools.cache
def detector(name: str) -> ConfigDict:
    config, changes = DETECTORS.get(name, (name, SMALL))
    cfg = Config.fromstring(f"_base_ = 'mmdet::{config}.py'", '.py').model
    cfg = Config(dict(model=cfg))
    for key, value in changes.items():
        cfg.merge_from_dict({f'model.{key}': value})
    simplify(cfg.model)
    return cfg.model


def simplify(part: object) -> None:
    """Three classes, no download, few channels and proposals."""
    new = dict(init_cfg=None, num_classes=len(CLASSES))
    small = {128: 16, 256: 32, 512: 64, 1000: 60, 1024: 32, 2000: 60}
    for value in part if isinstance(part, list) else []:
        simplify(value)
    for key in part if isinstance(part, dict) else []:
        if type(part[key]) is int:
            part[key] = small.get(part[key], part[key])
        if key in new:
            part[key] = new[key]
        simplify(part[key])


def write_part(folder: Path, name: str, size_wh: tuple, scores: tuple) -> dict:
    """An image of noise with an object in either half."""
    width, height = size_wh
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3))
    cv2.imwrite(str(folder / f'{name}.png'), pixels.astype(np.uint8))
    # Of two sizes, for two levels of anchors.
    bboxes = [
        [4, height // 4, width // 4, height // 2],
        [width // 2 + 2, 4, width // 2 - 6, height - 8],
    ]
    annotations = [
        dict(
            id=number,
            image_id=1,
            category_id=number,
            bbox=bbox,
            area=bbox[2] * bbox[3],
            iscrowd=0,
        )
        for number, bbox in enumerate(bboxes, 1)
    ]
    for annotation, score in zip(annotations, scores):
        annotation['score'] = score
    content = dict(
        images=[
            dict(id=1, file_name=f'{name}.png', width=width, height=height)
        ],
        annotations=annotations,
        categories=[dict(id=i, name=c) for i, c in enumerate(CLASSES, 1)],
    )
    file = folder / f'{name}.json'
    file.write_text(json.dumps(content))
    return dict(
        type='PseudoLabeledDataset',
        ann_file=str(file),
        data_prefix=dict(img=str(folder)),
        metainfo=dict(classes=CLASSES),
        pipeline=PIPELINE,
        serialize_data=False,  # It collects garbage for a second.
    )


def student(folder: Path, name: str, scores: tuple = ()) -> Runner:
    """A runner whose batch is a labeled and a smaller scored image."""
    labeled = write_part(folder, 'labeled', (192, 160), ())
    scored = write_part(folder, 'scored', (160, 96), scores)
    parts = [dict(labeled, type='CheckedCocoDataset'), scored]
    torch.manual_seed(0)
    return Runner(
        model=MODELS.build(copy.deepcopy(detector(name))),
        work_dir=str(folder / 'work'),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=dict(type='ConcatDataset', datasets=parts),
            sampler=dict(type='InfiniteSampler', shuffle=False),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_scope='mmdet',
        log_level='WARNING',
    )


def loss_of(runner: Runner) -> torch.Tensor:
    model = runner.model.train()
    batch = next(iter(runner.train_dataloader))
    torch.manual_seed(1)  # For the samplers, and dropout.
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    return model.parse_losses(losses)[0]


def gradients(runner: Runner, *heads) -> list[torch.Tensor]:
    """Of the loss by all that the heads predict."""
    kept = []
    handles = [
        head.register_forward_hook(
            lambda module, inputs, outputs: kept.append(outputs)
        )
        for head in heads
    ]
    loss = loss_of(runner)
    for handle in handles:
        handle.remove()
    return torch.autograd.grad(loss, list(flattened(kept)))


def flattened(value):
    if isinstance(value, torch.Tensor):
        yield value
    else:
        for child in value:
            yield from flattened(child)


def pair(folder: Path, name: str, scores: tuple, find) -> tuple:
    """Gradients of a student without and one with weights."""
    plain, runner = (student(folder, name, scores) for _ in range(2))
    ScoreWeightHook().before_train(runner)
    return [gradients(one, *find(one.model)) for one in (plain, runner)]


def by_anchor(level: torch.Tensor, num_anchors: int) -> torch.Tensor:
    """(n, A * k, h, w) as (n, A, k, h, w)."""
    return level.unflatten(1, (num_anchors, -1))


@pytest.mark.parametrize('name', ['Faster R-CNN', *DENSE])
def test_positive_anchors_weigh_as_much_as_their_label(tmp_path, name):
    def find(model):
        return [model.rpn_head if name not in DENSE else model.bbox_head]

    plain, weighted = pair(tmp_path, name, (0.25, 0.5), find)

    (head,) = find(student(tmp_path, name).model)
    nums = head.prior_generator.num_base_priors
    levels = len(nums)
    seen = []
    for start in range(0, len(plain), levels):
        for level, num in enumerate(nums):
            g, w, boxes = (
                by_anchor(maps[index], num)
                for maps, index in (
                    (plain, start + level),
                    (weighted, start + level),
                    (plain, levels + level),
                )
            )
            assert torch.equal(g[0], w[0])  # The labeled image.
            positive = (boxes[1] != 0).any(1)[:, None].expand_as(g[1])
            columns = torch.arange(g.shape[-1]).expand_as(g[1])
            # Of the batch's width, the scored image fills 160 / 192.
            left = (columns + 0.5) / g.shape[-1] < 80 / 192
            expected = torch.where(left, 0.25, 0.5) * g[1]
            assert torch.equal(w[1][positive], expected[positive])
            assert torch.equal(w[1][~positive], g[1][~positive])
            seen += (
                expected[positive & (g[1] != 0)] / g[1][positive & (g[1] != 0)]
            )
    assert {round(float(ratio), 3) for ratio in seen} == {0.25, 0.5}


@pytest.mark.parametrize('name', ['Faster R-CNN', 'Cascade R-CNN'])
def test_positive_proposals_weigh_as_much_as_their_label(tmp_path, name):
    rois = []

    def find(model):
        head = model.roi_head
        stages = head.bbox_head if name[0] == 'C' else [head.bbox_head]
        extractors = head.bbox_roi_extractor
        for one in extractors if name[0] == 'C' else [extractors]:
            one.register_forward_hook(
                lambda module, inputs, outputs: rois.append(inputs[1])
            )
        return stages

    plain, weighted = pair(tmp_path, name, (0.25, 0.5), find)

    stages = len(plain) // 2
    assert torch.equal(rois[0], rois[stages])
    for stage in range(stages):
        of_scored = rois[stage][:, 0] == 1
        is_left = rois[stage][:, [1, 3]].mean(1) < 80
        scores = torch.where(is_left, 0.25, 0.5)
        of_boxes = plain[2 * stage + 1]
        positive = (of_boxes != 0).any(1) & of_scored
        assert is_left[positive].any() and not is_left[positive].all()
        expected = torch.where(positive, scores, 1.0)[:, None]
        for part in (2 * stage, 2 * stage + 1):
            assert torch.equal(weighted[part], expected * plain[part])


def student_of_score_0(folder: Path, name: str) -> Runner:
    """A runner that sees nothing but labels of score 0."""
    runner = student(folder, name, (0.0, 0.0))
    dataset = runner.train_dataloader.dataset
    dataset.datasets = [dataset.datasets[1]] * 2
    ScoreWeightHook().before_train(runner)
    return runner


def gradients_of_boxes(model) -> list[torch.Tensor]:
    return [
        value.grad
        for key, value in model.named_parameters()
        if 'fc_reg' in key or '_reg.' in key or 'reg_convs' in key
    ]


@pytest.mark.parametrize('name', DETECTORS)
def test_labels_of_score_0_teach_no_boxes(tmp_path, name):
    runner = student_of_score_0(tmp_path, name)

    loss_of(runner).backward()

    of_boxes = gradients_of_boxes(runner.model)
    assert of_boxes
    assert all(not gradient.any() for gradient in of_boxes)
    of_all = [value.grad for value in runner.model.parameters()]
    assert any(g is not None and g.any() for g in of_all)


@pytest.mark.parametrize('name', ['Faster R-CNN', 'GFL'])
@pytest.mark.parametrize('scores', [(1.0,), (1.0, 1)])
def test_labels_without_a_score_train_as_ever(tmp_path, name, scores):
    plain, runner = (student(tmp_path, name, scores) for _ in range(2))
    # As MMDetection reads them.
    part = write_part(tmp_path, 'scored', (160, 96), scores)
    part = DATASETS.build(dict(part, type='CheckedCocoDataset'))
    plain.train_dataloader.dataset.datasets[1] = part
    ScoreWeightHook().before_train(runner)

    for one in (plain, runner):
        loss_of(one).backward()

    for one, other in zip(plain.model.parameters(), runner.model.parameters()):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)


@pytest.mark.parametrize('name', ['Faster R-CNN', 'GFL'])
def test_losses_may_be_computed_without_gradients(tmp_path, name):
    runner = student(tmp_path, name, (0.5, 0.5))
    ScoreWeightHook().before_train(runner)

    with torch.no_grad():
        assert loss_of(runner).isfinite()


@pytest.mark.parametrize('name', ['Faster R-CNN', 'RetinaNet'])
def test_weights_apply_in_half_precision(tmp_path, name):
    runner = student_of_score_0(tmp_path, name)
    model = runner.model
    head = model.bbox_head if name in DENSE else model.roi_head.bbox_head
    # Not all of the detector: MMCV's NMS on CPUs wants floats.
    head.forward = torch.autocast('cpu', torch.bfloat16)(head.forward)
    kept = []
    head.register_forward_hook(lambda *args: kept.extend(args[2]))

    loss_of(runner).backward()

    assert {value.dtype for value in flattened(kept)} == {torch.bfloat16}
    assert all(not gradient.any() for gradient in gradients_of_boxes(model))


def test_hook_acts_when_training_starts(tmp_path):
    runner = student(tmp_path, 'GFL', (0.5, 0.5))
    runner.register_hook(dict(type='ScoreWeightHook'))

    runner.train()

    weights = runner.model.bbox_head._get_targets_single.__self__
    assert weights.images[1].unique().tolist() == [0.5, 1.0]
    assert weights.images[0].unique().tolist() == [1.0]


@pytest.mark.parametrize(
    ('name', 'heads'),
    [
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco', 'FCOSHead'),
        ('tood/tood_r50_fpn_1x_coco', 'TOODHead'),
        ('paa/paa_r50_fpn_1x_coco', 'PAAHead'),
        ('free_anchor/freeanchor_r50_fpn_1x_coco', 'FreeAnchorRetinaHead'),
        (
            'double_heads/dh-faster-rcnn_r50_fpn_1x_coco',
            'DoubleHeadRoIHead',
        ),
        ('sabl/sabl-faster-rcnn_r50_fpn_1x_coco', 'SABLHead'),
        ('detr/detr_r50_8xb2-150e_coco', 'DETRHead'),
    ],
)
def test_other_heads_are_refused(tmp_path, name, heads):
    runner = student(tmp_path, name, (0.5, 0.5))

    with pytest.raises(ValueError, match=rf'\(heads: {heads}\). Train'):
        ScoreWeightHook().before_train(runner)


def test_detector_without_known_heads_is_refused(tmp_path):
    runner = student(tmp_path, 'GFL', (0.5, 0.5))
    del runner.model.bbox_head

    with pytest.raises(ValueError, match=r'of GFL cannot .*\(heads: none\)'):
        ScoreWeightHook().before_train(runner)


def test_dataset_without_scores_is_refused(tmp_path):
    without, plain = (student(tmp_path, 'GFL') for _ in range(2))
    # Their data are loaded on first sight: those of one now, without scores.
    datasets = without.train_dataloader.dataset.datasets
    assert datasets[1].num_scored == 0
    write_part(tmp_path, 'scored', (160, 96), (0.5, 0.5))
    dataset = plain.train_dataloader.dataset
    assert dataset.datasets.pop().num_scored == 2

    for runner in (without, plain):
        with pytest.raises(ValueError, match="type='PseudoLabeledDataset'"):
            ScoreWeightHook().before_train(runner)


# --- scores on their way through the pipeline ------------------------------


def load(config: dict):
    init_default_scope('mmdet')
    return DATASETS.build(config)


def test_samples_know_the_scores(tmp_path):
    config = write_part(tmp_path, 'a', (160, 96), (0.3,))

    sample = load(config)[0]['data_samples']

    assert sample.gt_instances.labels.tolist() == [0, 1]
    assert sample.gt_instances.labels.dtype == torch.int64
    assert sample.gt_instances.scores.tolist() == pytest.approx([0.3, 1])
    assert len(sample.ignored_instances) == 0


def test_scores_stay_with_their_boxes(tmp_path):
    config = write_part(tmp_path, 'a', (160, 96), (0.25, 0.75))
    content = json.loads(Path(config['ann_file']).read_text())
    extra = [
        dict(content['annotations'][0], id=7, iscrowd=1, score=0.1),
        # CocoDataset drops it.
        dict(content['annotations'][0], id=8, bbox=[500, 500, 9, 9]),
    ]
    content['annotations'] = extra[1:] + content['annotations'] + extra[:1]
    Path(config['ann_file']).write_text(json.dumps(content))
    crop = dict(type='RandomCrop', crop_size=(100, 60))
    dataset = load(
        dict(
            config,
            pipeline=[
                *PIPELINE[:2],
                crop,
                dict(type='StrongAugmentation'),
                PIPELINE[-1],
            ],
        )
    )
    np.random.seed(0)

    found, counts = set(), set()
    for _ in range(30):
        sample = dataset[0]['data_samples']
        of_labels = sample.gt_instances
        found |= {*zip(of_labels.labels.tolist(), of_labels.scores.tolist())}
        counts.add(len(of_labels))
        assert sample.ignored_instances.labels.tolist() in ([], [0])

    assert found == {(0, 0.25), (1, 0.75)}
    assert counts >= {1, 2}


def test_pipeline_that_does_not_pack_is_refused(tmp_path):
    config = write_part(tmp_path, 'a', (160, 96), (0.3,))

    for pipeline in (PIPELINE[:2], []):
        with pytest.raises(ValueError, match='must be the last transform'):
            load(dict(config, pipeline=pipeline))


@pytest.mark.parametrize('score', [-0.1, 1.01, float('nan'), '0.5', None])
def test_score_that_is_no_weight_is_refused(tmp_path, score):
    config = write_part(tmp_path, 'a', (160, 96), (score,))

    with pytest.raises(CocoError, match=r'a.json: `score` of annotation 1 mu'):
        load(config)


def test_image_that_the_pipeline_refuses_is_replaced(tmp_path):
    config = write_part(tmp_path, 'a', (160, 96), (0.3, 0.4))
    dataset = load(config)
    transforms = dataset.pipeline.transforms
    refusals = [None, None]

    def refuse_twice(results):
        return refusals.pop() if refusals else results

    transforms.insert(0, refuse_twice)

    assert len(dataset[0]['data_samples'].gt_instances.scores) == 2
    assert refusals == []
