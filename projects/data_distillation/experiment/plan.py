"""The plan of an experiment: what is left to do, and how long it takes."""

import json
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from ..processes.log import say
from ..processes.process import StageError, capture_output
from ..processes.temporary import temporary_folder
from ..teachers.in_experiments import check_teachers
from ..text import format_duration, format_table
from ..training.finished import find_ending
from ..training.resume import count_done, find_last_checkpoint
from .names import PSEUDO_LABELS
from .run import Distillation, round_dir
from .stage_results import make_flags, require_checkpoint
from .stages import Stages

# The number of characters that are shown of the output of a failed command.
MAX_OUTPUT = 3000
# The number of iterations that are measured, after some that warm up layers.
NUM_MEASURED, NUM_WARM_UP = 4, 2
# No iteration is begun after this time.
MAX_SECONDS = 15
RATE = re.compile(r'measured on \d+ images: ([\d.]+) images/s')


@dataclass(frozen=True)
class Step:
    """A stage of the plan.

    Args:
        name: The name of the stage in the table.
        text: What is left to do, or `done`.
        iterations: The number of iterations left to train.
        images: The number of images left to annotate.
    """

    name: str
    text: str
    iterations: int = 0
    images: int = 0


def make_plan(runs: Sequence[Distillation]) -> str:
    """Plan runs of an experiment, and measure how long they would take.

    A few iterations and images are run. Their results go to a folder that is
    deleted, and the work folders stay as they are.

    Args:
        runs: The runs, which would follow one another; all of one experiment.

    Returns:
        A table of the stages for each run, and the time of all runs.

    Raises:
        StageError: If a measurement fails.
        ValueError: If a stage cannot be used, or its config counts epochs.
        FileNotFoundError: If a file of a stage does not exist.
    """
    stages = runs[0].stages
    stages.experiment.check(runs[0].num_rounds > 1)
    if stages.experiment.teachers:
        check_teachers(stages.experiment, runs[0].num_rounds)
    found = {run.work_dir: list(list_steps(run)) for run in runs}
    every = [step for one in found.values() for step in one]
    rates = Rates.measure(stages, every)
    total = format_duration(sum(map(rates.estimate, every)))
    tables = [
        format_run(work_dir, one, rates) for work_dir, one in found.items()
    ]
    return '\n'.join([*tables, f'in all {total}; {rates}'])


def format_run(work_dir: Path, found: Sequence[Step], rates: 'Rates') -> str:
    """Format the table of one run.

    Args:
        work_dir: The work folder of the run.
        found: The steps, in order.
        rates: The times that they take.

    Returns:
        The lines of the table.
    """
    table = Table('stage', 'to do', title=f'Plan: {work_dir}')
    table.add_column('time', justify='right')
    for step in found:
        table.add_row(
            step.name, step.text, format_duration(rates.estimate(step))
        )
    return format_table(table)


def list_steps(distillation: Distillation) -> Iterator[Step]:
    """List the stages of a run in the order in which they would run.

    Args:
        distillation: The run.

    Yields:
        Each step, also those that are done.
    """
    stages, work_dir = distillation.stages, distillation.work_dir
    given = stages.experiment.teachers
    step = Step('teacher', 'as given')
    if not given:
        step = plan_training(stages, 'teacher', work_dir / 'teacher')
    yield step
    folder = work_dir / 'teacher'
    for number in range(1, distillation.num_rounds + 1):
        # A training that goes on will have another checkpoint.
        teacher = None if step.iterations else find_last_checkpoint(folder)
        if given and number == 1:
            teacher = given[0]
        folder = round_dir(work_dir, number) / 'student'
        name = f'round {number}: ' if distillation.num_rounds > 1 else ''
        annotating = stages
        if stages.can_tune():
            tuning = folder.with_name('tune')
            tuning_step = plan_tuning(stages, f'{name}tune', tuning, teacher)
            yield tuning_step
            annotating = stages.use_choice(tuning)
            if tuning_step.text != 'done':
                teacher = None  # It may choose other views.
        annotation = plan_annotation(
            annotating,
            f'{name}annotate',
            folder.with_name('annotate'),
            teacher,
        )
        yield annotation
        yield plan_student(stages, f'{name}student', folder, annotation)
    for model in stages.experiment.models:
        if model not in ('teacher', 'student'):
            yield plan_training(stages, model, work_dir / model)


def plan_student(
    stages: Stages, name: str, folder: Path, annotation: Step
) -> Step:
    """Find what is left to train of a student.

    Args:
        stages: The stages of the run.
        name: The name of the step.
        folder: The work folder of the student.
        annotation: The step before it.

    Returns:
        The step; all iterations are left if its labels are not there yet.
    """
    if annotation.text != 'done':
        total = stages.experiment.count_iterations('student')
        return Step(name, f'{total:,} iterations', total)
    labels = folder.with_name('annotate') / PSEUDO_LABELS
    return replace(plan_training(stages, 'student', folder, labels), name=name)


def plan_training(
    stages: Stages, stage: str, folder: Path, labels: Path | None = None
) -> Step:
    """Find what is left to train of a model.

    Args:
        stages: The stages of the run.
        stage: The name of the model, one of `TRAINED`.
        folder: The work folder of the stage.
        labels: The file of pseudo labels; None for other models than the
            student.

    Returns:
        The step; it says why, if the model is trained again.

    Raises:
        StageError: If the folder holds results of another seed.
    """
    total = stages.experiment.count_iterations(stage)
    text = f'{total:,} iterations'
    training = stages.training(stage, folder, labels)
    training.check_seed()
    if reasons := training.find_changes():
        return Step(stage, f'{text}, again: {reasons[0]}', total)
    if find_ending(folder).checkpoint:
        return Step(stage, 'done')
    if done := count_done(folder):
        text = f'{total - done:,} of {text}'
    return Step(stage, text, total - done)


def plan_annotation(
    stages: Stages, name: str, folder: Path, teacher: Path | None
) -> Step:
    """Return what is left to annotate.

    Args:
        stages: The stages of the run.
        name: The name of the step.
        folder: The work folder of the annotation.
        teacher: The checkpoint of the teacher; None if it is not there yet.

    Returns:
        The step; `done` if nothing is left.
    """
    names = stages.experiment.build_images('annotate').image_ids()
    done: set[str] = set()
    if teacher:
        annotation = stages.detection('annotate', folder, teacher)
        if annotation.is_done():
            return Step(name, 'done')
        if not annotation.find_outdated():
            done = names.keys() & annotation.list_detected()
    num_left = len(names) - len(done)
    text = f'{num_left:,} images' if num_left else 'labels are selected again'
    return Step(name, text, images=num_left)


def plan_tuning(
    stages: Stages, name: str, folder: Path, teacher: Path | None
) -> Step:
    """Return what is left to detect on validation images.

    Args:
        stages: The stages of the run.
        name: The name of the step.
        folder: The work folder of the stage.
        teacher: The checkpoint of the teacher; None if it is not there yet.

    Returns:
        The step; `done` if nothing is left.
    """
    if teacher and stages.detection('tune', folder, teacher).is_done():
        return Step(name, 'done')
    num_images = len(stages.experiment.build_images('tune'))
    views = [
        len(stages.experiment.load(stage).model.get('views') or [None])
        for stage in ('tune', 'annotate')
    ]
    return Step(
        name,
        f'{num_images:,} images, {views[0]} views',
        # An image takes as long as its views.
        images=round(num_images * views[0] / views[1]),
    )


@dataclass(frozen=True)
class Rates:
    """The time that trainings and annotations take.

    Args:
        iteration: The seconds of an iteration of training; 0 if nothing is
            left to do.
        image: The seconds of an annotated image; 0 if none is left.
    """

    iteration: float
    image: float

    @classmethod
    def measure(cls, stages: Stages, found: Sequence[Step]) -> 'Rates':
        """Measure the times that some steps need.

        Args:
            stages: The stages of the run.
            found: The steps.

        Returns:
            The times; 0 for what no step needs.

        Raises:
            StageError: If a measurement fails.
            SystemExit: If a signal stops this process.
        """
        iteration = image = 0.0
        with temporary_folder() as folder:
            if any(step.iterations or step.images for step in found):
                say('measuring some iterations of teacher.py ...')
                iteration = measure_iteration(stages, folder)
            if any(step.images for step in found):
                say('measuring some images of annotate.py ...')
                given = stages.experiment.teachers
                teacher = (given or [require_checkpoint(folder)])[0]
                image = measure_image(stages, folder, teacher)
        return cls(iteration, image)

    def estimate(self, step: Step) -> float:
        """Return how many seconds a step takes, by these rates.

        Args:
            step: The step.
        """
        return step.iterations * self.iteration + step.images * self.image

    def __str__(self) -> str:
        """Return what was measured, as text."""
        texts = []
        if self.iteration:
            texts.append(f'{self.iteration:.2f} s an iteration')
        if self.image:
            texts.append(f'{self.image:.2f} s an image')
        measured = f'measured: {", ".join(texts)}; ' if texts else ''
        return f'{measured}starting and evaluating take extra time'


def measure_iteration(stages: Stages, folder: Path) -> float:
    """Measure an iteration by training a teacher for a few of them.

    If a teacher is given, a control is trained instead.

    Args:
        stages: The stages of the run.
        folder: The folder that the checkpoint goes to.

    Returns:
        The median of the seconds of an iteration.

    Raises:
        StageError: If the training fails.
    """
    is_given = bool(stages.experiment.teachers)
    stage = 'supervised_long' if is_given else 'teacher'
    num = NUM_WARM_UP + NUM_MEASURED
    options = (
        f'train_cfg.max_iters={num}',
        # No validation: its images may be many.
        f'train_cfg.val_begin={num + 1}',
        'default_hooks.logger.interval=1',
        # It takes longer than an iteration; `TimeLimitHook` saves the weights.
        f'default_hooks.checkpoint.interval={num + 1}',
        'default_hooks.checkpoint.save_last=False',
        'default_hooks.time_limit.type=mmdet.TimeLimitHook',
        f'default_hooks.time_limit.max_seconds={MAX_SECONDS}',
        *stages.experiment.options_for(stage),
    )
    config = stages.experiment.config(stage)
    capture_output(
        stages.launcher.train(config, folder, *make_flags({}, options))
    )
    (log,) = folder.glob('*/vis_data/scalars.json')
    lines = map(json.loads, log.read_text().splitlines())
    times = [line['time'] for line in lines if 'loss' in line]
    return statistics.median(times[NUM_WARM_UP:] or times[1:] or times)


def measure_image(stages: Stages, folder: Path, teacher: Path) -> float:
    """Measure annotation by annotating a few images.

    Args:
        stages: The stages of the run.
        folder: The folder that results would go to.
        teacher: A checkpoint. Its quality matters little for the time.

    Returns:
        The seconds of an image, with all processes at work.

    Raises:
        StageError: If the annotation fails.
    """
    flags = make_flags(
        stages.experiment.values_for('annotate'),
        stages.experiment.options_for('annotate'),
    )
    command = stages.launcher.for_annotation().test(
        stages.experiment.config('annotate'),
        teacher,
        folder / 'annotate',
        '--dry-run',
        *flags,
    )
    return 1 / parse_speed(capture_output(command))


def parse_speed(output: str) -> float:
    """Return the speed that a trial of annotation has measured.

    Args:
        output: What `tools/test.py --dry-run` has printed.

    Returns:
        Images per second, of all processes together.

    Raises:
        StageError: If the output names no speed.
    """
    match = RATE.search(output)
    if match is None:
        raise StageError(
            'measuring failed: annotation must print `measured on ... images: '
            f'... images/s`, got:\n{output[-MAX_OUTPUT:]}'
        )
    return float(match[1])
