r"""Student of the small setting: co-35 and the pseudo labels of co-80.

Paper: section 6, object detection, small-scale data. Section 4 has the ratio
    of 6:4.
Command (EXP as in teacher.py):
    bash tools/dist_train.sh configs/$EXP/student.py 8
Time and result: not run.
"""

_base_ = ['./supervised_long.py', '../../../_base_/stages/student.py']

experiment = 'work_dirs/coco/faster-rcnn_r50_fpn/co35_co80/'
pseudo_labels = experiment + 'annotate/pseudo_labels.json'
sources = [_base_.labeled, dict(_base_.pseudo_labeled, ann_file=pseudo_labels)]
union = dict(_base_.concatenated, datasets=sources)
train_dataloader = dict(sampler=_base_.ratio_sampler, dataset=union)
