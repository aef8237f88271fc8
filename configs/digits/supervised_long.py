"""Control"""

_base_ = './teacher.py'

# Found by trial: the oracle still gains from more, the teacher hardly.
max_iters = 2 * _base_.max_iters
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
    ),
]
