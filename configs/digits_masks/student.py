"""Student: labeled and pseudo-labeled images at 3:7, with masks.

Run annotate.py first.

Paper: section 4, retraining.
Command: python tools/train.py configs/digits_masks/student.py
Time: about twice that of teacher.py.
Result: not run since masks are resized exactly (docs/results.md).
"""

_base_ = ['./supervised_long.py', '../_base_/stages/student.py']

pseudo_labeled = dict(
    _base_.pseudo_labeled,
    ann_file='work_dirs/digits_masks/annotate/pseudo_labels.json',
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[_base_.labeled, pseudo_labeled],
    ),
    # As configs/digits.
    sampler=dict(_base_.ratio_sampler, ratio=[3, 7]),
)
