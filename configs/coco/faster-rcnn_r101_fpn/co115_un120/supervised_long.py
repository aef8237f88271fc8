"""Control of the large setting, R-101.

Run as the R-50 one, with EXP=coco/faster-rcnn_r101_fpn/co115_un120.
Time, result: not run here; for boxes not in the paper.
"""

_base_ = [
    '../../faster-rcnn_r50_fpn/co115_un120/supervised_long.py',
    '../backbone.py',
]
model = dict(backbone=_base_.backbone)
