"""Progress bars: how far a stage is, and how much time is left."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ...pseudo_labels.detections.shard_files import list_shards
from ...pseudo_labels.detections.shards import ShardError, count_rows
from ...text import format_duration
from .log import say

# A look reads files; a person needs no more than one a second.
SECONDS_BETWEEN_LOOKS = 1.0
# MMEngine logs every 50 iterations, and a shard may take a minute. A rate must
# cover several of them.
SECONDS_OF_RATE = 600.0
# In a log file, which a person reads later.
SECONDS_BETWEEN_LINES = 180.0
COLUMNS = (
    TextColumn('{task.description}'),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn('left:'),
    TimeRemainingColumn(),
)


@dataclass(frozen=True)
class TrainedIterations:
    """Counts the iterations that a training has logged.

    Args:
        folder: The work folder of the training.
    """

    folder: Path

    def __call__(self) -> int:
        """Return the last iteration that the newest run has logged, or 0."""
        # MMEngine names the folder of a run by its time: the last is the
        # newest.
        logs = sorted(self.folder.glob('*/vis_data/scalars.json'))
        lines = logs[-1].read_text().splitlines() if logs else []
        for line in reversed(lines):
            # The last line may not be complete. Validations may count epochs.
            if line.endswith('}') and 'loss' in (record := json.loads(line)):
                return record['step']
        return 0


@dataclass(frozen=True)
class StoredImages:
    """Counts the images whose detections are on disk.

    Args:
        folder: The folder of the shards.
    """

    folder: Path
    _rows: dict[Path, int] = field(default_factory=dict)

    def __call__(self) -> int:
        """Return the number of images that all processes have stored.

        Those of a shard that cannot be read do not count.
        """
        # Nobody writes to a shard again, so each is read once.
        for shard in set(list_shards(self.folder)) - self._rows.keys():
            try:
                self._rows[shard], _ = count_rows(shard)
            except ShardError:  # Annotation reports it.
                self._rows[shard] = 0
        return sum(self._rows.values())


@dataclass(frozen=True)
class Counter:
    """The progress of a stage.

    Args:
        count: Returns how many iterations or images are done.
        total: The number of iterations or images; None if it is not known.
    """

    count: Callable[[], int]
    total: int | None


@contextmanager
def show_bar(stage: str, counter: Counter | None) -> Iterator[None]:
    """Show a bar while a stage runs; elsewhere than on a terminal, some lines.

    A line is logged every `SECONDS_BETWEEN_LINES`, if the total is known and
    something was done since the beginning.

    Args:
        stage: The name of the stage.
        counter: The progress of the stage; None if nothing measures it.

    Yields:
        Nothing. The bar moves in a thread until the context ends. What
        `counter` raises at its beginning or end is passed on.
    """
    # `int()` is 0. Without a total, the bar moves and shows no share.
    counter = counter or Counter(int, None)
    is_over = threading.Event()
    with Progress(
        *COLUMNS,
        speed_estimate_period=SECONDS_OF_RATE,
        disable=not sys.stdout.isatty(),
    ) as bar:
        before = counter.count()
        task = bar.add_task(stage, total=counter.total, completed=before)

        def look() -> None:
            """Move the bar, or log lines, until the stage is over."""
            begin = time.monotonic()
            waits = SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_LINES
            # A bool as index: seconds on a terminal, minutes in a log.
            while not is_over.wait(waits[bar.disable]):
                done = counter.count()
                bar.update(task, completed=done)
                if bar.disable and done > before and counter.total:
                    rate = (done - before) / (time.monotonic() - begin)
                    say(describe_progress(stage, done, counter.total, rate))

        looker = threading.Thread(target=look)
        looker.start()
        try:
            yield
        finally:
            is_over.set()
            # Otherwise the thread could set an older number after this.
            looker.join()
            bar.update(task, completed=counter.count())


def describe_progress(stage: str, done: int, total: int, rate: float) -> str:
    """Describe how far a stage is, in a line of a log.

    Args:
        stage: The name of the stage.
        done: The number of iterations or images that are done.
        total: The number of all, at least 1.
        rate: How many of them are done in a second; above 0.

    Returns:
        Such as `teacher: 150 of 400 (38%), 0:02:05 left`.
    """
    left = format_duration(max(total - done, 0) / rate)
    return f'{stage}: {done:,} of {total:,} ({done / total:.0%}), {left} left'
