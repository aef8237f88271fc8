"""BCCD at 256x192, with augmentations that suit stained blood cells."""

_base_ = './bccd.py'

test_scale = (256, 192)
load, load_labels, resize, _, _, pack = _base_.train_pipeline
train_pipeline = [
    load,
    load_labels,
    dict(resize, scale=test_scale),
    # Their color tells platelets apart, and PhotoMetricDistortion swaps
    # channels.
    dict(type='YOLOXHSVRandomAug'),
    # Cells have no upright position.
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    pack,
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_scale

labeled = dict(pipeline=train_pipeline)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
