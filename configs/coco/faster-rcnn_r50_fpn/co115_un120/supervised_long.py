r"""Control of the large setting: co-115 alone, for the student's schedule.

Paper: section 5, number of iterations: a longer schedule without more data
overfits, for keypoints. Run alone, on 8 GPUs (all stages: see teacher.py):

    EXP=coco/faster-rcnn_r50_fpn/co115_un120
    bash tools/dist_train.sh configs/$EXP/supervised_long.py 8 \
        --work-dir work_dirs/$EXP/supervised_long

Time, result: not run here; for boxes not in the paper.
"""

_base_ = './teacher.py'

# As often over every image as 1x goes over co-115: 183,892.
max_iters = (
    _base_.iters_1x
    * (_base_.num_images.co_115 + _base_.num_images.un_120)
    // _base_.num_images.co_115
)
train_cfg = dict(max_iters=max_iters, val_begin=max_iters + 1)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
    ),
]
