r"""Teacher of the small setting: co-35 labeled, co-80 unlabeled.

Paper: section 6, object detection, small-scale data; its lower bound.
Run the four stages and the bounds, on 8 GPUs:

    EXP=coco/faster-rcnn_r50_fpn/co35_co80
    python tools/distill.py configs/$EXP --work-dir work_dirs/$EXP \
        --control --oracle --launcher pytorch --gpus 8

Time, result: not run here.
"""

_base_ = '../base.py'

experiment = 'work_dirs/coco/faster-rcnn_r50_fpn/co35_co80/'
labeled = dict(
    _base_.co_35, data_root=_base_.data_root, pipeline=_base_.train_pipeline
)
unlabeled = dict(_base_.co_80_unlabeled, data_root=_base_.data_root)
train_dataloader = dict(dataset=labeled)

# As often over every image as 1x goes over co-115.
max_iters = (
    _base_.iters_1x * _base_.num_images.co_35 // _base_.num_images.co_115
)
train_cfg = dict(max_iters=max_iters, val_begin=max_iters + 1)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
    ),
]
