"""Settings of a detector's config: kept, replaced and named, or refused."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from builders import CATEGORIES, CLASSES
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
)
from projects.data_distillation.experiment.scaffold.changes import list_changes
from projects.data_distillation.experiment.scaffold.detector import (
    DetectorConfig,
)
from projects.data_distillation.experiment.scaffold.init import (
    make_plan,
)
from projects.data_distillation.experiment.scaffold.overrides import (
    check_class_weights,
    check_inner_teacher,
    check_load_from,
    check_monitors,
    override_checkpoint,
)
from projects.data_distillation.experiment.scaffold.plan import (
    Data,
    ExperimentOptions,
    Images,
    Plan,
)
from projects.data_distillation.experiment.scaffold.schedule import Schedule
from projects.data_distillation.experiment.scaffold.stage_configs import (
    NewExperiment,
)
from projects.data_distillation.experiment.scaffold.trained_images import (
    measure_balance,
)

RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
MASK_RCNN = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
YOLOX = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'
PLAN = Plan(
    batch_size=2, num_processes=1, iterations=800, student_iterations=1600
)
NORMALIZED = """
normalize = dict(type='Normalize', mean=[9.0] * 3, std=[2.0] * 3)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(2, normalize)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""


@dataclass(frozen=True)
class Stages:
    """The stage configs in a folder."""

    folder: Path

    def __getitem__(self, stage: str) -> Config:
        return Config.fromfile(self.folder / f'{stage}.py')

    def __contains__(self, stage: str) -> bool:
        return (self.folder / f'{stage}.py').is_file()


@pytest.fixture
def own(tmp_path):
    """Read a user's own config, which changes one of MMDetection."""

    def read(text: str, base: str = RETINANET) -> DetectorConfig:
        file = tmp_path / 'own.py'
        file.write_text(f'_base_ = {base!r}\n{text}')
        return DetectorConfig.read(str(file))

    return read


@pytest.fixture
def written(own, tmp_path):
    """Write the stage configs for a user's config; each is read if needed."""

    def write(
        text: str, base: str = RETINANET, truth: str | None = 't.json'
    ) -> Stages:
        images = Images('labeled.json', 'images/', 10)
        data = Data(CLASSES, images, Images('', 'more/', 20), images, truth)
        folder = tmp_path / 'cells'
        NewExperiment('cells', own(text, base), data, PLAN).write(folder)
        return Stages(folder)

    return write


def changes_of(detector: DetectorConfig, plan: Plan = PLAN) -> list[str]:
    return list(list_changes(detector, plan, CLASSES))


SYNCED = """
norm_cfg = dict(type='{}', requires_grad=True)
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    test_cfg=dict(own=[dict(norm_cfg=norm_cfg)]))
"""


# --- which images are trained on -------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize('base', [RETINANET, YOLOX])
def test_labeled_images_are_filtered_as_those_of_the_detector(written, base):
    filters = 'dict(filter_empty_gt=True, min_size=16)'
    inner = f'dataset=dict(filter_cfg={filters})'
    if base == YOLOX:
        inner = f'dataset=dict({inner})'
    cfgs = written(f'train_dataloader = dict({inner})', base)

    labeled, pseudo = cfgs['student'].train_dataloader.dataset.datasets
    _, truth = cfgs['oracle'].train_dataloader.dataset.datasets
    if base == YOLOX:
        labeled, pseudo, truth = labeled.dataset, pseudo.dataset, truth.dataset
    same = dict(filter_empty_gt=True, min_size=16)
    assert labeled.filter_cfg == truth.filter_cfg == same
    # Images without a pseudo label have been looked at.
    assert pseudo.filter_cfg == dict(same, filter_empty_gt=False)
    (hook,) = cfgs['annotate'].custom_hooks
    assert hook.selection.counts_empty is False


def test_empty_images_count_where_the_detector_trains_on_them(written):
    cfgs = written(
        'train_dataloader = dict(dataset=dict(filter_cfg='
        'dict(filter_empty_gt=False)))'
    )

    (hook,) = cfgs['annotate'].custom_hooks
    assert 'counts_empty' not in hook.selection


# --- what is replaced and named --------------------------------------------


def test_nothing_but_its_batch_sampler_is_changed_in_a_plain_config(own):
    (line,) = changes_of(own(''))

    assert line.startswith('batch_sampler AspectRatioBatchSampler: none')


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        (
            'train_dataloader = dict(sampler=dict(_delete_=True, '
            "type='ClassAwareSampler', num_sample_class=2))",
            'sampler ClassAwareSampler(num_sample_class=2): InfiniteSampler',
        ),
        (
            'train_dataloader = dict(sampler=dict(shuffle=False))',
            'sampler DefaultSampler(shuffle=False): InfiniteSampler',
        ),
        ('resume = True', 'resume=True: False, for every stage'),
        (SYNCED.format('MMSyncBN'), 'MMSyncBN: SyncBN, which also trains in'),
        ("work_dir = 'mine'", "work_dir='mine': None"),
        (
            "val_evaluator = dict(type='CocoMetric', proposal_nums=(1, 2))",
            'val_evaluator CocoMetric(proposal_nums=(1, 2))',
        ),
        (
            "test_evaluator = [dict(type='VOCMetric'), "
            "dict(type='DumpDetResults', out_file_path='x')]",
            'test_evaluator VOCMetric, DumpDetResults(out_file_path=x)',
        ),
        (
            'default_hooks = dict(checkpoint=dict(save_best='
            "'pascal_voc/mAP', rule='less'))",
            "checkpoint.save_best='pascal_voc/mAP': 'coco/bbox_mAP'",
        ),
        (
            'default_hooks = dict(checkpoint=dict(save_last=False))',
            'checkpoint.save_last=False: True',
        ),
        (
            'test_dataloader = dict(num_batch_per_epoch=3)',
            'test_dataloader.num_batch_per_epoch=3: None',
        ),
        (
            'train_dataloader = dict(num_batch_per_epoch=3)',
            'num_batch_per_epoch=3: its epochs are counted as 0.0049 epochs',
        ),
        (
            "custom_hooks = [dict(type='EarlyStoppingHook', "
            "monitor='coco/bbox_mAP')]",
            'EarlyStoppingHook is kept as it is',
        ),
        (
            "default_hooks = dict(early=dict(type='EarlyStoppingHook', "
            "monitor='coco/bbox_mAP'), timer=None)",
            'EarlyStoppingHook is kept as it is',
        ),
        (
            "param_scheduler = [dict(type='PolyLR', eta_min=0.08, end=12)]",
            'PolyLR: eta_min=0.01 is for 2 images in a step',
        ),
        (
            "param_scheduler = [dict(type='PolyParamScheduler', "
            "param_name='lr', eta_min=0.08, end=12)]",
            'PolyParamScheduler: eta_min=0.01 is for 2 images in a step',
        ),
        (
            "train_cfg = dict(_delete_=True, type='own.SlowLoop', "
            'max_epochs=12)',
            'train_cfg SlowLoop: IterBasedTrainLoop',
        ),
        (
            "param_scheduler = [dict(type='LinearLR', by_epoch=False, end=1)]",
            '1 warm-up of less than 2 iterations: left out',
        ),
        ("held_out = ['val.json']", 'new values: held_out'),
        (
            "param_scheduler = [dict(type='OneCycleLR', eta_max=[0.8, 1.6], "
            'total_steps=12)]',
            'OneCycleLR: eta_max=0.1, 0.2 is for 2 images in a step',
        ),
        (
            'train_cfg = dict(_delete_=True, max_iters=20_000, '
            "type='IterBasedTrainLoop')\nparam_scheduler = []",
            'epochs of COCO, and --iterations 20000 keeps its length',
        ),
        (
            'val_dataloader = dict(dataset=dict(pipeline=[dict('
            "type='LoadImageFromFile'), dict(type='PackDetInputs')]))",
            'val_dataloader.dataset.pipeline: that of test_dataloader',
        ),
        (NORMALIZED, "views: the test pipeline has ['Normalize'], so that"),
        (
            "train_dataloader = dict(dataset=dict(type='LVISDataset'))",
            'LVISDataset: the labeled images are a CheckedCocoDataset',
        ),
    ],
)
def test_what_is_changed_is_named(own, text, line):
    assert any(line in change for change in changes_of(own(text)))


def test_rule_that_stays_is_not_said_to_change(own):
    best = "dict(checkpoint=dict(save_best='pascal_voc/mAP', rule='greater'))"

    changes = changes_of(own(f'default_hooks = {best}'))

    assert any('save_best' in line for line in changes)
    assert not any('rule' in line for line in changes)


@pytest.mark.parametrize(
    'scheduler',
    [
        dict(type='CosineAnnealingMomentum', eta_min=0.85, T_max=12),
        dict(type='PolyParamScheduler', param_name='momentum', eta_min=0.8),
    ],
)
def test_momentum_is_not_said_to_fit_a_batch_size(own, scheduler):
    detector = own(f'param_scheduler = [{scheduler}]')

    assert not any('eta_min' in change for change in changes_of(detector))


def test_weights_to_start_with_must_be_there(own, tmp_path):
    (tmp_path / 'a.pth').touch()
    missing = own("load_from = 'no.pth'")

    check_load_from(own('load_from = None'), from_scratch=False)
    check_load_from(own("load_from = 'https://a.b/c.pth'"), from_scratch=False)
    check_load_from(own(f"load_from = '{tmp_path}/a.pth'"), from_scratch=False)
    check_load_from(missing, from_scratch=True)
    with pytest.raises(DetectorError, match='no such file'):
        check_load_from(missing, from_scratch=False)


def test_every_stage_starts_anew_and_finds_its_checkpoints(written):
    cfgs = written(
        """
resume = True
work_dir = 'mine'
default_hooks = dict(checkpoint=dict(
    save_best='bbox_mAP', rule='less', save_optimizer=False, out_dir='x'))
"""
    )

    for cfg in (cfgs['teacher'], cfgs['student']):
        assert cfg.resume is False and cfg.work_dir is None
        hook = cfg.default_hooks.checkpoint
        assert (hook.save_best, hook.rule) == ('coco/bbox_mAP', 'greater')
        assert hook.save_optimizer and hook.out_dir is None


@pytest.mark.parametrize(
    'key', ['coco/segm_mAP', 'coco/segm_mAP_75', 'coco/red_segm_precision']
)
def test_masks_are_measured_of_segmentors_only(own, key):
    hook = f"custom_hooks = [dict(type='EarlyStoppingHook', monitor={key!r})]"

    check_monitors(own(hook, MASK_RCNN), CLASSES)
    with pytest.raises(DetectorError, match=f'watches {key!r}'):
        check_monitors(own(hook), CLASSES)


def test_one_sampler_of_both_loaders_is_replaced(written):
    loader = "dict(type='AspectRatioBatchSampler')"

    cfgs = written(
        f"""
val_dataloader = dict(batch_sampler={loader})
test_dataloader = dict(batch_sampler={loader})
"""
    )

    for name in ('val_dataloader', 'test_dataloader'):
        assert cfgs['teacher'][name].batch_sampler is None


@pytest.mark.parametrize(
    'best', ['auto', 'coco/bbox_mAP_50', ['coco/red_precision', 'auto']]
)
def test_best_checkpoint_by_what_is_measured_is_kept(own, best):
    detector = own(
        f'default_hooks = dict(checkpoint=dict(save_best={best!r}))'
    )

    assert 'save_best' not in override_checkpoint(detector, CLASSES)


def test_all_images_are_gone_through(written):
    cfgs = written(
        """
train_dataloader = dict(num_batch_per_epoch=1)
val_dataloader = dict(num_batch_per_epoch=1)
test_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler'),
    batch_sampler=dict(type='AspectRatioBatchSampler'))
"""
    )

    teacher = cfgs['teacher']
    for loader in ('train', 'val', 'test'):
        cfg = teacher[f'{loader}_dataloader']
        assert cfg.get('num_batch_per_epoch') is None
        assert cfg.get('batch_sampler') is None
    assert cfg.sampler == dict(type='DefaultSampler', shuffle=False)
    assert cfgs['annotate'].test_dataloader.sampler.type == 'PendingSampler'


def test_variables_of_the_same_names_are_not_mixed_with_ours(written):
    cfgs = written(
        """
labeled = 'train.json'
unlabeled = dict(type='Other', indices=5)
held_out = ['val.json']
unlabeled_truth = 3
scales = 3
metainfo = dict(classes=('a',), palette=[(1, 2, 3)])
"""
    )

    for cfg in (cfgs['teacher'], cfgs['annotate']):
        assert cfg.labeled.type == 'CheckedCocoDataset'
        assert 'indices' not in cfg.unlabeled
        assert cfg.held_out.ann_file == 'labeled.json'
        assert cfg.metainfo == dict(classes=CLASSES, palette=None)
        assert cfg.labeled.metainfo == cfg.metainfo


DATA_OF_ITS_OWN = """
data_root = 'base/'
split = 'base/split/'
ann = 'base.json'
unlabeled_truth = 'elsewhere.json'
test_set = dict(ann_file='base/test.json', img_prefix='base/images/')
sets = [dict(data_prefix=dict(img='images/')), dict(data_prefix=dict(img=''))]
prefix = ''
no_data = dict(data_root='', ann_file=None)
load_from = None
times = 3
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file=ann))
"""


def test_data_of_the_detector_reach_no_stage(own, written):
    cfgs = written(DATA_OF_ITS_OWN, truth=None)

    for stage in ('teacher', 'annotate', 'student'):
        cfg = cfgs[stage]
        for name in ('data_root', 'split', 'ann', 'test_set', 'sets'):
            assert cfg[name] is None
        assert cfg.unlabeled_truth is None
        assert (cfg.times, cfg.prefix) == (3, '')
        assert cfg.no_data is not None
    changes = changes_of(own(DATA_OF_ITS_OWN))
    (line,) = [one for one in changes if 'own data' in one]
    assert line.endswith(': split, ann, unlabeled_truth, test_set, sets')


def test_truth_that_is_given_takes_the_place_of_the_detectors(written):
    cfgs = written("unlabeled_truth = 'elsewhere.json'")

    assert cfgs['annotate'].unlabeled_truth == 't.json'


def test_metainfo_that_is_no_dict_is_refused(written):
    with pytest.raises(DetectorError, match='`metainfo` that is no dict'):
        written("metainfo = 'classes.txt'")


# --- what is refused -------------------------------------------------------


def test_teacher_within_a_detector_must_know_the_classes(own):
    lad = 'mmdet::lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py'
    detector = own('', lad)
    mine = own('model = dict(teacher_bbox_head=dict(num_classes=2))', lad)

    with pytest.raises(DetectorError, match='with 80 classes, but .* have 2:'):
        check_inner_teacher(detector, 2)
    check_inner_teacher(detector, 80)
    check_inner_teacher(mine, 2)
    check_inner_teacher(own(''), 2)


@pytest.mark.parametrize(
    ('weights', 'wanted'), [([1.0] * 81, 3), ([1.0] * 80, 2)]
)
def test_class_weights_are_one_for_each_class(own, weights, wanted):
    text = (
        'model = dict(bbox_head=dict(loss_cls=dict(_delete_=True, '
        "type='CrossEntropyLoss', class_weight={})))"
    )

    message = rf'loss_cls.class_weight .* has {len(weights)} .* {wanted} weig'
    with pytest.raises(DetectorError, match=message):
        check_class_weights(own(text.format(weights)), 2)
    check_class_weights(own(text.format(weights)), 80)
    check_class_weights(own(text.format(1.0)), 2)


@pytest.mark.parametrize(
    ('changes', 'num_classes', 'fits'),
    [
        # Written for the images by somebody who left `num_classes` as it was.
        (dict(class_weight=[1.0] * 3), 3, True),
        (dict(class_weight=[1.0] * 4), 3, True),
        (dict(class_weight=[1.0] * 5), 3, False),
        # 80 classes, or 79 and the background?
        (dict(class_weight=[1.0] * 80), 79, False),
        (dict(class_weight=[1.0] * 80, use_sigmoid=False), 79, True),
        (dict(class_weight=[1.0] * 80, use_sigmoid=True), 79, False),
        (dict(class_weight=[1.0] * 81, use_sigmoid=True), 81, True),
        (dict(class_weight=[1.0] * 81, use_sigmoid=False), 81, False),
    ],
)
def test_class_weights_may_be_those_of_the_images(
    own, changes, num_classes, fits
):
    loss = dict(changes, _delete_=True, type='CrossEntropyLoss')
    detector = own(f'model = dict(bbox_head=dict(loss_cls={loss}))')

    if fits:
        check_class_weights(detector, num_classes)
    else:
        with pytest.raises(DetectorError, match='in the order of the labeled'):
            check_class_weights(detector, num_classes)


def test_class_weights_of_each_stage_of_a_cascade_are_looked_at(own):
    detector = own(
        """
heads = _base_.model.roi_head.bbox_head
heads[1].loss_cls.class_weight = [1.0] * 81
model = dict(roi_head=dict(bbox_head=heads))
""",
        'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    )

    with pytest.raises(DetectorError, match=r'bbox_head\[1\].loss_cls'):
        check_class_weights(detector, 2)


def test_hook_that_watches_what_is_not_measured_is_refused(own):
    hook = "custom_hooks = [dict(type='EarlyStoppingHook', monitor={!r})]"

    with pytest.raises(DetectorError, match="watches 'pascal_voc/mAP'"):
        check_monitors(own(hook.format('pascal_voc/mAP')), CLASSES)
    check_monitors(own(hook.format('coco/bbox_mAP_75')), CLASSES)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            "custom_hooks = [dict(type='MyHook', start_epoch=3)]",
            r'MyHook \(start_epoch\) counts epochs',
        ),
        (
            "custom_hooks = [dict(type='SetEpochInfoHook')]",
            'SetEpochInfoHook counts epochs',
        ),
        (
            "default_hooks = dict(ema=dict(type='EMAHook', begin_epoch=3))",
            r'EMAHook \(begin_epoch\) counts epochs',
        ),
        (
            "train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', "
            'max_iters=9)\nparam_scheduler = []\ncustom_hooks = [dict('
            "type='YOLOXModeSwitchHook')]",
            'YOLOXModeSwitchHook counts epochs',
        ),
        (
            'param_scheduler = dict(_delete_=True, a=[], b=[])',
            'a list of schedulers of one optimizer',
        ),
        (
            "train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop')",
            'does not say how long the training is',
        ),
    ],
)
def test_what_an_experiment_cannot_have_is_refused(written, text, message):
    with pytest.raises(DetectorError, match=message):
        written(text)


@pytest.mark.parametrize(
    'step', ["dict(type='own.Sharpen')", "dict(type='RandomFlip', prob=1.0)"]
)
def test_transform_that_views_cannot_have_is_refused(own, step):
    text = NORMALIZED.replace(
        "dict(type='Normalize', mean=[9.0] * 3, std=[2.0] * 3)", step
    )

    with pytest.raises(DetectorError, match='which views cannot have'):
        own(text)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['MMSyncBN', 'mmcv.MMSyncBN'])
def test_model_with_layers_for_many_processes_trains_in_one(written, kind):
    cfg = written(SYNCED.format(kind))['teacher']

    assert cfg.model.backbone.norm_cfg == dict(
        type='SyncBN', requires_grad=True
    )
    assert cfg.model.test_cfg.own[0].norm_cfg.type == 'SyncBN'
    init_default_scope('mmdet')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(dict(cfg.model, test_cfg=None)).train()
    assert all(
        level.isfinite().all()
        for level in model.backbone(torch.ones(2, 3, 64, 64))
    )


def test_settings_of_layers_for_many_processes_are_refused(written):
    text = SYNCED.format('MMSyncBN').replace('grad=True', 'grad=True, group=3')

    with pytest.raises(
        DetectorError, match=r"MMSyncBN with \['group'\] works"
    ):
        written(text)


def test_layers_for_many_processes_are_named_if_there_are_many(own):
    detector = own(SYNCED.format('SyncBN'))

    assert not any('SyncBN' in line for line in changes_of(detector))
    lines = changes_of(detector, replace(PLAN, num_processes=2))
    assert any('several processes need GPUs' in line for line in lines)


# --- what is converted -----------------------------------------------------


def test_epochs_count_the_repeats(own):
    repeated = own(
        """
train_dataloader = dict(dataset=dict(
    _delete_=True, type='RepeatDataset', times=5,
    dataset=_base_.train_dataloader.dataset))
"""
    )
    sliced = own('train_dataloader = dict(num_batch_per_epoch=100)')

    assert Schedule.of(repeated.cfg).count_epochs(2) == 12 * 5
    # Its learning rate is that of 16 images; COCO has 117,266.
    epochs = Schedule.of(sliced.cfg).count_epochs(2)
    assert epochs == pytest.approx(12 * 100 * 16 / 117_266)


BALANCED = """
balanced = dict(
    type='ClassBalancedDataset', oversample_thr=0.5,
    dataset=_base_.train_dataloader.dataset)
train_dataloader = dict(dataset=dict(_delete_=True, **balanced))
"""
MIXED = (
    BALANCED
    + """
train_dataloader['dataset'] = dict(
    _delete_=True, type='MultiImageMixDataset', pipeline=[], dataset=balanced)
"""
)


@pytest.fixture
def rare(tmp_path) -> Data:
    """Ten images with `red`, one of which has `green` too; one is empty."""
    images = [
        dict(id=i, file_name=f'{i}.png', width=60, height=50)
        for i in range(11)
    ]
    objects = [(i, 7) for i in range(10)] + [(3, 3)]
    content = dict(
        images=images,
        categories=CATEGORIES,
        annotations=[
            dict(
                id=n, image_id=i, category_id=c, bbox=[1, 2, 30, 40],
                area=1200, iscrowd=0,
            )
            for n, (i, c) in enumerate(objects, 1)
        ],
    )  # fmt: skip
    file = tmp_path / 'rare.json'
    file.write_text(json.dumps(content))
    labeled = Images(str(file), 'images/', 10)
    return Data(CLASSES, labeled, Images('', 'more/', 20), labeled)


def test_balance_of_classes_is_that_of_the_labeled_images(own, rare):
    """The rare class is in 1 of 10 images: sqrt(0.5 / 0.1) is 2.2, so 3."""
    balanced, plain = own(BALANCED), own('')

    plan = make_plan(balanced, rare, ExperimentOptions(ratio=(6, 4)))

    assert measure_balance(plain.train_dataset, rare) == 1
    unknown = replace(rare, labeled=Images('classes.json', '', 0))
    assert measure_balance(balanced.train_dataset, unknown) == 1
    assert plan.balance == pytest.approx(12 / 10)
    schedule = Schedule.of(balanced.cfg)
    assert schedule.count_epochs(2, plan.balance) == pytest.approx(12 * 1.2)
    assert schedule.explain_epochs(1.2) == ' (12 x 1.2, ClassBalancedDataset)'
    assert schedule.explain_epochs(1) == ''


@pytest.mark.slow
@pytest.mark.parametrize(('text', 'depth'), [(BALANCED, 1), (MIXED, 2)])
def test_balance_of_classes_is_in_every_training(written, text, depth):
    cfgs = written(text)

    teacher = cfgs['teacher'].train_dataloader.dataset
    parts = cfgs['student'].train_dataloader.dataset.datasets
    truth = cfgs['oracle'].train_dataloader.dataset.datasets
    annotate = cfgs['annotate'].custom_hooks[0]

    assert not annotate.selection.counts_empty
    for dataset in (teacher, *parts, *truth):
        inner = dataset
        for _ in range(depth - 1):
            assert inner.type == 'MultiImageMixDataset'
            inner = inner.dataset
        assert inner.type == 'ClassBalancedDataset'
        assert inner.oversample_thr == 0.5
    names = [teacher, *parts, *truth]
    for _ in range(depth):
        names = [dataset.dataset for dataset in names]
    assert [dataset.ann_file for dataset in names] == [
        'labeled.json',
        'labeled.json',
        'work_dirs/cells/annotate/pseudo_labels.json',
        'labeled.json',
        't.json',
    ]
    assert names[2].filter_cfg.filter_empty_gt is False


def test_hooks_that_count_iterations_are_scaled_with_them(own, tmp_path):
    """An experiment may be the base of another one."""
    schedule = Schedule.of(
        own(
            """
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=1000, val_interval=9)
param_scheduler = []
custom_hooks = [
    dict(type='SwitchPipelineHook', iteration=900, skip_types=['Mosaic']),
    dict(type='MyHook', warmup_iters=100, interval=50, is_iter=True)]
"""
        ).cfg
    )

    switch, mine = schedule.scale_hooks(200)

    assert switch.changes == dict(iteration=180)
    assert mine.changes == dict(warmup_iters=20)


@pytest.mark.slow
def test_transforms_of_pixels_are_in_the_views(written, drawn):
    cfgs = written(NORMALIZED)
    init_default_scope('mmdet')
    annotate = cfgs['annotate']
    config = annotate.test_dataloader.dataset
    config.data_prefix.img = str(Path(drawn.folder) / 'unlabeled')

    views = DATASETS.build(config)[0]

    assert 'tune' not in cfgs
    assert 'views' not in annotate.model
    scales = [sample.scale_factor for sample in views['data_samples']]
    flips = [sample.flip for sample in views['data_samples']]
    assert flips == [False, True] * 3
    assert scales[0] == scales[1] < scales[2] < scales[4]
    # The darkest pixel of a plane is 0.
    assert views['inputs'][0].min() == pytest.approx(-4.5)


def test_views_of_the_config_are_taken_if_they_have_the_transforms(own):
    tta = """
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[[dict(type='Resize', scale=(9, 9))],
        [{}], [dict(type='PackDetInputs')]])]
"""

    assert own(NORMALIZED + tta.format('normalize')).has_own_views
    assert not own(NORMALIZED + tta.format('dict(type="Pad")')).has_own_views


def test_loader_of_floats_gives_bytes_to_views(written):
    cfgs = written(
        """
test_pipeline = _base_.test_pipeline
test_pipeline[0].to_float32 = True
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
    )

    load = cfgs['annotate'].test_dataloader.dataset.pipeline[0]
    assert load.to_float32 is False


def test_views_that_a_pipeline_makes_are_padded_in_their_own_size(written):
    cfgs = written(
        NORMALIZED
        + """
test_pipeline.insert(3, dict(type='Pad', size=(900, 900), pad_val=7))
"""
    )

    *_, views = cfgs['annotate'].test_dataloader.dataset.pipeline
    (pad,) = views.transforms[3]
    assert pad == dict(type='Pad', size_divisor=128, pad_val=dict(img=7))


def test_stages_inherit_from_a_config_with_read_base(own, tmp_path):
    config = own('').cfg
    text = config.pretty_text.replace('_delete_', 'x')
    lazy = tmp_path / 'lazy.py'
    lazy.write_text(f'from torch.optim import SGD\n{text}')
    images = Images('labeled.json', 'images/', 10)
    data = Data(CLASSES, images, images, images)

    NewExperiment('new', DetectorConfig.read(str(lazy)), data, PLAN).write(
        tmp_path / 'new'
    )

    teacher = Config.fromfile(tmp_path / 'new/teacher.py')
    assert teacher.model.bbox_head.num_classes == len(CLASSES)
    assert teacher.model.backbone == config.model.backbone


def test_config_without_a_checkpoint_hook_gets_mmengines(own):
    detector = own('default_hooks = dict(_delete_=True, checkpoint=None)')

    assert override_checkpoint(detector, CLASSES)['type'] == 'CheckpointHook'
    assert 'type' not in override_checkpoint(own(''), CLASSES)
