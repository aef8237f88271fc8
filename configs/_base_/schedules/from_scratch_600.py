"""AdamW from scratch, for 600 iterations.

The rate drops at 70 % and 90 % of the iterations, as in the paper (section 4,
at second hand: configs/README.md).
"""

_base_ = './drops.py'

# Found by trial on the digits: 160 passes over the 30 labeled images, which
# fit them.
max_iters = 600

# Four validations draw the curve in the report. On the digits each takes about
# as long as 8 iterations. They change no weight: ResumeHook seeds every batch
# and every step (docs/training.md).
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 4
)
val_cfg = dict(type='ValOnTestLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    # From scratch, with batch norm: a high rate and little warm-up do.
    # The decay is MMDetection's with AdamW (RTMDet, Swin).
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    # The norms of these trainings are 1 to 7: it bounds those that go wrong.
    clip_grad=dict(max_norm=10, norm_type=2),
)
# A tenth of MMDetection's 500 iterations, for a schedule of hundreds.
warm_up = dict(
    type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50
)
rate_drops = dict(
    _base_.drops_to_a_tenth,
    milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
)
param_scheduler = [warm_up, rate_drops]
# For the student, which has more data to learn from, and for its control.
# Found by trial.
twice = dict(
    train_cfg=dict(max_iters=2 * max_iters, val_interval=max_iters // 2),
    param_scheduler=[
        warm_up,
        dict(rate_drops, milestones=[2 * n for n in rate_drops['milestones']]),
    ],
)
