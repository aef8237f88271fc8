r"""Teacher of the small setting: co-35 labeled, co-80 unlabeled.

Run the four stages and the bounds, on 8 GPUs:

    EXP=coco/faster-rcnn_r50_fpn/co35_co80
    python tools/distill.py configs/$EXP --control --oracle \
        --launcher pytorch --gpus 8

Paper: section 6, object detection, small-scale data; its lower bound.
Command: bash tools/dist_train.sh configs/$EXP/teacher.py 8
Time and result: not run.
"""

_base_ = '../base.py'

labeled = _base_.co_35
unlabeled = _base_.co_80_unlabeled
unlabeled_images = dict(_delete_=True, **unlabeled)
pseudo_labeled = dict(data_prefix=dict(img=_base_.data_root + 'train2014/'))
known_labeled = dict(labeled=_base_.known_co_35)
known_images = dict(known_labeled, held_out=[_base_.held_out])
train_dataloader = dict(dataset=labeled)

# As often over every image as 1x goes over co-115.
max_iters = (
    _base_.iters_1x * _base_.num_images.co_35 // _base_.num_images.co_115
)
train_cfg = dict(max_iters=max_iters, val_begin=max_iters + 1)
drops = dict(milestones=[max_iters * 7 // 10, max_iters * 9 // 10])
param_scheduler = [_base_.warm_up, dict(_base_.rate_drops, **drops)]
