r"""Student of the large setting: co-115 and the pseudo labels of un-120.

Paper: section 6, object detection, large-scale data; section 4 for the ratio
of 6:4. Run alone, on 8 GPUs (all stages: see teacher.py):

    EXP=coco/faster-rcnn_r50_fpn/co115_un120
    bash tools/dist_train.sh configs/$EXP/student.py 8 \
        --work-dir work_dirs/$EXP/student

Time, result: not run here. The paper reports 37.9 mAP on
minival.
"""

_base_ = './supervised_long.py'

pseudo_labeled = dict(
    _base_.labeled,
    data_root='',
    ann_file=_base_.experiment + 'annotate/pseudo_labels.json',
    data_prefix=dict(img=_base_.data_root + _base_.unlabeled.data_prefix.img),
    filter_cfg=dict(filter_empty_gt=False),
)
train_dataloader = dict(
    sampler=dict(_delete_=True, type='SourceRatioSampler', ratio=[6, 4]),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[_base_.labeled, pseudo_labeled],
    ),
)
# Acts if annotate.py was told to mark doubtful regions (`ignore`).
custom_hooks = [dict(type='IgnoreRegionsHook')]
