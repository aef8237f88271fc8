"""BCCD blood cells: 5 labeled images, 287 without labels, 72 held out.

The three parts of train.json are written by

    python tools/split_coco.py data/bccd/annotations/train.json --count 5

The photographs, 640x480, are resized to half their size.
"""

# `export BCCD_ROOT=/elsewhere/` overrides it for every stage.
data_root = '{{$BCCD_ROOT:data/bccd/}}'
metainfo = dict(classes=('RBC', 'WBC', 'Platelets'))
test_scale = (320, 240)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    # The scales of the views (bccd/annotate.py) lie within this range.
    dict(
        type='RandomResize',
        scale=test_scale,
        ratio_range=(0.7, 1.3),
        keep_ratio=True,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=test_scale, keep_ratio=True),
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
    data_prefix=dict(img='images/'),
    metainfo=metainfo,
    pipeline=train_pipeline,
)
unlabeled = dict(
    type='UnlabeledDataset',
    data_root=data_root,
    ann_file='annotations/unlabeled.json',
    data_prefix=dict(img='images/'),
    metainfo=metainfo,
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'),
        ),
    ],
)
# To compare with; remove it where the truth is not known.
unlabeled_truth = data_root + 'annotations/unlabeled_truth.json'
held_out = dict(
    ann_file=data_root + 'annotations/test.json',
    img_prefix=data_root + 'images/',
)

train_dataloader = dict(
    batch_size=4,
    num_workers=0,  # Reading takes 3 % of a step of the small detector.
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=labeled,
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        labeled,
        ann_file='annotations/test.json',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/test.json',
    metric='bbox',
    classwise=True,
)
test_cfg = dict(type='TestLoop')
