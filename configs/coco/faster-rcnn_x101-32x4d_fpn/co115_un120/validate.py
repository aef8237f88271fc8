"""Detections on val2017, to judge those of annotate.py, X-101-32x4d.

Command: as the R-50 one, with EXP=coco/faster-rcnn_x101-32x4d_fpn/co115_un120
Time and result: not run.
"""

_base_ = '../../faster-rcnn_r50_fpn/co115_un120/validate.py'

model = dict(module=dict(backbone=_base_.resnext_101))
