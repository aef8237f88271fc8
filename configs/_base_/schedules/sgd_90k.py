"""MMDetection's 1x schedule, counted in iterations.

The batch is MMDetection's, 8 GPUs with 2 images each. The rate of 0.02 and its
drops at 70 % and 90 % of the iterations are the paper's (section 4). They
are known at second hand (configs/README.md).
"""

_base_ = ['mmdet::_base_/schedules/schedule_1x.py', './drops.py']

# Detectron's 1x schedule: 90,000 iterations of 16 images, on co-115.
iters_1x = 90_000

train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=iters_1x,
    val_begin=iters_1x + 1,  # Never: tools/test.py compares the stages.
)
# MMDetection's.
warm_up = dict(
    type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500
)
rate_drops = dict(
    _base_.drops_to_a_tenth,
    milestones=[iters_1x * 7 // 10, iters_1x * 9 // 10],
)
param_scheduler = [warm_up, rate_drops]
