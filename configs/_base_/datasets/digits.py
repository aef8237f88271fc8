"""The embedded digits, `python -m projects.data_distillation.digits`.

The stages train on the labeled images and evaluate on the validation images.
A stage that trains on something else replaces `train_dataloader.dataset`.
"""

_base_ = './transforms.py'

data_root = 'data/digits/'
metainfo = dict(classes=tuple('0123456789'))
side = 128  # Width and height of the images, in pixels (digits.Style.side).

train_pipeline = [
    _base_.load,
    _base_.load_labels,
    # The range of the views in annotate.py.
    dict(
        type='RandomResize',
        scale=(side, side),
        ratio_range=(0.75, 1.25),
        keep_ratio=True,
    ),
    dict(type='PhotoMetricDistortion'),
    _base_.pack,
]
test_pipeline = [
    _base_.load,
    dict(type='Resize', scale=(side, side), keep_ratio=True),
    _base_.load_labels,
    _base_.pack_for_test,
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
    pipeline=[_base_.load, _base_.pack_for_test],
)
val_images = dict(
    ann_file='annotations/val.json', data_prefix=dict(img='images/val/')
)

# The unlabeled images with the teacher's labels: student.py names the file.
pseudo_labeled = dict(
    labeled,
    data_root='',
    ann_file='',
    data_prefix=dict(img=data_root + 'images/unlabeled/'),
)
# The unlabeled images with their true labels. Only the oracle trains on them.
truth = dict(
    labeled,
    ann_file='annotations/unlabeled_truth.json',
    data_prefix=dict(img='images/unlabeled/'),
)
# The same file, to compare the pseudo labels with.
unlabeled_truth = data_root + 'annotations/unlabeled_truth.json'

# What annotation knows of other images: how many objects the labeled ones
# have, and which ones must not be among the unlabeled ones.
known_images = dict(
    labeled=dict(
        ann_file=data_root + 'annotations/labeled.json',
        img_prefix=data_root + 'images/labeled/',
    ),
    held_out=[
        dict(
            ann_file=data_root + 'annotations/val.json',
            img_prefix=data_root + 'images/val/',
        )
    ],
)

train_dataloader = dict(
    batch_size=8,
    num_workers=0,  # Images this small load faster than a process starts.
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=None,
    dataset=labeled,
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        labeled, **val_images, test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/val.json',
    metric='bbox',
    classwise=True,
)
test_evaluator = val_evaluator
