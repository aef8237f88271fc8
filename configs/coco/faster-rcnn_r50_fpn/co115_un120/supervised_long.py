r"""Control of the large setting: co-115 alone, for the student's schedule.

Paper: section 5, number of iterations: a longer schedule without more data
    overfits, for keypoints (at second hand). For boxes it is not in the paper.
Command (EXP as in teacher.py):
    bash tools/dist_train.sh configs/$EXP/supervised_long.py 8
Time and result: not run.
"""

_base_ = './teacher.py'

# As often over every image as 1x goes over co-115: 183,892.
max_iters = (
    _base_.iters_1x
    * (_base_.num_images.co_115 + _base_.num_images.un_120)
    // _base_.num_images.co_115
)
train_cfg = dict(max_iters=max_iters, val_begin=max_iters + 1)
drops = dict(milestones=[max_iters * 7 // 10, max_iters * 9 // 10])
param_scheduler = [_base_.warm_up, dict(_base_.rate_drops, **drops)]
