r"""Teacher of the large setting: co-115 labeled, un-120 unlabeled.

Run the four stages, on 8 GPUs:

    EXP=coco/faster-rcnn_r50_fpn/co115_un120
    python tools/distill.py configs/$EXP --control --launcher pytorch --gpus 8

Paper: section 6, object detection, large-scale data; its baseline.
Command: bash tools/dist_train.sh configs/$EXP/teacher.py 8
Time and result: not run.
"""

_base_ = '../base.py'

labeled = _base_.co_115
unlabeled = _base_.un_120
unlabeled_images = dict(_delete_=True, **unlabeled)
pseudo_labeled = dict(
    data_prefix=dict(img=_base_.data_root + 'unlabeled2017/')
)
known_labeled = dict(labeled=_base_.known_co_115)
known_images = dict(known_labeled, held_out=[_base_.held_out])
train_dataloader = dict(dataset=labeled)
