r"""Teacher of the large setting: co-115 labeled, un-120 unlabeled.

Paper: section 6, object detection, large-scale data; its baseline.
Run the four stages, on 8 GPUs:

    EXP=coco/faster-rcnn_r50_fpn/co115_un120
    python tools/distill.py configs/$EXP --work-dir work_dirs/$EXP \
        --control --launcher pytorch --gpus 8

Time, result: not run here.
"""

_base_ = '../base.py'

experiment = 'work_dirs/coco/faster-rcnn_r50_fpn/co115_un120/'
labeled = dict(
    _base_.co_115, data_root=_base_.data_root, pipeline=_base_.train_pipeline
)
unlabeled = dict(_base_.un_120, data_root=_base_.data_root)
train_dataloader = dict(dataset=labeled)
