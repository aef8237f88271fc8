"""BCCD blood cells: 5 labeled images, 287 without labels, 72 held out.

The three parts of train.json are written by

    python tools/split_coco.py data/bccd/annotations/train.json --count 5

The photographs, 640x480, are resized to half their size.
"""

_base_ = './transforms.py'

# `export BCCD_ROOT=/elsewhere/` overrides it for every stage.
data_root = '{{$BCCD_ROOT:data/bccd/}}'
metainfo = dict(classes=('RBC', 'WBC', 'Platelets'))
test_scale = (320, 240)

resize = dict(type='Resize', scale=test_scale, keep_ratio=True)
# The scales of the views (bccd/annotate.py) lie within this range.
random_resize = dict(
    type='RandomResize',
    scale=test_scale,
    ratio_range=(0.7, 1.3),
    keep_ratio=True,
)
random_flip = dict(type='RandomFlip', prob=0.5)
distort = dict(type='PhotoMetricDistortion')
train_pipeline = [
    _base_.load,
    _base_.load_labels,
    random_resize,
    random_flip,
    distort,
    _base_.pack,
]
test_pipeline = [_base_.load, resize, _base_.pack_for_test]

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
    pipeline=[_base_.load, _base_.pack_unlabeled],
)
val_images = dict(
    ann_file='annotations/test.json', data_prefix=dict(img='images/')
)

# The unlabeled images with the teacher's labels: student.py names the file.
pseudo_labeled = dict(
    labeled,
    data_root='',
    ann_file='',
    data_prefix=dict(img=data_root + 'images/'),
)
# The unlabeled images with their true labels. Only the oracle trains on them.
truth = dict(labeled, ann_file='annotations/unlabeled_truth.json')
# The same file, to compare the pseudo labels with. Remove it where the truth
# is not known.
unlabeled_truth = data_root + 'annotations/unlabeled_truth.json'

# What annotation knows of other images: how many objects the labeled ones
# have, and which ones must not be among the unlabeled ones.
known_images = dict(
    labeled=dict(
        ann_file=data_root + 'annotations/labeled.json',
        img_prefix=data_root + 'images/',
    ),
    held_out=[
        dict(
            ann_file=data_root + 'annotations/test.json',
            img_prefix=data_root + 'images/',
        )
    ],
)

train_dataloader = dict(
    batch_size=4,  # The largest that fits the 5 labeled images.
    num_workers=0,  # Reading takes 3 % of a step of the small detector.
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=labeled,
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        labeled, **val_images, test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/test.json',
    metric='bbox',
    classwise=True,
)
test_evaluator = val_evaluator
