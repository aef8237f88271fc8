"""Pseudo labels of the large setting, X-101-32x4d.

Paper: sections 3, 4 (the 18 views) and 6 (box voting). Views and voting are
    known at second hand.
Command: as the R-50 one, with EXP=coco/faster-rcnn_x101-32x4d_fpn/co115_un120
Time and result: not run.
"""

_base_ = '../../faster-rcnn_r50_fpn/co115_un120/annotate.py'

model = dict(module=dict(backbone=_base_.resnext_101))
