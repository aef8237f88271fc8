"""Soft Teacher on BCCD, which begins with the teacher of configs/bccd.

As many images go forward and backward as in teacher and student of
configs/bccd: 400 iterations of the teacher, and 800 of 4 images here. The
labeled images, their augmentation and the detector are the same.

Paper: none; Soft Teacher is arXiv 2106.09018. The burn-in is that of Unbiased
    Teacher, arXiv 2102.09480.
Command: python tools/train.py configs/peers/bccd_soft_teacher/burn_in.py
Time: see docs/results.md.
Result: see docs/results.md.
"""

_base_ = [
    '../../bccd/supervised_long.py',
    '../../_base_/stages/soft_teacher.py',
]

# Both models of Soft Teacher begin with it.
teacher = 'work_dirs/bccd/teacher/iter_400.pth'
init_cfg = dict(type='Pretrained', checkpoint=teacher)
detector = dict(_base_.model, init_cfg=init_cfg)
preprocessor = dict(data_preprocessor=detector['data_preprocessor'])
model = dict(
    _base_.soft_teacher,
    detector=detector,
    data_preprocessor=dict(_base_.multi_branch, **preprocessor),
)

labeled_pipeline = [*_base_.augmented, _base_.pack_labeled]
moved = [_base_.random_resize, _base_.random_flip]
both = dict(
    _base_.branches,
    unsup_teacher=[*moved, _base_.pack_with_homography],
    unsup_student=[*moved, _base_.strong, _base_.pack_with_homography],
)
unlabeled_pipeline = [_base_.load, dict(type='LoadEmptyAnnotations'), both]
# CocoDataset wants categories, which unlabeled.json lacks. No object is read.
unlabeled = dict(
    _base_.labeled,
    type='CocoDataset',
    ann_file=_base_.truth['ann_file'],
    pipeline=unlabeled_pipeline,
)
sources = [dict(_base_.labeled, pipeline=labeled_pipeline), unlabeled]
train_dataloader = dict(
    sampler=_base_.semi_sampler,
    dataset=dict(_base_.concatenated, datasets=sources),
)
val_cfg = dict(_delete_=True, type='TeacherStudentValLoop')
custom_hooks = [_base_.mean_teacher]
