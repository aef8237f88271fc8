"""The embedded digits, `python -m projects.data_distillation.digits`.

The stages train on the labeled images and evaluate on the validation images.
A stage that trains on something else replaces `train_dataloader.dataset`.
"""

_base_ = './parts.py'

data_root = 'data/digits/'
metainfo = dict(classes=tuple('0123456789'))
side = 128  # Width and height of the images, in pixels (digits.Style.side).

train_pipeline = [
    _base_.load,
    _base_.load_labels,
    dict(
        type='RandomResize',
        scale=(side, side),
        ratio_range=(0.75, 1.25),  # That of the views below.
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

# For annotation: 3/4, 7/8, 1, 9/8 and 5/4 of the side, all multiples of 16.
views = [
    [dict(type='Resize', scale=(side * n // 8,) * 2)] for n in (6, 7, 8, 9, 10)
]

of_all = dict(data_root=data_root, metainfo=metainfo)
labeled = dict(
    _base_.labeled,
    **of_all,
    data_prefix=dict(img='images/labeled/'),
    pipeline=train_pipeline,
)
unlabeled = dict(
    _base_.unlabeled,
    **of_all,
    data_prefix=dict(img='images/unlabeled/'),
    pipeline=[_base_.load, _base_.pack_for_test],
)
unlabeled_images = dict(_delete_=True, **unlabeled)
val_images = dict(
    ann_file='annotations/val.json', data_prefix=dict(img='images/val/')
)
truth = dict(
    labeled,
    ann_file='annotations/unlabeled_truth.json',
    data_prefix=unlabeled['data_prefix'],
)
pseudo_labeled = dict(
    labeled,
    data_root='',
    ann_file='',
    data_prefix=dict(img=data_root + 'images/unlabeled/'),
)
# To compare the pseudo labels with.
unlabeled_truth = data_root + truth['ann_file']

known_labeled = dict(
    labeled=dict(
        ann_file=data_root + labeled['ann_file'],
        img_prefix=data_root + 'images/labeled/',
    )
)
known_val = dict(
    ann_file=data_root + val_images['ann_file'],
    img_prefix=data_root + 'images/val/',
)
known_images = dict(known_labeled, held_out=[known_val])

val_evaluator = dict(ann_file=known_val['ann_file'])
test_evaluator = val_evaluator
# The schedule was found by trial with it: 160 passes over 30 images.
train_dataloader = dict(batch_size=8, dataset=labeled)
val_dataloader = dict(
    batch_size=8,  # All images are of one size, so that none is padded.
    drop_last=False,
    dataset=dict(labeled, **val_images, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
