"""Control on BCCD: the teacher's 5 images for the student's schedule.

It shows how much of the student's gain is its longer schedule.

Paper: section 4: the student trains longer.
Command: python tools/train.py configs/bccd/supervised_long.py
Time: 8 min on one core of a Xeon.
Result: 32.7 mAP on the 72 validation images (seed 0).
"""

_base_ = './teacher.py'

train_cfg = _base_.twice.train_cfg
param_scheduler = _base_.twice.param_scheduler
