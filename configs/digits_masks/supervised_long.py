"""Control: the teacher's data with the student's schedule.

It shows how much of the student's gain is its longer schedule.

Paper: section 4: the student trains longer.
Command: python tools/train.py configs/digits_masks/supervised_long.py
Time: about twice that of teacher.py.
Result: not run.
"""

_base_ = './teacher.py'

max_iters = 2 * _base_.max_iters
last_drops = [max_iters * 7 // 10, max_iters * 9 // 10]
param_scheduler = [
    _base_.warm_up,
    dict(_base_.rate_drops, milestones=last_drops),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
