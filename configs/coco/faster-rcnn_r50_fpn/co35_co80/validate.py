r"""Detections on val2017, to judge those of the small setting's annotate.py.

Their truth says how precise labels are from which score on
(docs/selection.md). No label is made of them. Run alone, on 8 GPUs:

    EXP=coco/faster-rcnn_r50_fpn/co35_co80
    bash tools/dist_test.sh configs/$EXP/validate.py TEACHER.pth 8 \
        --work-dir work_dirs/$EXP/validate

Time, result: not run here.
"""

_base_ = './annotate.py'

test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
    )
)
custom_hooks = [
    dict(type='DetectionHook', labeled=_base_.custom_hooks[0].labeled)
]
