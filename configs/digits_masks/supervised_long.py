"""Control: the teacher's data with the student's schedule.

It shows how much of the student's gain is its longer schedule.

Paper: section 4: the student trains longer.
Command: python tools/train.py configs/digits_masks/supervised_long.py
Time: 11 min on one core of a Xeon.
Result: 64.8 box and 66.2 mask mAP on val (seed 0).
"""

_base_ = './teacher.py'

train_cfg = _base_.twice.train_cfg
param_scheduler = _base_.twice.param_scheduler
