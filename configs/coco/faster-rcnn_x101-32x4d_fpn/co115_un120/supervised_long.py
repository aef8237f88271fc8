"""Control of the large setting, X-101-32x4d.

Paper: not in it for boxes.
Command: as the R-50 one, with EXP=coco/faster-rcnn_x101-32x4d_fpn/co115_un120
Time and result: not run.
"""

_base_ = '../../faster-rcnn_r50_fpn/co115_un120/supervised_long.py'

model = dict(backbone=_base_.resnext_101)
