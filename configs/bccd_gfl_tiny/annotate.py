r"""Pseudo labels for 287 images of BCCD, from 8 views of each.

Paper: sections 3 and 4.
Command: python tools/test.py configs/bccd_gfl_tiny/annotate.py \
    work_dirs/bccd_gfl_tiny/teacher/iter_400.pth
Time: 2 min on two cores of a busy Xeon.
Result (split 0): 3,788 pseudo labels, precision 0.73 and recall 0.72 at IoU
    0.5.
"""

_base_ = ['./teacher.py', '../_base_/stages/annotate.py']

width, height = _base_.test_scale
flips = [[]] + [
    [dict(type='Flip', direction=direction)]
    for direction in ('horizontal', 'vertical', 'diagonal')
]
views = [
    [dict(type='Resize', scale=(width * n // 10, height * n // 10)), *flip]
    # One scale below and one above the test scale, within the range of the
    # training. docs/results.md compares others; not these.
    for n in (9, 12)
    for flip in flips
]
model = dict(_base_.mean_of_views, module=_base_.model, views=views)
test_dataloader = dict(sampler=_base_.pending, dataset=_base_.unlabeled_images)
test_evaluator = []
custom_hooks = [dict(_base_.annotation_hook, **_base_.known_images)]
