"""Oracle: the true labels of all images, the upper bound.

Paper: table 1a (unverified), with masks.
Command: python tools/train.py configs/digits_masks/oracle.py
Time: not measured.
Result: not measured with this schedule.
"""

_base_ = './supervised_long.py'

union = dict(type='ConcatDataset', datasets=[_base_.labeled, _base_.truth])
train_dataloader = dict(dataset=dict(_delete_=True, **union))
