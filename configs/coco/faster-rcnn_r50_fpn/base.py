"""Faster R-CNN, ResNet-50 FPN, on COCO: what all stages share.

It is put together as MMDetection's `faster-rcnn_r50_fpn_1x_coco.py` is, with
its ImageNet backbone. The larger backbones have names here, for the
experiments that replace it.
"""

_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../../_base_/datasets/coco_splits.py',
    '../../_base_/schedules/sgd_90k.py',
    '../../_base_/default_runtime.py',
    '../backbones.py',
]

# A run that is killed loses at most an eighteenth of the 1x schedule.
default_hooks = dict(checkpoint=dict(interval=5000))
