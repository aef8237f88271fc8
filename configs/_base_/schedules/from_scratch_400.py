"""AdamW from scratch, for 400 iterations."""

_base_ = './from_scratch_600.py'

max_iters = 400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
milestones = [max_iters * 7 // 10, max_iters * 9 // 10]
param_scheduler = [
    _base_.warm_up,
    dict(_base_.rate_drops, milestones=milestones),
]
