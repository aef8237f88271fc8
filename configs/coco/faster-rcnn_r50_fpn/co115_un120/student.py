r"""Student of the large setting: co-115 and the pseudo labels of un-120.

Paper: section 6, object detection, large-scale data: 37.9 mAP on minival (at
    second hand). Section 4 has the ratio of 6:4.
Command (EXP as in teacher.py):
    bash tools/dist_train.sh configs/$EXP/student.py 8
Time and result: not run.
"""

_base_ = ['./supervised_long.py', '../../../_base_/stages/student.py']

experiment = 'work_dirs/coco/faster-rcnn_r50_fpn/co115_un120/'
pseudo_labels = experiment + 'annotate/pseudo_labels.json'
sources = [_base_.labeled, dict(_base_.pseudo_labeled, ann_file=pseudo_labels)]
union = dict(_base_.concatenated, datasets=sources)
train_dataloader = dict(sampler=_base_.ratio_sampler, dataset=union)
