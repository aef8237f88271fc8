"""Oracle on BCCD: all 292 images with their true labels, the upper bound.

Paper: table 1a (unverified).
Command: python tools/train.py configs/bccd/oracle.py
Time: 8 min on one core of a Xeon.
Result: 50.8 mAP on the 72 validation images (seed 0).
"""

_base_ = './supervised_long.py'

union = dict(type='ConcatDataset', datasets=[_base_.labeled, _base_.truth])
train_dataloader = dict(dataset=dict(_delete_=True, **union))
