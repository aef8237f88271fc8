r"""Oracle of the small setting: co-35 and co-80 with all their labels.

Images and schedule are those of the large setting's teacher.

Paper: section 6, object detection, small-scale data; its upper bound.
Command (EXP as in teacher.py):
    bash tools/dist_train.sh configs/$EXP/oracle.py 8
Time and result: not run.
"""

_base_ = './supervised_long.py'

union = dict(type='ConcatDataset', datasets=[_base_.labeled, _base_.co_80])
train_dataloader = dict(dataset=dict(_delete_=True, **union))
