r"""Detections on val2017, to judge those of the small setting's annotate.py.

Their truth says how precise the labels are at each score (docs/selection.md).
No label is made of them.

Command (EXP as in teacher.py):
    bash tools/dist_test.sh configs/$EXP/validate.py \
        work_dirs/$EXP/teacher/iter_27013.pth 8
Time and result: not run.
"""

_base_ = './annotate.py'

test_dataloader = dict(dataset=_base_.val_images)
custom_hooks = [dict(type='DetectionHook', **_base_.known_labeled)]
