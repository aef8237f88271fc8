"""Control: the teacher's data with the student's schedule.

A student trains longer than its teacher, since it has more data. What the
longer training alone brings is seen here; only the rest is distillation.

Paper: section 4: the student trains longer.
Command: python tools/train.py configs/digits/supervised_long.py
Time: 2.5 min on two cores.
Result: 57.6 mAP on val (seed 0).
"""

_base_ = './teacher.py'

train_cfg = _base_.twice.train_cfg
param_scheduler = _base_.twice.param_scheduler
