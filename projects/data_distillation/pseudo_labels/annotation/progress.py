"""How far an annotation is, over all processes, and what it will take."""

import io
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from ...text import format_duration, format_megabytes
from ..detections.shards import ShardError, count_rows, write_rows
from ..detections.store import DetectionStore

# The number of batches that are measured. The first batch, in which layers
# warm up, comes before them.
NUM_MEASURED = 3


# The seconds between two lines, for somebody who watches and for a log file.
SECONDS_ON_TERMINAL, SECONDS_IN_FILE = 10, 300


class Progress:
    """Counts the images of this process, and the shards of all others.

    Other processes, also those of other jobs, are seen by what they write.
    Nothing is sent, so none waits for another.

    Args:
        store: The store that all of them write to.
        num_images: The number of images to annotate, by all jobs together,
            those that are done included.
        num_done: The number of images that were done before this run.
        num_pending: The number of images that the processes of this run have
            to do.
        num_processes: The number of processes of this run.
        known: The shards that were there when `num_done` was counted.
    """

    def __init__(
        self,
        store: DetectionStore,
        num_images: int,
        num_done: int,
        num_pending: int,
        num_processes: int,
        known: Iterable[Path],
    ) -> None:
        self.store = store
        self.num_images = num_images
        self.num_done = num_done
        self.num_pending = num_pending
        self.num_processes = num_processes
        self._own = self._own_unreadable = 0
        self._known = set(known)
        self._others = self._others_unreadable = 0
        self._begin = self._last_line = self._last_batch = time.monotonic()
        self._measured: list[tuple[list[dict], float]] = []
        self._share = 0.0

    def add(self, rows: list[dict], share: float = 1.0) -> None:
        """Count a batch of this process.

        Args:
            rows: The rows of the batch, as the store gets them.
            share: The share of the views that were run, above 0 and up to 1.
                The time of all views is judged by the batches with the largest
                share. Batches of which not all views were run do not count
                otherwise.
        """
        if share == 1:
            unreadable = sum(bool(row['unreadable']) for row in rows)
            self._own_unreadable += unreadable
            self._own += len(rows)
        now = time.monotonic()
        if share > self._share:
            self._share = share
            self._measured.clear()
        # One batch more than is measured, because the first one warms up.
        if len(self._measured) <= NUM_MEASURED and share == self._share:
            # As if all views had been run.
            self._measured.append((rows, (now - self._last_batch) / share))
        self._last_batch = now

    @property
    def num_unreadable(self) -> int:
        """The number of images that could not be read.

        Those of other processes are counted when a line is made.
        """
        return self._own_unreadable + self._others_unreadable

    @property
    def is_measured(self) -> bool:
        """Whether enough batches are through for `expectation`."""
        return len(self._measured) > NUM_MEASURED

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next line."""
        seconds = (
            SECONDS_ON_TERMINAL if sys.stdout.isatty() else SECONDS_IN_FILE
        )
        return time.monotonic() - self._last_line >= seconds

    def format_next_line(self) -> str:
        """Say how far all processes are, and put off the line after it.

        Returns:
            A line with the number of images that are done, the rate since the
            run began, the time that is left (not before an image counts), and
            the number of unreadable images. For it, the new shards of other
            processes are counted.
        """
        self._last_line = time.monotonic()
        self._count_others()
        num_new = self._own + self._others
        rate = num_new / max(time.monotonic() - self._begin, 1e-9)
        # The sum is too large if others did the same images.
        done = min(self.num_done + num_new, self.num_images)
        left = ''
        # Nothing counts before a batch with all views, see `add`.
        if num_new:
            seconds = (self.num_images - done) / rate
            left = f'{format_duration(seconds)} left, '
        return (
            f'{done:,} of {self.num_images:,} images '
            f'({done / max(self.num_images, 1):.0%}), {format_rate(rate)}, '
            f'{left}{self.num_unreadable:,} unreadable'
        )

    def describe_expectation(self) -> str:
        """Say what the images of this run will take, judged by the first.

        Returns:
            A line with the time and the disk space; another one if no image
            was run. The first batch counts only if there is no other, and all
            of the run's processes count as equally fast.

        Raises:
            OSError: If the disk of the store cannot be asked for its space.
        """
        measured = self._measured[1:] or self._measured
        rows = [row for batch, _ in measured for row in batch]
        if not rows:
            return 'nothing is left to do'
        seconds = sum(s for _, s in measured)
        rate = self.num_processes * len(rows) / max(seconds, 1e-9)
        # The folder of the store is made with its first shard.
        free = shutil.disk_usage(find_nearest_existing(self.store.folder)).free
        needed = self.num_pending * measure_size_on_disk(rows) / len(rows)
        noun = 'image' if len(rows) == 1 else 'images'
        return (
            f'measured on {len(rows)} {noun}{self._describe_share()}: '
            f'{format_rate(rate)} with '
            f'{self.num_processes} process(es), '
            f'{format_duration(self.num_pending / rate)} and '
            f'{format_megabytes(needed)} of detections for '
            f'{self.num_pending:,} images; {format_megabytes(free)} are free '
            f'in {self.store.folder}'
            + (': NOT ENOUGH' if needed > free else '')
        )

    def _describe_share(self) -> str:
        """Say which part of the views was measured, if not all."""
        if self._share == 1:
            return ''
        return f' (1 of {round(1 / self._share)} views)'

    def _count_others(self) -> None:
        """Count the shards of other processes that are new since last time."""
        for shard in set(self.store.list_shards()) - self._known:
            self._known.add(shard)
            # `add` has counted the images of this process.
            if shard in self.store.written:
                continue
            try:
                num_rows, num_unreadable = count_rows(shard)
            # The store names such a shard when it reads it.
            except ShardError:
                continue
            self._others += num_rows
            self._others_unreadable += num_unreadable


def format_rate(rate: float) -> str:
    """Format how many images a second are annotated.

    Args:
        rate: The images of a second.

    Returns:
        Such as `4.31 images/s`. A low rate has two significant digits, since
        its inverse is the time of an image.
    """
    return f'{rate:.2f} images/s' if rate >= 0.1 else f'{rate:.2g} images/s'


def measure_size_on_disk(rows: list[dict]) -> int:
    """Measure how many bytes rows add to a shard.

    Args:
        rows: Rows as `write_rows` takes them; none take 0 bytes.

    Returns:
        The number of bytes, compressed.
    """
    sizes = []
    # A shard without rows has bytes too.
    for part in (rows, []):
        with io.BytesIO() as file:
            write_rows(file, part, {})
            sizes.append(file.tell())
    return sizes[0] - sizes[1]


def find_nearest_existing(folder: Path) -> Path:
    """Find the nearest folder that exists.

    Args:
        folder: The folder, which need not exist.

    Returns:
        The folder itself or the nearest one above it.
    """
    while not folder.exists():
        folder = folder.parent
    return folder
