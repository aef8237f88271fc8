"""Control of the large setting, X-101-32x4d.

Run as the R-50 one, with EXP=coco/faster-rcnn_x101-32x4d_fpn/co115_un120.
Time, result: not run here; for boxes not in the paper.
"""

_base_ = [
    '../../faster-rcnn_r50_fpn/co115_un120/supervised_long.py',
    '../backbone.py',
]
model = dict(backbone=_base_.backbone)
