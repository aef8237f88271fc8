"""BCCD at 256x192, with augmentations that suit stained blood cells."""

_base_ = './bccd.py'

test_scale = (256, 192)
train_pipeline = [
    _base_.load,
    _base_.load_labels,
    dict(_base_.random_resize, scale=test_scale),
    # Their color tells platelets apart, and PhotoMetricDistortion swaps
    # channels.
    dict(type='YOLOXHSVRandomAug'),
    # Cells have no upright position: the three flips and none, equally often.
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    _base_.pack,
]
resize = dict(_base_.resize, scale=test_scale)
test_pipeline = [_base_.load, resize, _base_.pack_for_test]

labeled = dict(pipeline=train_pipeline)
pseudo_labeled = labeled
truth = labeled
train_dataloader = dict(dataset=labeled)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
