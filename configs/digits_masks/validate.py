r"""Detections on the validation digit images, to judge those of annotate.py.

Their truth says how precise the labels are at each score; used by
`PrecisionSelector`, `tools/label_quality.py` and the warnings of
`tools/select_labels.py` (docs/selection.md). No label is made of them.

Command: python tools/test.py configs/digits_masks/validate.py \
    work_dirs/digits_masks/teacher/iter_1200.pth
Time: not measured.
"""

_base_ = './annotate.py'

test_dataloader = dict(dataset=_base_.val_images)
custom_hooks = [dict(type='DetectionHook', **_base_.known_labeled)]
