r"""Pseudo labels of the small setting: co-80 by the teacher of co-35.

Paper: sections 3, 4 (the 18 views) and 6 (box voting). Views and voting are
    known at second hand.
Command (EXP as in teacher.py):
    bash tools/dist_test.sh configs/$EXP/annotate.py \
        work_dirs/$EXP/teacher/iter_27013.pth 8
Time and result: not run.
"""

_base_ = ['./teacher.py', '../../annotation.py']

model = dict(_base_.paper_views, module=_base_.model)
test_dataloader = dict(_base_.loader, dataset=_base_.unlabeled_images)
test_evaluator = []
custom_hooks = [dict(_base_.annotation_hook, **_base_.known_images)]
unlabeled_truth = _base_.data_root + _base_.co_80.ann_file
