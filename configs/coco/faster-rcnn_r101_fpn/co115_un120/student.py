"""Student of the large setting, R-101.

Paper: section 6; a gain of 0.8 to 0.9 mAP over the teacher (at second hand).
Command: as the R-50 one, with EXP=coco/faster-rcnn_r101_fpn/co115_un120
Time and result: not run.
"""

_base_ = '../../faster-rcnn_r50_fpn/co115_un120/student.py'

model = dict(backbone=_base_.resnet_101)
experiment = 'work_dirs/coco/faster-rcnn_r101_fpn/co115_un120/'
pseudo_labels = experiment + 'annotate/pseudo_labels.json'
sources = [_base_.labeled, dict(_base_.pseudo_labeled, ann_file=pseudo_labels)]
train_dataloader = dict(dataset=dict(datasets=sources))
