"""Teacher on the 5 labeled images of BCCD, the lower bound.

All stages on a CPU: `python tools/distill.py configs/bccd --oracle --control`.

Paper: table 1a (unverified), with other data.
Command: python tools/train.py configs/bccd/teacher.py
Time: 5 min on one core of a Xeon.
Result: 29.8 mAP on the 72 validation images (seed 0).
"""

_base_ = [
    '../_base_/datasets/bccd.py',
    '../_base_/models/faster-rcnn_r18_fpn_small.py',
    # Found by trial: teacher and oracle come out 21 mAP apart.
    '../_base_/schedules/from_scratch_400.py',
    '../_base_/default_runtime.py',
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
