"""AdamW from scratch, for 400 iterations."""

_base_ = './from_scratch_600.py'

max_iters = 400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
param_scheduler = [
    _base_.warm_up,
    dict(_base_.rate_drops, milestones=[280, 360]),
]
twice = dict(
    train_cfg=dict(max_iters=2 * max_iters, val_interval=max_iters // 2),
    param_scheduler=[
        _base_.warm_up,
        dict(_base_.rate_drops, milestones=[560, 720]),
    ],
)
