r"""Student of the large setting: co-115 and the pseudo labels of un-120.

Paper: section 6, object detection, large-scale data: 37.9 mAP on minival (at
    second hand). Section 4 has the ratio of 6:4.
Command (EXP as in teacher.py):
    bash tools/dist_train.sh configs/$EXP/student.py 8
Time and result: not run.
"""

_base_ = ['./supervised_long.py', '../../../_base_/stages/student.py']

experiment = 'work_dirs/coco/faster-rcnn_r50_fpn/co115_un120/'
pseudo_labeled = dict(
    _base_.pseudo_labeled, ann_file=experiment + 'annotate/pseudo_labels.json'
)
union = dict(type='ConcatDataset', datasets=[_base_.labeled, pseudo_labeled])
train_dataloader = dict(
    sampler=_base_.ratio_sampler, dataset=dict(_delete_=True, **union)
)
