"""With loops that start the workers before any hook, as in MMEngine 0.10."""

import random
from types import SimpleNamespace

import pytest
from mmengine.dataset import InfiniteSampler, pseudo_collate
from mmengine.logging import MessageHub
from torch.utils.data import DataLoader, Dataset

from projects.data_distillation.training.late_loading import LateIterator
from projects.data_distillation.training.resume import ResumeHook


class Numbers(Dataset):
    """Samples that say how many were loaded, and with which random numbers."""

    def __init__(self) -> None:
        self.count = 0

    def __len__(self):
        return 20

    def __getitem__(self, index):
        self.count += 1
        return index, random.random(), self.count


class EarlyIterator:
    """The iterator of MMEngine 0.10.7."""

    def __init__(self, loader):
        self.batches = iter(loader)

    def __next__(self):
        return next(self.batches)


def load(begin: int, name: str, **workers) -> list:
    """Return the batches from an iteration on, as the loop loads them."""
    dataset = Numbers()
    # With no seed in the config, each run draws another one.
    sampler = InfiniteSampler(dataset, seed=begin)
    loader = DataLoader(
        dataset,
        batch_size=2,
        sampler=sampler,
        collate_fn=pseudo_collate,
        **workers,
    )
    loop = SimpleNamespace(
        dataloader=loader, dataloader_iterator=EarlyIterator(loader)
    )
    runner = SimpleNamespace(
        train_dataloader=loader,
        train_loop=loop,
        iter=begin,
        seed=0,
        message_hub=MessageHub.get_instance(name),
    )
    hook = ResumeHook()
    hook.before_train(runner)
    for _ in range(begin):
        next(loop.dataloader_iterator)
    batches = []
    for runner.iter in range(begin, 6):
        batches.append(next(loop.dataloader_iterator))
        hook.before_train_iter(runner, runner.iter)
    return batches


def without_count(batches: list) -> list:
    return [batch[:2] for batch in batches]


@pytest.mark.parametrize(
    'workers',
    [
        dict(num_workers=0),
        pytest.param(dict(num_workers=2), marks=pytest.mark.slow),
        pytest.param(
            dict(num_workers=2, persistent_workers=True),
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_resumed_training_gets_the_batches_that_are_left(workers):
    name = f'late {workers}'
    whole = without_count(load(0, name, **workers))

    resumed = load(3, name, **workers)

    assert without_count(resumed) == whole[3:]
    assert len({str(batch) for batch in whole}) == 6
    # Of the batches that are thrown away, each worker has loaded one sample.
    assert max(count for batch in resumed for count in batch[2]) <= 7


def test_batches_are_those_of_the_loader_from_when_they_are_wanted():
    begun = []

    def start(loader):
        begun.append(loader)
        return iter(loader)

    late = LateIterator(DataLoader([1, 2, 3]), start)

    assert begun == []
    assert [int(batch) for batch in late] == [1, 2, 3]
    assert len(begun) == 1
