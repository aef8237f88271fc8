"""The augmentation that a detector's config brings along is named."""

import pytest
from mmengine.config import Config

from projects.data_distillation.base_configs.augmentation import (
    describe_augmentation,
    list_flips,
)
from projects.data_distillation.base_configs.wrappers import Dataset

FLIP = dict(type='RandomFlip', prob=0.5)
ALL = dict(
    type='mmdet.RandomFlip',
    prob=[0.2, 0.2, 0.2],
    direction=['horizontal', 'vertical', 'diagonal'],
)


def make_dataset(pipeline: list[dict]) -> Dataset:
    config = dict(type='CocoDataset', pipeline=pipeline)
    return Dataset.of(config, 'train_dataloader.dataset')


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

    described = describe_augmentation(make_dataset(transforms))
    assert list(described) == [
        'PhotoMetricDistortion, RandomFlip (horizontal), Mosaic'
    ]
    nothing = describe_augmentation(make_dataset(transforms[:1]))
    assert list(nothing) == ['none']


def test_flips_that_suit_few_photographs_are_warned_of():
    _, advice, _ = describe_augmentation(make_dataset([ALL]))
    assert advice.startswith('vertical and diagonal flips suit what has no ')

    up = dict(FLIP, direction='vertical')
    _, advice, _ = describe_augmentation(make_dataset([up]))
    assert advice.startswith('vertical flips ')


@pytest.mark.parametrize('wrapper', [None, 'balanced', 'mix'])
def test_line_to_write_leaves_horizontal_flips_only(tmp_path, wrapper):
    dataset = dict(type='CocoDataset', pipeline=[dict(type='Resize'), ALL])
    if wrapper == 'balanced':
        dataset = dict(
            type='ClassBalancedDataset', oversample_thr=0.1, dataset=dataset
        )
    if wrapper == 'mix':
        dataset = dict(
            type='MultiImageMixDataset', dataset=dataset, pipeline=[ALL]
        )
    found = Dataset.of(dataset, '_base_.labeled')
    _, _, *lines = describe_augmentation(found)
    (tmp_path / 'base.py').write_text(f'labeled = {dataset!r}\n')
    text = '\n'.join(
        ["_base_ = './base.py'", 'labeled = _base_.labeled', *lines]
    )
    (tmp_path / 'teacher.py').write_text(text)

    cfg = Config.fromfile(tmp_path / 'teacher.py')

    mended = Dataset.of(cfg.labeled, 'labeled')
    before, after = (
        list(found.iter_transforms()),
        list(mended.iter_transforms()),
    )
    assert len(lines) == (2 if wrapper == 'mix' else 1)
    assert [t['type'] for t in after] == [t['type'] for t in before]
    flips = [t for t in after if t['type'] == ALL['type']]
    assert all(list_flips(flip) == ['horizontal'] for flip in flips)
    assert {flip.prob for flip in flips} == {0.5}
