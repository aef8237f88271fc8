r"""Control of the small setting: co-35 alone, for the student's schedule.

Paper: section 5, number of iterations: a longer schedule without more data
    overfits, for keypoints (at second hand). For boxes it is not in the paper.
Command (EXP as in teacher.py):
    bash tools/dist_train.sh configs/$EXP/supervised_long.py 8
Time and result: not run.
"""

_base_ = './teacher.py'

# co-35 and co-80 together are co-115: as many iterations as 1x.
max_iters = _base_.iters_1x
train_cfg = dict(max_iters=max_iters, val_begin=max_iters + 1)
param_scheduler = [_base_.warm_up, _base_.rate_drops]
