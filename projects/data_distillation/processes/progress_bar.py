"""Progress bars: how far a stage is, and how much time is left."""

import json
import sys
import threading
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

from ..detections.shard_files import list_shards
from ..detections.shards import ShardError, count_rows

# A look reads files; a person needs no more than one a second.
SECONDS_BETWEEN_LOOKS = 1.0
# MMEngine logs every 50 iterations, and a shard may take a minute. A rate must
# cover several of them.
SECONDS_OF_RATE = 600.0
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
        """Return the last iteration that is logged; 0 if there is none."""
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
        """Return the number of images that all processes have stored."""
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
    """Show a bar while a stage runs, if the output is a terminal.

    Args:
        stage: The name of the stage.
        counter: The progress of the stage; None if nothing measures it.

    Yields:
        Nothing. The bar moves in a thread until the context ends.
    """
    counter = counter or Counter(int, None)
    is_over = threading.Event()
    with Progress(
        *COLUMNS,
        speed_estimate_period=SECONDS_OF_RATE,
        disable=not sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(
            stage, total=counter.total, completed=counter.count()
        )

        def look() -> None:
            """Move the bar until the stage is over."""
            while not is_over.wait(SECONDS_BETWEEN_LOOKS):
                bar.update(task, completed=counter.count())

        looker = threading.Thread(target=look)
        looker.start()
        try:
            yield
        finally:
            is_over.set()
            looker.join()
            bar.update(task, completed=counter.count())
