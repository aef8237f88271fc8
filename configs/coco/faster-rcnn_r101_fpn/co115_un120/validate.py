"""Detections on val2017, to judge those of annotate.py, R-101.

Command: as the R-50 one, with EXP=coco/faster-rcnn_r101_fpn/co115_un120
Time and result: not run.
"""

_base_ = '../../faster-rcnn_r50_fpn/co115_un120/validate.py'

model = dict(module=dict(backbone=_base_.resnet_101))
