"""The embedded digits, `python -m projects.data_distillation.digits`.

Trains on the labeled images and evaluates on the validation images; a stage
that trains on something else replaces `train_dataloader.dataset`.
"""

data_root = 'data/digits/'
metainfo = dict(classes=tuple('0123456789'))
side = 128  # Width and height of the images, in pixels (digits.Style.side).

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    # The range of the views in annotate.py.
    dict(
        type='RandomResize',
        scale=(side, side),
        ratio_range=(0.75, 1.25),
        keep_ratio=True,
    ),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(side, side), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
        ),
    ),
]

labeled = dict(
    type='CheckedCocoDataset',
    data_root=data_root,
    ann_file='annotations/labeled.json',
    data_prefix=dict(img='images/labeled/'),
    metainfo=metainfo,
    pipeline=train_pipeline,
)

unlabeled = dict(
    type='UnlabeledDataset',
    data_root=data_root,
    ann_file='annotations/unlabeled.json',
    data_prefix=dict(img='images/unlabeled/'),
    metainfo=metainfo,
    pipeline=[test_pipeline[0], test_pipeline[-1]],
)
# To compare with, not to train on (but by the oracle).
unlabeled_truth = data_root + 'annotations/unlabeled_truth.json'
held_out = dict(
    ann_file=data_root + 'annotations/val.json',
    img_prefix=data_root + 'images/val/',
)

train_dataloader = dict(
    batch_size=8,
    num_workers=0,  # Images this small load faster than a process starts.
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=None,
    dataset=labeled,
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CheckedCocoDataset',
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/val/'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/val.json',
    metric='bbox',
    classwise=True,
)
test_cfg = dict(type='TestLoop')
