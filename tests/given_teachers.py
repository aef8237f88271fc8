"""Checkpoints of teachers that somebody has trained, and a student."""

import json
from pathlib import Path

import cv2
import torch
from builders import ROOT, DrawnImages
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

MODEL = ROOT / 'configs/_base_/models/gfl_r18_tiny.py'
# Other names, another order, and classes that nobody wants here.
KNOWN = ('green', 'dog', 'scarlet', 'cat')
DETECTOR = """
_base_ = [
    '{root}/configs/_base_/models/gfl_r18_tiny.py',
    '{root}/configs/_base_/schedules/from_scratch_600.py',
    '{root}/configs/_base_/default_runtime.py',
]
load = dict(type='LoadImageFromFile')
resize = dict(type='Resize', scale=({size}, {size}), keep_ratio=True)
pipeline = [
    load, resize, dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=1, num_workers=0,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(type='CocoDataset', ann_file='', pipeline=pipeline),
)
test_dataloader = dict(
    batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        ann_file='',
        pipeline=[
            *pipeline[:-1],
            dict(
                type='PackDetInputs',
                meta_keys=(
                    'img_id', 'img_path', 'ori_shape', 'img_shape',
                    'scale_factor',
                ),
            ),
        ],
    ),
)
val_dataloader = test_dataloader
test_evaluator = dict(type='CocoMetric', ann_file='')
val_evaluator = test_evaluator
"""


def write_detector(file: Path, size: int = 64) -> Path:
    """Write the config of a tiny detector."""
    file.write_text(DETECTOR.format(root=ROOT, size=size))
    return file


def write_teacher(
    file: Path, classes: tuple = KNOWN, width: int = 8, **meta: object
) -> Path:
    """Write a checkpoint as MMEngine does, of a detector that finds a lot.

    Args:
        file: The file.
        classes: Its classes.
        width: The number of channels of its backbone; a student has 16.
        meta: What its `meta` has otherwise; None leaves a key out.
    """
    cfg = Config.fromfile(write_detector(file.with_suffix('.py'), 96))
    cfg.model.bbox_head.num_classes = len(classes)
    cfg.model.backbone.base_channels = width
    cfg.model.test_cfg.max_per_img = 20
    cfg.model.neck.in_channels = [2 * width, 4 * width]
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.nn.init.constant_(model.bbox_head.gfl_cls.bias, 0.0)
    dataset_meta = dict(classes=classes)
    meta = dict(dict(cfg=cfg.pretty_text, dataset_meta=dataset_meta), **meta)
    meta = {key: value for key, value in meta.items() if value is not None}
    torch.save(dict(state_dict=model.state_dict(), meta=meta), file)
    return file


def write_val(drawn: DrawnImages) -> dict:
    """Write validation images, and return the sources of an experiment."""
    (drawn.folder / 'val').mkdir()
    for image in drawn.labeled['images']:
        file = drawn.folder / 'labeled' / image['file_name']
        mirrored = cv2.imread(str(file))[:, ::-1]
        cv2.imwrite(str(drawn.folder / 'val' / image['file_name']), mirrored)
    val = json.loads((drawn.folder / 'labeled.json').read_text())
    return dict(
        labeled=drawn.folder / 'labeled.json',
        labeled_images=drawn.folder / 'labeled',
        val=drawn.write('val.json', val),
        val_images=drawn.folder / 'val',
        unlabeled=str(drawn.folder / 'unlabeled'),
    )
