"""What MMEngine has written of the stages: times, curves, metrics."""

import datetime
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..experiment.comparison import read_newest_metrics
from ..experiment.names import TRAINED

# MMEngine names the folder of each run by its start.
RUN = '[0-9]*_[0-9]*'
LOGGED_AT = re.compile(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d', re.MULTILINE)
VALIDATION = 'coco/bbox_mAP'
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Stage:
    """What is known of a stage, finished or not.

    Args:
        name: Its folder in the work folder, such as `teacher` or
            `round2/student`.
        seconds: From the first to the last line of the logs, over all runs;
            None if there is no log.
        losses: Iteration and total loss, ascending.
        validation: Iteration and box mAP of the validations while it was
            trained.
        metrics: The metrics of the last evaluation, see
            `read_newest_metrics`; None if there is none.
    """

    name: str
    seconds: float | None
    losses: Curve
    validation: Curve
    metrics: dict | None

    def class_ap(self, name: str) -> float | None:
        """Return the AP of a class; None if it was not measured."""
        return (self.metrics or {}).get(f'{name}_precision')

    def evaluations(self) -> Curve:
        """Return the validations, and the evaluation at the last iteration.

        If a validation was there too, they are as one.
        """
        points = dict(self.validation)
        if self.metrics:
            last = max([*points, *(x for x, _ in self.losses[-1:])], default=0)
            points[last] = self.metrics['bbox_mAP']
        return sorted(points.items())


def read_stages(work_dir: Path) -> list[Stage]:
    """Read what is there of all stages.

    Args:
        work_dir: Of an experiment.

    Returns:
        The stages that have a folder: those of the models and annotation,
        then those of later rounds.
    """
    names = [next(iter(TRAINED)), 'annotate', *list(TRAINED)[1:]]
    for folder in sorted(work_dir.glob('round[0-9]*'), key=round_number):
        names += [f'{folder.name}/{stage}' for stage in ('annotate', *TRAINED)]
    return [
        read_stage(work_dir, name)
        for name in names
        if (work_dir / name).is_dir()
    ]


def round_number(folder: Path) -> int:
    """Return the number of a round's folder; of another folder 0."""
    number = folder.name.removeprefix('round')
    return int(number) if number.isdecimal() else 0


def read_stage(work_dir: Path, name: str) -> Stage:
    """Read what MMEngine has written of a stage."""
    folder = work_dir / name
    losses, validation = curves_of(read_scalars(folder))
    return Stage(
        name,
        logged_seconds(folder),
        losses,
        validation,
        read_newest_metrics(folder / 'test'),
    )


def read_scalars(folder: Path) -> Iterator[dict]:
    """Yield the records of all runs in a folder, in the order of time."""
    for file in sorted(folder.glob(f'{RUN}/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            # The last line of a run that was killed may be cut off.
            with suppress(ValueError):
                yield json.loads(line)


def curves_of(scalars: Iterator[dict]) -> tuple[Curve, Curve]:
    """Return the curves of loss and of box mAP.

    Where a run that went on repeats an iteration, its own value counts.

    Args:
        scalars: The records, in the order of time.
    """
    losses: dict[int, float] = {}
    validation: dict[int, float] = {}
    iteration = 0
    for record in scalars:
        if 'loss' in record:
            iteration = record['step']
            losses[iteration] = record['loss']
        elif VALIDATION in record:
            # A training by epochs counts these here.
            at = max(record['step'], iteration)
            validation[at] = record[VALIDATION]
    return sorted(losses.items()), sorted(validation.items())


def logged_seconds(folder: Path) -> float | None:
    """Add up the time between first and last line of each run's log."""
    spans = [
        span
        for file in folder.glob(f'{RUN}/*.log')
        if (span := logged_span(file.read_text(errors='replace'))) is not None
    ]
    return sum(spans) if spans else None


def logged_span(log: str) -> float | None:
    """Return the seconds between the first and the last line of a log."""
    times = LOGGED_AT.findall(log)
    if not times:
        return None
    first, last = (
        datetime.datetime.strptime(time, '%Y/%m/%d %H:%M:%S')
        for time in (times[0], times[-1])
    )
    return (last - first).total_seconds()
