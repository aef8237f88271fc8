"""Doubtful regions add nothing to the loss, in real detectors."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from projects.data_distillation import IgnoreRegionsHook
from projects.data_distillation.base_configs.config_reading import read_config
from projects.data_distillation.label_files.coco.reading import UNCHECKED
from projects.data_distillation.training.ignore_regions import count_in_parts

ROOT = Path(__file__).parents[2]
CLASSES = tuple('0123456789')
FCOS = "_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'"
OBJECT_XYXY = [8.0, 8.0, 40.0, 40.0]
REGION_XYXY = [56.0, 48.0, 120.0, 120.0]


def annotation(number: int, bbox_xyxy: list, is_crowd: int) -> dict:
    x1, y1, x2, y2 = bbox_xyxy
    return dict(
        id=number,
        image_id=1,
        category_id=1,
        bbox=[x1, y1, x2 - x1, y2 - y1],
        area=(x2 - x1) * (y2 - y1),
        iscrowd=is_crowd,
    )


def write_labels(folder: Path, regions: int, objects: int = 1) -> dict:
    """Pseudo labels of one noisy image; returns their dataset's config."""
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3))
    cv2.imwrite(str(folder / 'a.png'), pixels.astype(np.uint8))
    content = dict(
        info=dict(data_distillation=dict(num_ignored=regions)),
        images=[dict(id=1, file_name='a.png', width=128, height=128)],
        annotations=[
            *[annotation(1, OBJECT_XYXY, 0)] * objects,
            *[annotation(2, REGION_XYXY, 1)] * regions,
        ],
        categories=[dict(id=i, name=c) for i, c in enumerate(CLASSES, 1)],
    )
    (folder / 'pseudo_labels.json').write_text(json.dumps(content))
    return dict(
        type='CheckedCocoDataset',
        ann_file=str(folder / 'pseudo_labels.json'),
        data_prefix=dict(img=str(folder)),
        metainfo=dict(classes=CLASSES),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs'),
        ],
    )


def student(
    folder: Path, model: str = 'digits', regions: int = 1, objects: int = 1
) -> Runner:
    """A runner that trains a detector of the project for one iteration."""
    part = write_labels(folder, regions, objects)
    return train_on(part, folder, model)


def train_on(part: dict, folder: Path, model: str = 'digits') -> Runner:
    """The same for labels that are there."""
    cfg = Config.fromfile(ROOT / f'configs/{model}/supervised_long.py')
    if model == 'bccd':
        cfg.model.roi_head.bbox_head.num_classes = len(CLASSES)
    cfg.train_dataloader = dict(
        batch_size=1,
        num_workers=0,
        dataset=dict(type='ConcatDataset', datasets=[part, part]),
        sampler=dict(type='InfiniteSampler', shuffle=False),
    )
    cfg.merge_from_dict(
        dict(
            work_dir=str(folder / 'work'),
            train_cfg=dict(max_iters=1),
            # Its images are not there.
            val_dataloader=None,
            val_evaluator=None,
            val_cfg=None,
            custom_hooks=[dict(type='IgnoreRegionsHook')],
            default_hooks=dict(checkpoint=None),
            randomness=dict(seed=0),
            log_level='WARNING',
        )
    )
    return Runner.from_cfg(cfg)


def loss_of_first_sample(runner: Runner) -> torch.Tensor:
    model = runner.model.train()
    batch = next(iter(runner.train_dataloader))
    sample: DetDataSample = batch['data_samples'][0]
    # One region for both: `ignored_instances` is where MMDetection keeps it.
    assert len(sample.ignored_instances) <= 1
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    return model.parse_losses(losses)[0]


def score_gradients(runner: Runner, head, find_scores) -> torch.Tensor:
    """Of the loss by the scores of each anchor, largest over the classes."""
    kept = []
    handle = head.register_forward_hook(
        lambda module, inputs, outputs: kept.extend(find_scores(outputs))
    )
    loss = loss_of_first_sample(runner)
    handle.remove()
    gradients = torch.autograd.grad(loss, kept)
    num_anchors = head.prior_generator.num_base_priors[0]
    return torch.cat(
        [
            g[0]
            .abs()
            .reshape(num_anchors, -1, *g.shape[2:])
            .amax(dim=1)
            .permute(1, 2, 0)
            .flatten()
            for g in gradients
        ]
    ), [tuple(g.shape[2:]) for g in gradients]


def in_region(head, sizes) -> torch.Tensor:
    anchors = torch.cat(head.prior_generator.grid_priors(sizes, device='cpu'))
    region = torch.tensor([REGION_XYXY])
    return bbox_overlaps(anchors, region, mode='iof')[:, 0] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize('ignores', [True, False])
@pytest.mark.parametrize('objects', [1, 0])
def test_no_loss_in_a_region_for_a_dense_detector(tmp_path, ignores, objects):
    runner = student(tmp_path, objects=objects)
    if ignores:
        IgnoreRegionsHook().before_train(runner)
    head = runner.model.bbox_head

    gradients, sizes = score_gradients(runner, head, lambda out: out[0])

    region = in_region(head, sizes)
    assert region.sum() > 20
    assert (gradients[~region] > 0).all()
    assert (gradients[region] > 0).any() == (not ignores)


@pytest.mark.slow
@pytest.mark.parametrize('ignores', [True, False])
@pytest.mark.parametrize('objects', [1, 0])
def test_no_loss_in_a_region_for_a_two_stage_detector(
    tmp_path, ignores, objects
):
    runner = student(tmp_path, 'bccd', objects=objects)
    if ignores:
        IgnoreRegionsHook().before_train(runner)
    model, rois = runner.model, []
    model.roi_head.bbox_roi_extractor.register_forward_hook(
        lambda module, inputs, outputs: rois.append(inputs[1])
    )

    gradients, sizes = score_gradients(
        runner, model.rpn_head, lambda out: out[0]
    )

    region = in_region(model.rpn_head, sizes)
    assert (gradients[~region] > 0).any()
    assert (gradients[region] > 0).any() == (not ignores)
    shares = bbox_overlaps(
        rois[0][:, 1:], torch.tensor([REGION_XYXY]), mode='iof'
    )
    assert (shares > 0.5).any() == (not ignores)


@pytest.mark.slow
def test_hook_sets_every_assigner_when_training_starts(tmp_path):
    runner = student(tmp_path, 'bccd')

    runner.train()

    assert runner.model.rpn_head.assigner.ignore_iof_thr == 0.5
    assert runner.model.roi_head.bbox_assigner.ignore_iof_thr == 0.5


@pytest.mark.slow
def test_without_regions_the_detector_is_as_its_config_says(tmp_path):
    runner = student(tmp_path, regions=0)

    runner.train()

    assert runner.model.bbox_head.assigner.ignore_iof_thr == -1


@pytest.mark.slow
def test_detector_without_assigners_is_refused(tmp_path):
    runner = student(tmp_path)
    fcos = Config.fromstring(FCOS, '.py').model
    fcos.backbone.init_cfg = None
    runner.model = MODELS.build(fcos)

    with pytest.raises(ValueError, match=r'2 region.*FCOS.*FCOSHead.*Select'):
        IgnoreRegionsHook().before_train(runner)


@pytest.mark.slow
def test_detector_whose_assigner_cannot_ignore_is_refused(tmp_path):
    runner = student(tmp_path)
    assigner = TASK_UTILS.build(dict(type='SimOTAAssigner'))
    runner.model.bbox_head.assigner = assigner

    with pytest.raises(ValueError, match=r'GFL.*SimOTAAssigner'):
        IgnoreRegionsHook().before_train(runner)


def check_partly(folder: Path) -> None:
    """Say that only the object in the image of `student` is checked."""
    file = folder / 'pseudo_labels.json'
    content = json.loads(file.read_text())
    rest = annotation(9, [0, 0, 128, 128], 1) | {UNCHECKED: 1}
    content['annotations'] = [*content['annotations'], rest]
    content['info'] = {}
    file.write_text(json.dumps(content))


def assign_first_sample(runner: Runner) -> tuple[torch.Tensor, ...]:
    """What each anchor is (0 background, -1 ignored), and their boxes."""
    kept, model = [], runner.model
    head = model.rpn_head if hasattr(model, 'rpn_head') else model.bbox_head
    assign = head.assigner.assign

    def keep(pred_instances, *args, **kwargs):
        result = assign(pred_instances, *args, **kwargs)
        kept.append((result.gt_inds, pred_instances.priors[:, :4]))
        return result

    head.assigner.assign = keep
    loss_of_first_sample(runner)
    return kept[0]


@pytest.mark.slow
@pytest.mark.parametrize('model', ['digits', 'bccd'])
def test_only_objects_count_where_nothing_else_was_checked(tmp_path, model):
    part = write_labels(tmp_path, regions=0)
    usual, _ = assign_first_sample(train_on(part, tmp_path, model))
    check_partly(tmp_path)
    runner = train_on(part, tmp_path, model)
    IgnoreRegionsHook().before_train(runner)

    found, anchors = assign_first_sample(runner)

    # The object keeps its anchors, and nothing else in the image counts.
    assert (found > 0).equal(usual > 0)
    assert (found > 0).any()
    image = torch.tensor([[0.0, 0.0, 128.0, 128.0]])
    in_image = bbox_overlaps(anchors, image, mode='iof')[:, 0] > 0.5
    assert (usual[in_image] == 0).any()
    assert not (found[in_image] == 0).any()


@pytest.mark.slow
def test_hook_of_the_config_replaces_that_of_the_tool(tmp_path):
    runner = student(tmp_path)
    runner.register_hook(IgnoreRegionsHook(0.9))
    first, last = (
        hook for hook in runner.hooks if isinstance(hook, IgnoreRegionsHook)
    )

    first.before_train(runner)

    assert runner.model.bbox_head.assigner.ignore_iof_thr == -1
    last.before_train(runner)
    assert runner.model.bbox_head.assigner.ignore_iof_thr == 0.9


class Head(torch.nn.Module):
    """A head with several assigners, as in cascades."""

    def __init__(self, *kinds: str, min_pos_iou: float = 0.3) -> None:
        super().__init__()
        thresholds = dict(
            pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=min_pos_iou
        )
        known = dict(MaxIoUAssigner=thresholds)
        self.bbox_assigner = [
            TASK_UTILS.build(dict(type=kind, **known.get(kind, {})))
            for kind in kinds
        ]


def begin_training(
    part: dict,
    hooks: list,
    kinds: tuple[str, ...] = ('MaxIoUAssigner',),
    min_pos_iou: float = 0.3,
) -> Head:
    """Let the hooks change the assigners of a head, and return it."""
    return begin_training_of(
        Head(*kinds, min_pos_iou=min_pos_iou), part, hooks
    )


def begin_training_of(
    model: torch.nn.Module, part: dict, hooks: list
) -> torch.nn.Module:
    """Let the hooks change the assigners of a model, and return it."""
    # As MMEngine wraps a model for several processes.
    wrapped = torch.nn.DataParallel(model)
    loader = SimpleNamespace(dataset=DATASETS.build(part))
    runner = SimpleNamespace(
        model=wrapped, hooks=hooks, train_dataloader=loader
    )
    for hook in hooks:
        hook.before_train(runner)
    return model


# On the object, in the region, three quarters of it in the region, elsewhere.
PRIORS_XYXY = [
    OBJECT_XYXY, [60.0, 60, 80, 80], [46, 60, 86, 80], [0, 80, 20, 100],
]  # fmt: skip


def assign(assigner, num_objects: int = 1, regions=(REGION_XYXY,)) -> list:
    boxes = [OBJECT_XYXY][:num_objects]
    objects, ignored, priors = (
        torch.tensor(one).reshape(-1, 4)
        for one in (boxes, list(regions), PRIORS_XYXY)
    )
    result = assigner.assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=objects, labels=torch.zeros(num_objects).long()),
        InstanceData(bboxes=ignored),
    )
    return result.gt_inds.tolist()


@pytest.mark.parametrize(
    ('threshold', 'share'), [(0.5, -1), (0.7, -1), (0.8, 0)]
)
def test_anchors_that_lie_in_a_region_are_no_background(
    tmp_path, threshold, share
):
    hooks = [IgnoreRegionsHook(threshold)]
    kinds = ('MaxIoUAssigner',) * 2

    model = begin_training(write_labels(tmp_path, 1), hooks, kinds)

    for assigner in model.bbox_assigner:
        assert assigner.ignore_iof_thr == threshold
        assert assign(assigner) == [1, -1, share, 0]
        assert assign(assigner, num_objects=0) == [0, -1, share, 0]
        assert assign(assigner, regions=()) == [1, 0, 0, 0]


def test_log_says_how_many_regions_are_ignored(tmp_path, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    level = logger.level
    logger.setLevel('INFO')
    with caplog.at_level('INFO'):
        begin_training(write_labels(tmp_path, 1), [IgnoreRegionsHook()])
    logger.setLevel(level)
    logger.removeHandler(caplog.handler)

    assert '1 regions are ignored by MaxIoUAssigner' in caplog.text


def test_anchors_stay_as_they_are_if_no_label_is_a_region(tmp_path):
    hooks = [IgnoreRegionsHook()]

    model = begin_training(write_labels(tmp_path, 0), hooks)

    (assigner,) = model.bbox_assigner
    assert assigner.ignore_iof_thr == -1
    assert assign(assigner, num_objects=0) == [0, 0, 0, 0]


def test_object_in_an_unchecked_image_keeps_its_anchors(tmp_path):
    part = write_labels(tmp_path, 0)
    check_partly(tmp_path)

    model = begin_training(part, [IgnoreRegionsHook()])

    (assigner,) = model.bbox_assigner
    assert assigner.ignore_iof_thr == -1
    found = assign(assigner, regions=[[0.0, 0.0, 128.0, 128.0]])
    assert found == [1, -1, -1, -1]


def test_object_in_a_region_keeps_the_anchors_that_retinanet_gives_it(
    tmp_path,
):
    model = begin_training(
        write_labels(tmp_path, 1), [IgnoreRegionsHook()], min_pos_iou=0
    )

    (assigner,) = model.bbox_assigner
    assert assigner.match_low_quality
    # Without its own anchor, the object would get those that hardly touch it.
    found = assign(assigner, regions=[[0.0, 0.0, 50.0, 50.0], REGION_XYXY])
    assert found == [1, -1, -1, 0]


@pytest.mark.parametrize(
    ('config', 'head'),
    [
        ('mmdet::vfnet/vfnet_r50_fpn_1x_coco.py', 'VFNetHead'),
        (
            'mmdet::free_anchor/freeanchor_r50_fpn_1x_coco.py',
            'FreeAnchorRetinaHead',
        ),
    ],
)
def test_head_whose_loss_counts_what_is_ignored_is_refused(
    tmp_path, config, head
):
    cfg = read_config(config)
    cfg.model.backbone.init_cfg = None

    with pytest.raises(
        ValueError, match=rf'cannot ignore regions \(parts: {head}\)'
    ):
        begin_training_of(
            MODELS.build(cfg.model),
            write_labels(tmp_path, 1),
            [IgnoreRegionsHook()],
        )


def test_proposals_without_an_assigner_are_refused(tmp_path):
    """The RoI head has one, but that of the proposals asks none."""
    cfg = read_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    cfg.model.backbone.init_cfg = None
    strides = cfg.model.rpn_head.anchor_generator.strides
    cfg.model.rpn_head = dict(
        type='FCOSHead', num_classes=1, in_channels=256, strides=strides
    )

    with pytest.raises(ValueError, match=r'\(parts: FCOSHead\)'):
        begin_training_of(
            MODELS.build(cfg.model),
            write_labels(tmp_path, 1),
            [IgnoreRegionsHook()],
        )


def test_one_proposal_of_an_ignored_image_stays_background(tmp_path):
    cfg = read_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    cfg.model.backbone.init_cfg = None
    part = write_labels(tmp_path, 0)
    check_partly(tmp_path)

    model = begin_training_of(
        MODELS.build(cfg.model), part, [IgnoreRegionsHook()]
    )

    whole = [[0.0, 0.0, 128.0, 128.0]]
    of_rois, of_anchors = model.roi_head.bbox_assigner, model.rpn_head.assigner
    assert assign(of_anchors, num_objects=0, regions=whole) == [-1] * 4
    found = assign(of_rois, num_objects=0, regions=whole)
    assert found == [0, -1, -1, -1]
    assert assign(of_rois, regions=whole) == [1, -1, -1, -1]


def test_last_of_several_hooks_says_which_share(tmp_path):
    hooks = [IgnoreRegionsHook(0.5), IgnoreRegionsHook(0.8)]

    model = begin_training(write_labels(tmp_path, 1), hooks)

    assert model.bbox_assigner[0].ignore_iof_thr == 0.8
    assert assign(model.bbox_assigner[0]) == [1, -1, 0, 0]


@pytest.mark.parametrize(
    ('kinds', 'named'),
    [((), 'none'), (('MaxIoUAssigner', 'SimOTAAssigner'), 'SimOTAAssigner')],
)
def test_head_that_cannot_ignore_is_refused(tmp_path, kinds, named):
    part = write_labels(tmp_path, 1)

    with pytest.raises(
        ValueError, match=rf'1 regions .* Head cannot .*\(parts: {named}\)'
    ):
        begin_training(part, [IgnoreRegionsHook()], kinds)


def test_regions_are_counted_through_wrappers(tmp_path):
    part = write_labels(tmp_path, regions=1)
    wrapped = dict(type='RepeatDataset', times=2, dataset=part)
    concat = dict(type='ConcatDataset', datasets=[part, wrapped])

    assert count_in_parts(DATASETS.build(concat), 'num_ignored') == 2


def test_crowds_of_a_labeled_file_do_not_count(tmp_path):
    part = write_labels(tmp_path, regions=1)
    file = tmp_path / 'pseudo_labels.json'
    content = json.loads(file.read_text())
    for info in (None, dict(), 'text', dict(description='COCO')):
        content['info'] = info
        file.write_text(json.dumps(content))
        assert count_in_parts(DATASETS.build(part), 'num_ignored') == 0


@pytest.mark.parametrize('threshold', [-1, 0])
def test_threshold_that_ignores_nothing_is_refused(threshold):
    with pytest.raises(ValueError, match=f'must be .* got {threshold}'):
        IgnoreRegionsHook(threshold)
