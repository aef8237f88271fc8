"""AdamW from scratch, for 1,200 iterations."""

_base_ = './from_scratch_600.py'

# With half the batch, as many passes over the images as the 600 iterations.
train_cfg = _base_.twice.train_cfg
param_scheduler = _base_.twice.param_scheduler
milestones = [2 * n for n in param_scheduler[1].milestones]
twice = dict(
    train_cfg={name: 2 * count for name, count in train_cfg.items()},
    param_scheduler=[
        param_scheduler[0],
        dict(param_scheduler[1], milestones=milestones),
    ],
)
