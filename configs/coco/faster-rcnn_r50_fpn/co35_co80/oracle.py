r"""Oracle of the small setting: co-35 and co-80 with all their labels.

Paper: section 6, object detection, small-scale data; its upper bound. Run
alone, on 8 GPUs (all stages: see teacher.py):

    EXP=coco/faster-rcnn_r50_fpn/co35_co80
    bash tools/dist_train.sh configs/$EXP/oracle.py 8 \
        --work-dir work_dirs/$EXP/oracle

Images and schedule are those of the large setting's teacher.
Time, result: not run here.
"""

_base_ = './supervised_long.py'

truth = dict(
    _base_.co_80, data_root=_base_.data_root, pipeline=_base_.train_pipeline
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='ConcatDataset', datasets=[_base_.labeled, truth]
    )
)
