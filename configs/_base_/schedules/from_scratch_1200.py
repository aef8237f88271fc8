"""AdamW from scratch, for 1,200 iterations."""

_base_ = './from_scratch_600.py'

# With half the batch, as many passes over the images as the 600 iterations.
max_iters = 1200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
rate_drops = dict(
    _base_.rate_drops,
    milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
)
param_scheduler = [_base_.warm_up, rate_drops]
twice = dict(
    train_cfg=dict(max_iters=2 * max_iters, val_interval=max_iters // 2),
    param_scheduler=[
        _base_.warm_up,
        dict(rate_drops, milestones=[2 * n for n in rate_drops['milestones']]),
    ],
)
