"""Detections on the 72 held-out images of BCCD, to judge those of annotate.py.

Their truth says how precise labels are from which score on: for
`PrecisionSelector`, `tools/label_quality.py` and the warnings of
`tools/select_labels.py` (docs/selection.md). No label is made of them.

Command: python tools/test.py configs/bccd_gfl_tiny/validate.py TEACHER.pth
    --work-dir work_dirs/bccd_gfl_tiny/validate
"""

_base_ = './annotate.py'

test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/test.json', data_prefix=dict(img='images/')
    )
)
custom_hooks = [
    dict(type='DetectionHook', labeled=_base_.custom_hooks[0].labeled)
]
