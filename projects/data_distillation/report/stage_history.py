"""Reads the times, curves and metrics that MMEngine wrote of the stages.

And says in words what the metrics mean.
"""

import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..experiment.stages.comparison import (
    compute_gap_closed,
    read_newest_metrics,
)
from ..experiment.stages.model_names import CONTROL, TRAINED
from ..experiment.stages.next_steps import advise_on_gain, give_verdict
from ..experiment.stages.stage_results import is_link_to_teacher
from ..files.atomic import read_json
from ..pseudo_labels.detections.shard_files import list_shards
from ..pseudo_labels.selection.coco_writer import PSEUDO_LABELS

# MMEngine names the folder of a run after the time of its start.
RUN = '[0-9]*_[0-9]*'
LOGGED_AT = re.compile(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d', re.MULTILINE)
VALIDATION = 'coco/bbox_mAP'
SUMMARY = 'summary.json'
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class StageRecord:
    """What is known of a stage, whether it has ended or not.

    Args:
        name: The name of its folder in the work folder, such as `teacher` or
            `round2/student`.
        seconds: From the first to the last line of the logs, over all runs;
            None if there is no log, or if the folder is that of the teacher.
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

    def find_class_ap(self, name: str) -> float | None:
        """Look up the AP of a class.

        Args:
            name: The name of the class.

        Returns:
            The AP of boxes from 0 to 1; None if it was not measured, or if the
            validation images have no object of the class. For the AP of masks,
            `_segm` follows the name.
        """
        return (self.metrics or {}).get(f'{name}_precision')

    def join_evaluations(self) -> Curve:
        """Join the validations and the final evaluation to one curve.

        The evaluation stands at the last iteration. It replaces a validation
        at the same iteration.

        Returns:
            Pairs of iteration and box mAP (0 to 1), ascending; empty without
            any.
        """
        points = dict(self.validation)
        if self.metrics:
            # The slice has one pair, or none if nothing was logged yet.
            last = max([*points, *(x for x, _ in self.losses[-1:])], default=0)
            points[last] = self.metrics['bbox_mAP']
        return sorted(points.items())


def read_stages(
    work_dir: Path, given: Sequence[str] = ()
) -> list[StageRecord]:
    """Read all stages of an experiment.

    Args:
        work_dir: The work folder of the experiment.
        given: The names of the teachers that are given; empty if one is
            trained.

    Returns:
        The stages that have a folder: first those of the first round, then
        those of the later rounds in order.

    Raises:
        ValueError: If a file with metrics is no JSON.
    """
    first, *others = TRAINED
    names = [*(given or [first]), 'annotate', *others]
    for folder in sorted(work_dir.glob('round[0-9]*'), key=parse_round):
        names += [f'{folder.name}/{stage}' for stage in ('annotate', *TRAINED)]
    return [
        read_stage(work_dir, name)
        for name in names
        if (work_dir / name).is_dir()
    ]


def find_newest_annotation(
    work_dir: Path, stages: Sequence[StageRecord]
) -> Path:
    """Find the folder of the last annotation with detections or labels.

    Args:
        work_dir: The work folder of the experiment.
        stages: The stages of the experiment, in the order of the rounds.

    Returns:
        The folder; that of the first round, which need not exist, if there are
        neither. Detections may have been deleted, to save space.
    """
    found = [
        work_dir / stage.name
        for stage in stages
        if list_shards(work_dir / stage.name / 'detections')
        or (work_dir / stage.name / PSEUDO_LABELS).is_file()
    ]
    return found[-1] if found else work_dir / 'annotate'


def parse_round(folder: Path) -> int:
    """Read the number in the name of a round's folder.

    Args:
        folder: The folder, such as `round2`.

    Returns:
        The number; 0 if something else follows `round`, or nothing.
    """
    number = folder.name.removeprefix('round')
    return int(number) if number.isdecimal() else 0


def read_stage(work_dir: Path, name: str) -> StageRecord:
    """Read what MMEngine wrote in the folder of a stage.

    Args:
        work_dir: The work folder of the run.
        name: The name of the stage, which is its folder there.

    Returns:
        The stage; what is not there yet is empty or None. Only a model has
        losses and metrics.

    Raises:
        ValueError: If the file with its metrics is no JSON.
    """
    folder = work_dir / name
    # The time of the teacher counts once.
    is_counted = is_link_to_teacher(folder)
    seconds = None if is_counted else sum_logged_seconds(folder)
    # The folder of an annotation has them too, if it was that of a model.
    if name.rpartition('/')[2] == 'annotate':
        return StageRecord(name, seconds, [], [], None)
    losses, validation = collect_curves(read_scalars(folder))
    metrics = read_newest_metrics(folder / 'test')
    return StageRecord(name, seconds, losses, validation, metrics)


def find_unevaluated(stages: Sequence[StageRecord]) -> Iterator[str]:
    """Note which stages have a model that was not evaluated.

    Args:
        stages: The stages; those named `annotate` have no model.

    Yields:
        A sentence for each.
    """
    for stage in stages:
        if not stage.name.endswith('annotate') and not stage.metrics:
            yield f'{stage.name} was not evaluated.'


def read_scalars(folder: Path) -> Iterator[dict]:
    """Read the records of all runs in a folder.

    Args:
        folder: The work folder of the stage.

    Yields:
        Each record, from old to new; lines that are no JSON object are left
        out.
    """
    for file in sorted(folder.glob(f'{RUN}/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            # If a run was killed, its last line may be cut off.
            with suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict):
                    yield record


def collect_curves(scalars: Iterator[dict]) -> tuple[Curve, Curve]:
    """Collect the curves of the loss and of the box mAP.

    If a resumed run repeats an iteration, the newer value counts.

    Args:
        scalars: The records, from old to new, each with `step`.

    Returns:
        The loss and the box mAP (0 to 1) at each iteration that has one, both
        by ascending iteration.
    """
    losses: dict[int, float] = {}
    validation: dict[int, float] = {}
    iteration = 0
    for record in scalars:
        if 'loss' in record:
            iteration = record['step']
            losses[iteration] = record['loss']
        elif VALIDATION in record:
            # If the training counts epochs, `step` is an epoch here.
            at = max(record['step'], iteration)
            validation[at] = record[VALIDATION]
    return sorted(losses.items()), sorted(validation.items())


def sum_logged_seconds(folder: Path) -> float | None:
    """Add up the logged seconds of all runs.

    Args:
        folder: The work folder of the stage.

    Returns:
        Seconds; None if there is no log with a time.
    """
    spans = [
        span
        for file in folder.glob(f'{RUN}/*.log')
        # A killed run may have left half a letter at the end.
        if (span := measure_logged_span(file.read_text(errors='replace')))
        is not None
    ]
    return sum(spans) if spans else None


def measure_logged_span(log: str) -> float | None:
    """Measure the time from the first to the last line of a log.

    Args:
        log: The text; lines without a time do not count.

    Returns:
        Seconds; None if no line has a time.
    """
    times = LOGGED_AT.findall(log)
    if not times:
        return None
    first, last = (
        datetime.datetime.strptime(time, '%Y/%m/%d %H:%M:%S')
        for time in (times[0], times[-1])
    )
    return (last - first).total_seconds()


def conclude_from_stages(
    stages: Sequence[StageRecord], is_label_free: bool, work_dir: Path
) -> dict:
    """Say what the pseudo labels have gained, and what to try next.

    Args:
        stages: The stages of the experiment.
        is_label_free: Whether no image is labeled.
        work_dir: The work folder.

    Returns:
        `verdicts`, see `give_verdicts`, and `advice`, the lines that the run
        gave at its end; none if it has not ended, or if the models were
        trained again since.
    """
    summary = read_summary(work_dir, find_mean_aps(stages))
    return dict(
        verdicts=give_verdicts(stages, is_label_free, work_dir),
        advice=list(advise_on_gain(summary)) if summary else [],
    )


def give_verdicts(
    stages: Sequence[StageRecord],
    is_label_free: bool = False,
    work_dir: Path | None = None,
) -> list[str]:
    """Return what the pseudo labels have gained, in sentences.

    Args:
        stages: The stages of the experiment. Of the students of several
            rounds, the best one counts.
        is_label_free: Whether no image is labeled.
        work_dir: The work folder, of which the summary has the interval of
            the gain, if there is one.

    Returns:
        The verdict of `give_verdict` and the gap that is closed, as far as the
        models that they need have been evaluated; empty without a teacher or
        a student.
    """
    mean_aps = find_mean_aps(stages)
    if not {'teacher', 'student'} <= mean_aps.keys():
        return []
    metrics = {name: dict(bbox_mAP=value) for name, value in mean_aps.items()}
    closed = compute_gap_closed(metrics)
    summary = read_summary(work_dir, mean_aps) if work_dir else {}
    interval = summary.get('gains', {}).get(CONTROL)
    lines = [give_verdict(mean_aps, interval, is_label_free)]
    if closed is not None:
        lines.append(f'gap from teacher to oracle closed: {closed:.0%}')
    return [f'{line[0].upper()}{line[1:]}.' for line in lines]


def find_mean_aps(stages: Sequence[StageRecord]) -> dict[str, float]:
    """Find the box mAP of each model; of several rounds, that of the best.

    Args:
        stages: The stages of the experiment.

    Returns:
        Model name without its round -> the box mAP, 0 to 1; models that were
        not evaluated are not there.
    """
    mean_aps: dict[str, float] = {}
    for stage in stages:
        if stage.metrics:
            name = stage.name.rpartition('/')[2]
            found = stage.metrics['bbox_mAP']
            mean_aps[name] = max(found, mean_aps.get(name, found))
    return mean_aps


def read_summary(work_dir: Path, mean_aps: Mapping[str, float]) -> dict:
    """Read the summary that the run wrote of these models.

    Args:
        work_dir: The work folder of the run.
        mean_aps: The box mAP of each model at present.

    Returns:
        The summary; empty if there is none, if it is of several seeds, if a
        model in it is no object, if there is no student, or if the teacher,
        the student or the control has another mAP now.
    """
    summary = read_json(work_dir / SUMMARY)
    if not isinstance(summary, dict) or 'seeds' in summary:
        return {}
    names = ('teacher', 'student', CONTROL)
    noted = {name: summary.get(name, {}) for name in names}
    if not all(isinstance(one, dict) for one in noted.values()):
        return {}
    models = {name: one.get('bbox_mAP') for name, one in noted.items()}
    # Exactly: JSON keeps each bit of a float. A model that neither has is None
    # on both sides.
    is_theirs = all(mean_aps.get(name) == it for name, it in models.items())
    return summary if is_theirs and 'student' in mean_aps else {}
