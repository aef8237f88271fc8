r"""Detections on the 72 validation images of BCCD, to judge annotate.py by.

Their truth says how precise the labels are at each score; used by
`PrecisionSelector`, `tools/label_quality.py` and the warnings of
`tools/select_labels.py` (docs/selection.md). No label is made of them.

Paper: none; ours.
Command: python tools/test.py configs/bccd/validate.py \
    work_dirs/bccd/teacher/iter_400.pth
Time: 0.5 min on one core of a Xeon.
"""

_base_ = './annotate.py'

test_dataloader = dict(dataset=_base_.val_images)
custom_hooks = [dict(type='DetectionHook', **_base_.known_labeled)]
