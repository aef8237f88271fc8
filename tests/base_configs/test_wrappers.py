"""The dataset of a detector's config, inside its wrappers."""

import pytest

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
)
from projects.data_distillation.base_configs.wrappers import Dataset

COCO = dict(
    type='CocoDataset',
    ann_file='a.json',
    pipeline=[dict(type='LoadImageFromFile')],
    filter_cfg=dict(filter_empty_gt=True),
)
MIX = dict(pipeline=[dict(type='Mosaic')], skip_type_keys=['MixUp'])


def repeat(dataset: dict, times: int) -> dict:
    return dict(type='mmengine.RepeatDataset', times=times, dataset=dataset)


def concat(*datasets: dict) -> dict:
    return dict(type='ConcatDataset', datasets=list(datasets))


def mix(dataset: dict) -> dict:
    return dict(type='MultiImageMixDataset', dataset=dataset, **MIX)


def balance(dataset: dict) -> dict:
    return dict(
        type='ClassBalancedDataset', oversample_thr=0.3, dataset=dataset
    )


@pytest.mark.parametrize(
    ('config', 'path', 'times', 'num_parts'),
    [
        (COCO, '', 1, 1),
        (repeat(COCO, 5), '.dataset', 5, 1),
        (repeat(repeat(COCO, 5), 2), '.dataset.dataset', 10, 1),
        (concat(COCO, COCO), '.datasets[0]', 1, 2),
        (repeat(concat(COCO, COCO), 3), '.dataset.datasets[0]', 3, 2),
        (
            concat(repeat(COCO, 3), repeat(COCO, 3)),
            '.datasets[0].dataset',
            3,
            2,
        ),
        (concat(COCO, concat(COCO, COCO)), '.datasets[0]', 1, 3),
        (mix(repeat(COCO, 4)), '.dataset.dataset', 4, 1),
        (repeat(mix(COCO), 4), '.dataset.dataset', 4, 1),
    ],
)
def test_dataset_is_found_with_how_often_an_epoch_goes_through_it(
    config, path, times, num_parts
):
    found = Dataset.of(config, 'train_dataloader.dataset')

    assert found.config == COCO
    assert found.path == f'train_dataloader.dataset{path}'
    assert (found.times, found.num_parts) == (times, num_parts)


@pytest.mark.parametrize(
    ('config', 'path', 'num_wrappers'),
    [
        (balance(COCO), 'd.dataset', 1),
        (repeat(balance(COCO), 2), 'd.dataset.dataset', 1),
        (mix(balance(COCO)), 'd.dataset.dataset', 2),
        (concat(balance(COCO), balance(COCO)), 'd.datasets[0].dataset', 1),
    ],
)
def test_balance_of_classes_is_kept(config, path, num_wrappers):
    found = Dataset.of(config, 'd')

    assert (found.path, found.config) == (path, COCO)
    assert found.oversample_thr == 0.3
    assert found.num_wrappers == num_wrappers
    wrapped = found.wrap({'type': 'Mine'}, lambda: MIX['pipeline'])
    if num_wrappers == 2:
        assert wrapped == {**mix(balance({'type': 'Mine'}))}
    else:
        assert wrapped == balance({'type': 'Mine'})


def test_settings_of_a_mix_are_kept():
    assert Dataset.of(mix(COCO), 'd').mix_settings == MIX
    assert Dataset.of(concat(mix(COCO), mix(COCO)), 'd').mix_settings == MIX
    assert Dataset.of(repeat(mix(COCO), 2), 'd').mix_path == 'd.dataset'


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (
            balance(repeat(COCO, 2)),
            'd is a ClassBalancedDataset around another wrapper',
        ),
        (concat(COCO, balance(COCO)), 'differ in `oversample_thr`'),
        (
            repeat(dict(type='own.Picked', dataset=COCO), 2),
            r'd\.dataset is a Picked, which',
        ),
        (dict(type='OwnConcat', datasets=[COCO]), 'd is a OwnConcat'),
        (mix(mix(COCO)), 'around another one'),
        (
            concat(COCO, repeat(COCO, 2)),
            r'd.datasets\[0\] and d.datasets\[1\].dataset differ in `times`',
        ),
        (concat(COCO, dict(COCO, pipeline=[])), 'differ in `pipeline`'),
        (concat(COCO, dict(COCO, filter_cfg=None)), 'differ in `filter_cfg`'),
        (concat(COCO, mix(COCO)), 'differ in their MultiImageMixDataset'),
        (concat(), 'd has no datasets'),
        (repeat(dict(type='CocoDataset'), 2), r'd.dataset must have a `pipe'),
        (dict(dataset=COCO), r"d must have a `type`, got \['dataset'\]"),
        (dict(type='RepeatDataset', dataset=COCO), 'must have a `times`'),
        (
            dict(type='ClassBalancedDataset', dataset=COCO),
            'd must have a `oversample_thr`',
        ),
    ],
)
def test_wrapper_that_changes_the_training_is_refused_by_name(config, message):
    with pytest.raises(DetectorError, match=message):
        Dataset.of(config, '_base_.d')


def test_what_the_labeled_images_do_not_take_over_is_listed():
    config = dict(
        COCO,
        type='VOCDataset',
        data_prefix=dict(img='x/'),
        indices=100,
        backend_args=None,
        return_classes=True,
    )

    left_out = list(Dataset.of(concat(config, config), 'd').list_left_out())

    assert left_out == [
        'ConcatDataset of 2 datasets: the labeled images are one',
        'VOCDataset: the labeled images are a CheckedCocoDataset',
        'dataset.indices=100',
        'dataset.return_classes=True',
    ]
    assert not list(Dataset.of(COCO, 'd').list_left_out())
