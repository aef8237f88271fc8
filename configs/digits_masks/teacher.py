"""Teacher on the 30 labeled digit images: a tiny Mask R-CNN.

All stages on a CPU:
`python tools/distill.py configs/digits_masks --oracle --control`.

Paper: section 3, step 1, with masks.
Command: python tools/train.py configs/digits_masks/teacher.py
Time: 6 min on one core of a Xeon.
Result: 62.0 box and 63.3 mask mAP on val (seed 0), the lower bound.
"""

_base_ = [
    '../_base_/datasets/digits_masks.py',
    '../_base_/models/mask-rcnn_r18_tiny.py',
    '../_base_/schedules/from_scratch_1200.py',
    '../_base_/default_runtime.py',
]
