"""Soft Teacher on BCCD from scratch, without a burn-in.

As many images go forward and backward as in teacher and student of
configs/bccd: 1,200 iterations of 4 images.

Paper: none; Soft Teacher is arXiv 2106.09018.
Command: python tools/train.py configs/peers/bccd_soft_teacher/from_scratch.py
Time: see docs/results.md.
Result: see docs/results.md.
"""

_base_ = './burn_in.py'

model = dict(detector=dict(init_cfg=None))
train_cfg = dict(max_iters=1200, val_interval=300)
rate_drops = dict(_base_.rate_drops, milestones=[840, 1080])
param_scheduler = [_base_.warm_up, rate_drops]
