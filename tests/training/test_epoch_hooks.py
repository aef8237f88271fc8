"""The hooks for detectors whose own configs count epochs."""

from types import SimpleNamespace

import pytest
import torch
from builders import CLASSES
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader, TensorDataset

from projects.data_distillation import (
    EpochHook,
    ResumeHook,
    SwitchPipelineHook,
)

pytestmark = pytest.mark.usefixtures('_scope')
LOAD = dict(type='LoadImageFromFile')
PACK = dict(type='PackDetInputs', meta_keys=('img_id', 'flip'))
FLIP = dict(type='RandomFlip', prob=1.0)
NO_FLIP = dict(type='RandomFlip', prob=0.0)


@pytest.fixture
def _scope():
    init_default_scope('mmdet')


def dataset_of(drawn, pipeline: list[dict]) -> dict:
    return dict(
        type='CheckedCocoDataset',
        ann_file=str(drawn.folder / 'truth.json'),
        data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
        metainfo=dict(classes=CLASSES),
        pipeline=pipeline,
    )


def union(drawn) -> dict:
    part = dataset_of(drawn, [LOAD, FLIP, PACK])
    return dict(type='ConcatDataset', datasets=[part, part])


def mixed(drawn) -> dict:
    part = dict(
        type='MultiImageMixDataset',
        dataset=dataset_of(drawn, [LOAD]),
        pipeline=[FLIP, PACK],
    )
    return dict(type='ConcatDataset', datasets=[part, part])


def flips(config: dict, hook, num_workers: int, begin: int = 0) -> list[bool]:
    """Whether the images of each batch were flipped."""
    loader = DataLoader(
        DATASETS.build(config),
        batch_size=2,
        num_workers=num_workers,
        collate_fn=pseudo_collate,
    )
    runner = SimpleNamespace(
        train_dataloader=loader,
        train_loop=None,
        iter=begin,
        seed=0,
        message_hub=MessageHub.get_instance('switching'),
        model=SimpleNamespace(bbox_head=SimpleNamespace(use_l1=False)),
    )
    resume = ResumeHook()
    resume.before_train(runner)
    hook.before_train(runner)
    found, batches = [], iter(loader)
    for runner.iter in range(begin, begin + 5):
        # The hook is called when the batch is there, and tells the next one.
        samples = next(batches)['data_samples']
        resume.before_train_iter(runner, runner.iter)
        hook.before_train_iter(runner, runner.iter)
        (flip,) = {sample.get('flip', False) for sample in samples}
        found.append(flip)
    assert runner.model.bbox_head.use_l1 == hook.use_l1
    return found


@pytest.mark.parametrize(
    'num_workers', [0, pytest.param(2, marks=pytest.mark.slow)]
)
def test_every_batch_has_the_pipeline_of_its_iteration(drawn, num_workers):
    hook = SwitchPipelineHook(3, pipeline=[LOAD, NO_FLIP, PACK])

    assert flips(union(drawn), hook, num_workers) == [True] * 3 + [False] * 2
    # Resumed just before, and long after.
    before, after = (
        flips(union(drawn), hook, num_workers, begin) for begin in (2, 4)
    )
    assert before == [True] + [False] * 4
    assert after == [False] * 5


def test_pipeline_is_that_of_the_iteration_if_classes_are_balanced(drawn):
    hook = SwitchPipelineHook(3, pipeline=[LOAD, NO_FLIP, PACK])
    balanced = dict(
        type='ClassBalancedDataset',
        oversample_thr=4.0,  # each image twice
        dataset=dataset_of(drawn, [LOAD, FLIP, PACK]),
    )

    assert flips(balanced, hook, 0) == [True] * 3 + [False] * 2


@pytest.mark.parametrize('make', [dataset_of, mixed])
def test_repeated_images_have_the_pipeline_of_their_iteration(drawn, make):
    hook = SwitchPipelineHook(
        3, pipeline=[LOAD, NO_FLIP, PACK], skip_types=['RandomFlip']
    )
    inner = mixed(drawn) if make is mixed else make(drawn, [LOAD, FLIP, PACK])
    repeated = dict(type='RepeatDataset', times=2, dataset=inner)

    assert flips(repeated, hook, 0) == [True] * 3 + [False] * 2


def test_mixed_images_skip_what_they_skipped_before(drawn):
    hook = SwitchPipelineHook(3, pipeline=[LOAD, NO_FLIP, PACK])
    images = mixed(drawn)
    for part in images['datasets']:
        part['skip_type_keys'] = ['RandomFlip']

    assert flips(images, hook, 0) == [False] * 5


def test_data_set_without_a_pipeline_is_refused(drawn):
    dataset = TensorDataset(torch.zeros(4, 1))
    runner = SimpleNamespace(
        train_dataloader=DataLoader(dataset),
        train_loop=None,
        iter=0,
        seed=0,
        message_hub=MessageHub.get_instance('switching'),
    )
    ResumeHook().before_train(runner)

    with pytest.raises(TypeError, match='got a TensorDataset'):
        SwitchPipelineHook(3, pipeline=[]).before_train(runner)


def test_mosaics_are_left_out_and_the_l1_loss_is_added(drawn):
    hook = SwitchPipelineHook(3, skip_types=['RandomFlip'], use_l1=True)

    assert flips(mixed(drawn), hook, 0) == [True] * 3 + [False] * 2


def test_l1_loss_is_added_from_its_iteration_on_with_several_processes():
    hook = SwitchPipelineHook(3, skip_types=['Mosaic'], use_l1=True)
    head = torch.nn.Identity()
    detector = torch.nn.Module()
    detector.bbox_head = head
    # As MMEngine wraps a model then.
    runner = SimpleNamespace(model=torch.nn.DataParallel(detector), iter=2)
    hook.before_train_iter(runner, 0)
    assert not hasattr(head, 'use_l1')
    runner.iter = 3

    hook.before_train_iter(runner, 0)

    assert head.use_l1


def test_hook_that_would_do_nothing_is_refused():
    with pytest.raises(ValueError, match='needs a pipeline or skip_types'):
        SwitchPipelineHook(3)


def test_resume_hook_is_needed(drawn):
    dataset = DATASETS.build(union(drawn))
    runner = SimpleNamespace(train_dataloader=DataLoader(dataset))

    with pytest.raises(TypeError, match='needs the ResumeHook'):
        SwitchPipelineHook(3, pipeline=[]).before_train(runner)


@pytest.mark.parametrize(
    ('max_iters', 'expected'),
    [(12, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]), (2, [0, 1])],
)
def test_epochs_share_the_iterations(max_iters, expected):
    hub = MessageHub.get_instance('epochs')
    runner = SimpleNamespace(message_hub=hub, max_iters=max_iters)
    hook, found = EpochHook(max_epochs=3), []

    for runner.iter in range(max_iters):
        hook.before_train_iter(runner, runner.iter)
        found.append(hub.get_info('epoch'))

    assert found == expected


def test_no_epoch_is_refused():
    with pytest.raises(
        ValueError, match='max_epochs must be an integer of at least 1, got'
    ):
        EpochHook(max_epochs=0)
