"""Faster R-CNN, ResNet-50 FPN, on COCO: what all stages share.

MMDetection's detector with its ImageNet backbone, 8 GPUs with 2 images each
and a rate of 0.02, the paper's (section 4). The rate drops at 70 % and 90 %
of the iterations, as in the paper, in every stage.
"""

_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    '../../_base_/datasets/coco_splits.py',
]
custom_imports = dict(
    imports=['projects.data_distillation'], allow_failed_imports=False
)

# Detectron's 1x schedule: 90,000 iterations of 16 images, on co-115.
iters_1x = 90_000

train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    # Grouping by aspect ratio would undo the student's ratio of sources, and
    # only the data shall differ between the stages.
    batch_sampler=None,
)
val_dataloader = dict(
    dataset=dict(type='CheckedCocoDataset', metainfo=_base_.metainfo)
)
test_dataloader = val_dataloader
held_out = dict(
    ann_file=_base_.val_evaluator.ann_file,
    img_prefix=_base_.data_root + 'val2017/',
)

train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=iters_1x,
    val_begin=iters_1x + 1,  # Never: tools/test.py compares the stages.
)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[iters_1x * 7 // 10, iters_1x * 9 // 10],
    ),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=5000, max_keep_ckpts=2),
    resume=dict(type='ResumeHook'),
)
log_processor = dict(by_epoch=False)
