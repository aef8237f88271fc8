"""The augmentation that a detector's config brings along is named."""

import pytest

from projects.data_distillation.base_configs.augmentation import (
    describe_augmentation,
    list_flips,
)

FLIP = dict(type='RandomFlip', prob=0.5)
ALL = dict(
    type='mmdet.RandomFlip',
    prob=[0.2, 0.2, 0.2],
    direction=['horizontal', 'vertical', 'diagonal'],
)


@pytest.mark.parametrize(
    ('transform', 'directions'),
    [
        (FLIP, ['horizontal']),
        (dict(FLIP, direction='vertical'), ['vertical']),
        (ALL, ['horizontal', 'vertical', 'diagonal']),
        (dict(FLIP, prob=0), []),
        (dict(type='Resize'), []),
    ],
)
def test_directions_are_those_of_flips(transform, directions):
    assert list_flips(transform) == directions


def test_augmentations_are_named_in_order():
    transforms = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.PhotoMetricDistortion'),
        FLIP,
        dict(type='Mosaic'),
        dict(type='PackDetInputs'),
    ]

    assert list(describe_augmentation(transforms)) == [
        'PhotoMetricDistortion, RandomFlip (horizontal), Mosaic'
    ]
    assert list(describe_augmentation(transforms[:1])) == ['none']


def test_flips_that_suit_few_photographs_are_warned_of():
    _, advice = describe_augmentation([ALL])

    assert advice.startswith('vertical and diagonal flips suit what has no ')
    _, advice = describe_augmentation([dict(FLIP, direction='vertical')])
    assert advice.startswith('vertical flips ')
