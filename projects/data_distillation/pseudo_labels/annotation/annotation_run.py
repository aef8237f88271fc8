"""What an annotation does between the first and the last batch of a test run.

```
rows ──► count ──► store ──► too many unreadable? ──► asked to stop?
         Progress  shards    ValueError               AnnotationStopped
```
"""

import atexit
import logging
from collections.abc import Set

from mmengine.dist import broadcast_object_list, get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..detections.store import DetectionStore
from .annotation_log import log_from_any_rank, warn_of_unreadable
from .dry_run import DryRun
from .interruption import AnnotationStopped, StopRequest
from .progress import Progress


class AnnotationRun:
    """Stores and counts what a test run detects, and ends it in time.

    Args:
        store: The store that the detections go to.
        image_ids: The file name of each image of the dataset, with its id;
            None for images of a folder, which have no id yet.
        progress: The counter of the images.
        max_unreadable_share: The largest share of images that may be
            unreadable, in [0, 1].
        dry_run: What is measured, if this is a dry run, which stores nothing;
            None for a real run.
    """

    def __init__(
        self,
        store: DetectionStore,
        image_ids: dict[str, int | None],
        progress: Progress,
        max_unreadable_share: float,
        dry_run: DryRun | None,
    ) -> None:
        self.store = store
        self.image_ids = image_ids
        self.progress = progress
        self.max_unreadable_share = max_unreadable_share
        self.dry_run = dry_run
        self._stop = StopRequest()

    @property
    def is_dry_run(self) -> bool:
        """Whether the run only measures, and stores nothing."""
        return self.dry_run is not None

    def begin(self, loader: DataLoader) -> None:
        """Note SIGTERM from now on, and see that nothing found is lost.

        After an error or Ctrl-C, what is not on disk yet is written when the
        process ends; not in a dry run.

        Args:
            loader: The data loader of the run, whose workers have not started
                yet. Its `worker_init_fn` is changed, see `StopRequest.listen`.
        """
        self._stop.listen(loader)
        if not self.is_dry_run:
            # After an error or Ctrl-C, nobody calls `finish`.
            atexit.register(self.store.flush)

    def add(self, rows: list[dict]) -> None:
        """Store and count the detections of a batch; a dry run stores nothing.

        Args:
            rows: One row per image, see `shards.SCHEMA`.

        Raises:
            OSError: If a shard could not be written.
            ValueError: If too many images cannot be read.
            AnnotationStopped: If the process was asked to stop. What was found
                is written first.
        """
        was_measured = self.progress.is_measured
        self.progress.add(rows, self.dry_run.share if self.dry_run else 1.0)
        if not self.is_dry_run:
            self.store.add(*rows)
        warn_of_unreadable(rows)
        self.check_unreadable(self.progress.num_unreadable)
        if self.progress.is_measured and not was_measured:
            self._log_expectation()
        elif get_rank() == 0 and self.progress.is_due:
            print_log(
                self.progress.format_next_line(), 'current', logging.INFO
            )
        if self._stop.is_made:
            self._end_early()

    def finish(self) -> None:
        """Write what is not on disk yet, after the last batch.

        The log gets what is expected of the whole run, if the run was too
        short for it to be measured before. SIGTERM does what it did before the
        run.

        Raises:
            OSError: If a shard cannot be written.
        """
        if not self.progress.is_measured:
            self._log_expectation()
        self.leave()

    def check_unreadable(self, num_unreadable: int) -> None:
        """End the run if too many images cannot be read.

        Args:
            num_unreadable: The number of images that cannot be read.

        Raises:
            ValueError: If their share is above `max_unreadable_share`. What
                was found is written first.
            OSError: If what was found cannot be written.
        """
        num_images = len(self.image_ids)
        # Of all images, not of those that ran so far: a run may begin with a
        # broken one.
        if num_unreadable <= self.max_unreadable_share * num_images:
            return
        self.leave()
        raise ValueError(
            f'{num_unreadable:,} of {num_images:,} images cannot be read, '
            'which is more than the share that the hook allows: '
            f'max_unreadable_share={self.max_unreadable_share}. The log has '
            'the reasons. Mend the images (they are tried again) or set a '
            'higher share, and run the same command again. What is done is '
            'kept'
        )

    def _log_expectation(self) -> None:
        print_log(
            self.progress.describe_expectation(), 'current', logging.INFO
        )

    def _end_early(self) -> None:
        self.leave()
        text = (
            f'stopped by SIGTERM; what is done is in {self.store.folder}. Run '
            'the same command again to go on'
        )
        log_from_any_rank(text)
        raise AnnotationStopped(text)

    def leave(self) -> None:
        """Write what is left, and leave the process as it was before.

        A dry run writes nothing. It may be called twice.

        Raises:
            OSError: If a shard cannot be written.
        """
        if not self.is_dry_run:
            self.store.flush()
        # Each access makes a new bound method, but `unregister` goes by
        # equality, for which they are the same.
        atexit.unregister(self.store.flush)
        self._stop.forget()


def begin_run(
    runner: Runner,
    store: DetectionStore,
    max_unreadable_share: float,
    changed: Set[str] = frozenset(),
) -> AnnotationRun:
    """Begin a run over the images whose detections are not on disk yet.

    With `dry_run=True` in the config, the run stores nothing, and ends when it
    has measured some batches, see `DryRun`.

    Args:
        runner: The runner. Its sampler is told which images to leave out. In
            a dry run, its loop, evaluator and model are changed too.
        store: The store with the detections of earlier runs.
        max_unreadable_share: The largest share of images that may be
            unreadable, in [0, 1].
        changed: The names of images that run again, since their files have
            other content than those of the store.

    Returns:
        The run, which has begun.

    Raises:
        StoreError: If a shard has another provenance.
    """
    loader = runner.test_dataloader
    sampler, batch_size = loader.sampler, loader.batch_size or 1
    image_ids = loader.dataset.map_image_ids()
    # Shards that other processes write after this line count as new.
    known = store.list_shards()
    done = find_done(store, list(image_ids), changed)
    sampler.share_out(done, batch_size)
    progress = Progress(
        store,
        num_images=len(image_ids),
        num_done=len(sampler.done),
        num_pending=sampler.num_pending,
        num_processes=get_world_size(),
        known=known,
    )
    dry_run = DryRun.begin(runner) if runner.cfg.get('dry_run') else None
    run = AnnotationRun(
        store, image_ids, progress, max_unreadable_share, dry_run
    )
    run.begin(loader)
    return run


def find_done(
    store: DetectionStore,
    file_names: list[str],
    changed: Set[str] = frozenset(),
) -> set[int]:
    """Find the images that were read and whose detections are on disk.

    All processes must share out the same images. A process that starts late
    would see what the others have written meanwhile. So only rank 0 looks, and
    tells the others.

    Args:
        store: The store with the detections of earlier runs.
        file_names: The names of all images, in the order of the dataset.
        changed: The names of images that run again.

    Returns:
        The indices of these images, apart from those that run again. It is the
        same set in every process.

    Raises:
        StoreError: If a shard has another provenance (in rank 0 alone).
    """
    done: list[set[int]] = [set()]
    # The others would see shards that were written since then, and deal out
    # other images.
    if get_rank() == 0:
        is_read = {
            name for name, is_read in store.list_images().items() if is_read
        }
        names = is_read - changed
        done = [{i for i, name in enumerate(file_names) if name in names}]
    broadcast_object_list(done)
    if done[0]:
        log_from_any_rank(
            f'{len(done[0])} of {len(file_names)} images are in '
            f'{store.folder} already: going on with the others'
        )
    return done[0]
