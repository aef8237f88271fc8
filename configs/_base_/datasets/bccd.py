"""BCCD blood cells: 5 labeled images, 287 unlabeled, 72 for validation.

The three parts of train.json are written by

    python tools/split_coco.py data/bccd/annotations/train.json --count 5

The photographs, 640x480, are resized to half their size.
"""

_base_ = './parts.py'

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
# MMDetection's, for COCO.
random_flip = dict(type='RandomFlip', prob=0.5)
distort = dict(type='PhotoMetricDistortion')
augmented = [
    _base_.load,
    _base_.load_labels,
    random_resize,
    random_flip,
    distort,
]
train_pipeline = [*augmented, _base_.pack]
test_pipeline = [_base_.load, resize, _base_.pack_for_test]

of_all = dict(
    data_root=data_root, metainfo=metainfo, data_prefix=dict(img='images/')
)
images = data_root + of_all['data_prefix']['img']
labeled = dict(_base_.labeled, **of_all, pipeline=train_pipeline)
unlabeled = dict(
    _base_.unlabeled,
    **of_all,
    pipeline=[_base_.load, _base_.pack_unlabeled],
)
unlabeled_images = dict(_delete_=True, **unlabeled)
val_images = dict(
    ann_file='annotations/test.json', data_prefix=of_all['data_prefix']
)
truth = dict(labeled, ann_file='annotations/unlabeled_truth.json')
pseudo_labeled = dict(
    labeled, data_root='', ann_file='', data_prefix=dict(img=images)
)
# To compare the pseudo labels with. Remove it where the truth is not known.
unlabeled_truth = data_root + truth['ann_file']

known_labeled = dict(
    labeled=dict(ann_file=data_root + labeled['ann_file'], img_prefix=images)
)
known_val = dict(
    ann_file=data_root + val_images['ann_file'], img_prefix=images
)
known_images = dict(known_labeled, held_out=[known_val])

val_evaluator = dict(ann_file=known_val['ann_file'])
test_evaluator = val_evaluator
train_dataloader = dict(
    batch_size=4,  # The largest that fits the 5 labeled images.
    sampler=dict(shuffle=True),
    dataset=labeled,
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(labeled, **val_images, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
