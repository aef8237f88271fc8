"""DryRun: what a dry run of an annotation does in the little time it has."""

import math
import time
from collections.abc import Iterator

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ...multi_view.inference.tta import MultiViewTTA
from .progress import NUM_MEASURED

# No batch is begun after this time.
MAX_SECONDS = 15
# In the first batch, layers warm up.
NUM_BATCHES = 1 + NUM_MEASURED


class DryRun:
    """Chooses the views of each batch of a dry run, and ends it in time.

    All views of one image may take minutes. So the first batch is run with one
    view. The same batch again and those after it have one view too, until a
    batch with all views fits into the time that is left.

    Args:
        model: The model. Its `views` are changed until the dry run has ended.
        max_seconds: The time in seconds, counted from the first batch, after
            which no batch is begun; infinite to run all views of all batches.
    """

    def __init__(self, model: MultiViewTTA, max_seconds: float) -> None:
        self.model, self.views = model, model.views
        self.max_seconds = max_seconds
        if self.is_limited and self.views:
            # The one in the middle has about the mean number of pixels.
            model.views = [self.views[len(self.views) // 2]]

    @classmethod
    def begin(cls, runner: Runner) -> 'DryRun':
        """Shorten a test run to what is measured, without metrics.

        It has the first `NUM_BATCHES` batches of this process, and
        `dry_run_seconds` of the config as its time (`MAX_SECONDS` without).

        Args:
            runner: The runner. Its sampler, its loop, its evaluator and its
                model are changed.

        Returns:
            The dry run of this run.
        """
        loader = runner.test_dataloader
        loader.sampler.keep_first(NUM_BATCHES * (loader.batch_size or 1))
        # They would miss the images that are left out.
        runner.test_evaluator.metrics.clear()
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        # A rehearsal sets it.
        limit = runner.cfg.get('dry_run_seconds', MAX_SECONDS)
        dry_run = cls(model, limit)
        runner.test_loop.dataloader = LimitedBatches(loader, dry_run)
        return dry_run

    @property
    def is_limited(self) -> bool:
        """Whether the time is limited."""
        return math.isfinite(self.max_seconds)

    @property
    def share(self) -> float:
        """The share of the views that the model runs now, above 0, up to 1.

        It is 1 if the pipeline makes the views.
        """
        if not (self.views and self.model.views):
            return 1.0
        return len(self.model.views) / len(self.views)

    def limit(self, loader: DataLoader) -> Iterator:
        """Yield batches until the time is up; at least one if there is one.

        The `views` of the model change between two batches. At the end, all
        of them are there again.

        Args:
            loader: The data loader.

        Yields:
            Its batches, in order. The first one comes twice if the time is
            limited and the model makes the views.
        """
        end = math.inf
        try:
            for batch in self._list_batches(loader):
                begin = time.monotonic()
                # The workers of the loader may take long to start.
                end = min(end, begin + self.max_seconds)
                yield batch
                now = time.monotonic()
                if now >= end:
                    return
                # With all views, a batch takes 1 / share times as long.
                if now + (now - begin) / self.share <= end:
                    self.model.views = self.views
        finally:
            self.model.views = self.views

    def _list_batches(self, loader: DataLoader) -> Iterator:
        """Yield the batches; the first one twice if the time is limited."""
        for number, batch in enumerate(loader):
            if self.is_limited and self.views and not number:
                yield batch
            yield batch


class LimitedBatches:
    """The batches of a dry run, and what else a data loader has.

    Args:
        loader: The data loader.
        dry_run: The dry run.
    """

    def __init__(self, loader: DataLoader, dry_run: DryRun) -> None:
        self.loader, self.dry_run = loader, dry_run

    def __iter__(self) -> Iterator:
        """Begin the dry run.

        Yields:
            The batches, see `DryRun.limit`.
        """
        yield from self.dry_run.limit(self.loader)

    def __len__(self) -> int:
        """Return the number of batches.

        Returns:
            That of the data loader, without regard to the time.
        """
        return len(self.loader)

    def __getattr__(self, name: str) -> object:
        # The runner gives this as its `test_dataloader` from now on.
        return getattr(self.loader, name)
