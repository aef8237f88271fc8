"""Oracle on BCCD: all 292 images with their true labels, the upper bound.

Paper: table 1a (unverified).
Command: python tools/train.py configs/bccd_gfl_tiny/oracle.py
Time: 7 min on one core of a busy Xeon.
Result: 50.5, 49.6, 50.9 mAP on the 72 validation images (splits 0, 1, 2).
"""

_base_ = './supervised_long.py'

union = dict(type='ConcatDataset', datasets=[_base_.labeled, _base_.truth])
train_dataloader = dict(dataset=dict(_delete_=True, **union))
