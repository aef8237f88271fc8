"""Starts the workers of a training when its first batch is wanted."""

from collections.abc import Callable, Iterator
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.runner import Runner
from torch.utils.data import DataLoader


class LateIterator:
    """The batches of a data loader, whose workers start with the first one.

    Args:
        loader: The data loader.
        start: Makes the iterator of the batches.
    """

    def __init__(
        self, loader: DataLoader, start: Callable[[DataLoader], Iterator]
    ) -> None:
        self.loader = loader
        self.start = start
        self.batches: Iterator | None = None

    def __iter__(self) -> 'LateIterator':
        """Return this iterator itself.

        Returns:
            This object; it yields each batch once.
        """
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - what the loader collates
        """Load the next batch.

        Returns:
            The batch.

        Raises:
            StopIteration: If the loader has no more.
        """
        if self.batches is None:
            self.batches = self.start(self.loader)
        return next(self.batches)


def start_late(runner: Runner) -> bool:
    """Let the workers of a training start after `before_train`.

    Up to version 0.10, MMEngine starts them before any hook runs. What hooks
    change in the dataset and in the sampler does not reach them. Later
    versions start them late, and pass over the batches of a resumed training
    in the sampler.

    Args:
        runner: The runner of the training, in `before_train`. Its loop and its
            sampler are changed in place.

    Returns:
        Whether the loop loads all batches from the first one, also if it
        resumes, and throws away those that it has trained on.
    """
    loop = runner.train_loop
    early = getattr(loop, 'dataloader_iterator', None)
    if early is None or hasattr(early, 'skip_iter'):
        return False
    loader = loop.dataloader
    # Persistent workers would go on, with the dataset that they were given.
    loader._iterator = None
    sampler = loader.batch_sampler.sampler
    if isinstance(sampler, InfiniteSampler):
        # The workers have drawn from it.
        sampler.indices = sampler._indices_of_rank()
    loop.dataloader_iterator = LateIterator(loader, type(early))
    return True
