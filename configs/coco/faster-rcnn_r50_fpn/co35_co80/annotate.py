r"""Pseudo labels of the small setting: co-80 by the teacher of co-35.

Paper: sections 3 and 6; the 18 views are those of section 4. Run alone, on
8 GPUs (all stages: see teacher.py):

    EXP=coco/faster-rcnn_r50_fpn/co35_co80
    bash tools/dist_test.sh configs/$EXP/annotate.py \
        work_dirs/$EXP/teacher/iter_27013.pth 8 \
        --work-dir work_dirs/$EXP/annotate

Time, result: not run here.
"""

_base_ = ['./teacher.py', '../../views.py']

model = dict(
    _delete_=True,
    type='MultiViewTTA',
    module=_base_.model,
    views=_base_.views,
    merger=_base_.merger,
)
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    pin_memory=True,
    sampler=dict(_delete_=True, type='PendingSampler'),
    dataset=dict(_delete_=True, **_base_.unlabeled),
)
test_evaluator = []
unlabeled_truth = _base_.data_root + 'annotations/instances_train2014.json'
custom_hooks = [
    dict(
        type='AnnotationHook',
        labeled=dict(
            ann_file=_base_.data_root + _base_.labeled.ann_file,
            img_prefix=_base_.data_root + _base_.labeled.data_prefix.img,
        ),
        held_out=[_base_.held_out],
        selection=dict(selector=dict(type='MatchedSelector', per_class=True)),
    )
]
