"""Control: the teacher's data with the student's schedule.

A student trains longer than its teacher, since it has more data. What the
longer training alone brings is seen here; only the rest is distillation.

Paper: section 4: the student trains longer.
Command: python tools/train.py configs/digits/supervised_long.py
Time: 2.5 min on two cores.
Result: 56.7 mAP on val (seed 0).
"""

_base_ = './teacher.py'

# Found by trial: the student has more data to learn from.
max_iters = 2 * _base_.max_iters
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
milestones = [max_iters * 7 // 10, max_iters * 9 // 10]
param_scheduler = [
    _base_.warm_up,
    dict(_base_.rate_drops, milestones=milestones),
]
