"""Labels the unlabeled digit images with the teacher (paper, section 3).

A view is a scale and nothing else: no digit is the mirror image of a digit,
so a flip would ask the teacher about signs that it has never seen. A larger
scale finds more of the small digits, a smaller one more of the large.

Command: python tools/test.py configs/digits/annotate.py TEACHER.pth
    --work-dir work_dirs/digits/annotate
"""

_base_ = './teacher.py'

side = _base_.side
model = dict(
    _delete_=True,
    type='MultiViewTTA',
    module=_base_.model,
    # Of the images' side: 3/4, 7/8, 1, 9/8, 5/4, all multiples of 16 pixels.
    views=[
        dict(scale=(side * n // 8, side * n // 8), flip=None)
        for n in (6, 7, 8, 9, 10)
    ],
    merger=dict(type='NMSMerger', iou_threshold=0.5, max_per_img=100),
)

test_dataloader = dict(
    sampler=dict(_delete_=True, type='PendingSampler'),
    dataset=dict(
        _delete_=True,
        type='UnlabeledDataset',
        data_root=_base_.data_root,
        ann_file='annotations/unlabeled.json',
        data_prefix=dict(img='images/unlabeled/'),
        metainfo=_base_.metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'),
            ),
        ],
    ),
)
test_evaluator = []
custom_hooks = [
    dict(
        type='AnnotationHook',
        labeled=dict(
            ann_file=_base_.data_root + 'annotations/labeled.json',
            img_prefix=_base_.data_root + 'images/labeled/',
        ),
        held_out=[
            dict(
                ann_file=_base_.data_root + 'annotations/val.json',
                img_prefix=_base_.data_root + 'images/val/',
            )
        ],
        selector=dict(type='MatchedSelector', per_class=True),
    )
]
