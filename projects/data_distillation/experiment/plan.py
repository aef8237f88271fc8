"""The plan of an experiment: what is to be done, and what it will take."""

import json
import re
import shlex
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from ..detections.store import DetectionStore
from ..text import format_duration, format_table
from ..training.resume import find_last_checkpoint
from .fingerprint import changes
from .names import PSEUDO_LABELS
from .process import StageError, environment
from .run import Distillation, round_dir
from .stages import FINISHED, Stages, cfg_options, finished_checkpoint

MAX_OUTPUT = 3000
# Iterations that are measured, after so many in which layers warm up.
NUM_MEASURED, NUM_WARM_UP = 4, 2
RATE = re.compile(r'measured on \d+ images: ([\d.]+) images/s')


@dataclass(frozen=True)
class Step:
    """A stage of the plan.

    Args:
        name: What to call it.
        text: What is to be done, or that it is done.
        iterations: How many to train.
        images: How many to annotate.
    """

    name: str
    text: str
    iterations: int = 0
    images: int = 0


def plan(runs: Sequence[Distillation]) -> str:
    """Say what runs would do, and measure what they would take.

    A few iterations and images are run, with results in a folder that is
    deleted; nothing of the work folders is changed.

    Args:
        runs: What would be run, one after the other, of one experiment.

    Returns:
        A table of the stages for each run, and the time of all.

    Raises:
        StageError: If a measurement fails.
        ValueError, FileNotFoundError: See `Experiment.check`.
    """
    stages = runs[0].stages
    stages.experiment.check(runs[0].num_rounds > 1)
    found = {run.work_dir: list(steps(run)) for run in runs}
    every = [step for one in found.values() for step in one]
    rates = Rates.measured(stages, every)
    total = format_duration(sum(map(rates.seconds, every)))
    tables = [
        table_of(work_dir, one, rates) for work_dir, one in found.items()
    ]
    return '\n'.join([*tables, f'in all {total}; {rates}'])


def table_of(work_dir: Path, found: Sequence[Step], rates: 'Rates') -> str:
    """Make the table of one run."""
    table = Table('stage', 'to do', title=f'Plan: {work_dir}')
    table.add_column('time', justify='right')
    for step in found:
        time = format_duration(rates.seconds(step))
        table.add_row(step.name, step.text, time)
    return format_table(table)


def steps(distillation: Distillation) -> Iterator[Step]:
    """Yield the stages in the order in which they would run."""
    stages, work_dir = distillation.stages, distillation.work_dir
    step = training_step(stages, 'teacher', work_dir / 'teacher')
    yield step
    folder = work_dir / 'teacher'
    for number in range(1, distillation.num_rounds + 1):
        # Of a training that goes on, others come.
        teacher = None if step.iterations else find_last_checkpoint(folder)
        folder = round_dir(work_dir, number) / 'student'
        name = f'round {number}: ' if distillation.num_rounds > 1 else ''
        annotation = annotation_step(
            stages, f'{name}annotate', folder.with_name('annotate'), teacher
        )
        yield annotation
        step = student_step(stages, f'{name}student', folder, annotation)
        yield step
    for model in stages.experiment.models:
        if model not in ('teacher', 'student'):
            yield training_step(stages, model, work_dir / model)


def student_step(
    stages: Stages, name: str, folder: Path, annotation: Step
) -> Step:
    """Say what a student has to do: all of it, if its labels are to come."""
    labels = folder.with_name('annotate') / PSEUDO_LABELS
    if annotation.images or not labels.is_file():
        total = num_iterations(stages, 'student')
        return Step(name, f'{total:,} iterations', total)
    return replace(training_step(stages, 'student', folder, labels), name=name)


def num_iterations(stages: Stages, stage: str) -> int:
    """Return the length of a training.

    Raises:
        ValueError: If it is not counted in iterations.
    """
    train_cfg = stages.experiment.load(stage).train_cfg
    if 'max_iters' not in train_cfg:
        raise ValueError(
            f'{stage}.py counts epochs: no plan can be made, got '
            f'train_cfg={dict(train_cfg)}; stages of data distillation count '
            'iterations (IterBasedTrainLoop)'
        )
    return train_cfg.max_iters


def training_step(
    stages: Stages, stage: str, folder: Path, labels: Path | None = None
) -> Step:
    """Say what a training stage has to do.

    Args:
        stages: How it would run.
        stage: Its name.
        folder: Its work folder.
        labels: The pseudo labels of a student.
    """
    total = num_iterations(stages, stage)
    text = f'{total:,} iterations'
    if reasons := changes(folder, stages.training_settings(stage, labels)):
        return Step(stage, f'{text}, again: {reasons[0]}', total)
    if (folder / FINISHED).is_file():
        return Step(stage, 'done')
    checkpoint = find_last_checkpoint(folder)
    done = int(checkpoint.stem.removeprefix('iter_')) if checkpoint else 0
    if done:
        text = f'{total - done:,} of {text}'
    return Step(stage, text, total - done)


def annotation_step(
    stages: Stages, name: str, folder: Path, teacher: Path | None
) -> Step:
    """Say what annotation has to do.

    Args:
        stages: How it would run.
        name: Of the step.
        folder: Its work folder.
        teacher: The checkpoint; None if it is to come.
    """
    names = stages.experiment.images('annotate').image_ids()
    done: set[str] = set()
    if teacher and not stages.outdated('annotate', folder, teacher):
        done = names.keys() & DetectionStore(folder / 'detections').images()
    num_left = len(names) - len(done)
    if not num_left:
        return Step(name, 'done')
    return Step(name, f'{num_left:,} images', images=num_left)


@dataclass(frozen=True)
class Rates:
    """How fast stages are.

    Args:
        iteration: Seconds of an iteration of training; 0 if none is left.
        image: Seconds of an image that is annotated, likewise.
    """

    iteration: float
    image: float

    @classmethod
    def measured(cls, stages: Stages, found: Sequence[Step]) -> 'Rates':
        """Measure what is needed for some steps.

        Args:
            stages: How they would run.
            found: The steps.

        Raises:
            StageError: If a measurement fails.
        """
        iteration = image = 0.0
        with tempfile.TemporaryDirectory() as folder:
            if any(step.iterations or step.images for step in found):
                iteration = time_iteration(stages, Path(folder))
            if any(step.images for step in found):
                teacher = finished_checkpoint(Path(folder))
                image = time_image(stages, Path(folder), teacher)
        return cls(iteration, image)

    def seconds(self, step: Step) -> float:
        """Return how long a step takes."""
        return step.iterations * self.iteration + step.images * self.image

    def __str__(self) -> str:
        """Say what was measured."""
        texts = []
        if self.iteration:
            texts.append(f'{self.iteration:.2f} s an iteration')
        if self.image:
            texts.append(f'{self.image:.2f} s an image')
        measured = f'measured: {", ".join(texts)}; ' if texts else ''
        return f'{measured}starts and evaluations come on top'


def time_iteration(stages: Stages, folder: Path) -> float:
    """Train a teacher for a few iterations.

    Args:
        stages: How.
        folder: Where its checkpoint goes.

    Returns:
        Seconds of an iteration, the median.

    Raises:
        StageError: If it fails.
    """
    num = NUM_WARM_UP + NUM_MEASURED
    options = (
        f'train_cfg.max_iters={num}',
        # No validation: its images may be many.
        f'train_cfg.val_begin={num + 1}',
        'default_hooks.logger.interval=1',
        f'default_hooks.checkpoint.interval={num}',
        *stages.experiment.options,
    )
    config = stages.experiment.config('teacher')
    output_of(stages.launcher.train(config, folder, *cfg_options(*options)))
    (log,) = folder.glob('*/vis_data/scalars.json')
    lines = map(json.loads, log.read_text().splitlines())
    times = [line['time'] for line in lines if 'loss' in line]
    return statistics.median(times[NUM_WARM_UP:])


def time_image(stages: Stages, folder: Path, teacher: Path) -> float:
    """Annotate a few images.

    Args:
        stages: How.
        folder: Where results would go.
        teacher: A checkpoint: how good it is matters little for the time.

    Returns:
        Seconds of an image, by all processes together.

    Raises:
        StageError: If it fails.
    """
    options = cfg_options(*stages.experiment.options)
    command = stages.launcher.for_annotation().test(
        stages.experiment.config('annotate'),
        teacher,
        folder / 'annotate',
        '--dry-run',
        *options,
    )
    return 1 / images_per_second(output_of(command))


def images_per_second(output: str) -> float:
    """Return the speed that a trial of annotation has measured.

    Args:
        output: What `tools/test.py --dry-run` has printed.

    Raises:
        StageError: If it says no speed.
    """
    match = RATE.search(output)
    if match is None:
        raise StageError(
            'measuring failed: annotation must print `measured on ... images: '
            f'... images/s`, got:\n{output[-MAX_OUTPUT:]}'
        )
    return float(match[1])


def output_of(command: Sequence[str]) -> str:
    """Run a command and return what it prints.

    Raises:
        StageError: If it fails, with the end of what it printed.
    """
    done = subprocess.run(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise StageError(
            f'measuring failed, exit code {done.returncode}: '
            f'{shlex.join(command)}\n{done.stdout[-MAX_OUTPUT:]}'
        )
    return done.stdout
