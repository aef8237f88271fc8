"""Student of plain self-training on BCCD, with strong augmentation.

Detector, labeled images, schedule and ratio are those of configs/bccd.

Paper: none; STAC is arXiv 2005.04757.
Command: python tools/train.py configs/peers/bccd_self_training/student.py
Time: see docs/results.md.
Result: see docs/results.md.
"""

_base_ = '../../bccd/student.py'

pseudo_labels = (
    'work_dirs/peers/bccd_self_training/annotate/pseudo_labels.json'
)
strong = dict(type='StrongAugmentation')
pipeline = [*_base_.augmented, strong, _base_.pack]
sources = [
    _base_.labeled,
    dict(_base_.pseudo_labeled, ann_file=pseudo_labels, pipeline=pipeline),
]
train_dataloader = dict(dataset=dict(datasets=sources))
