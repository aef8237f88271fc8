"""The plan of an experiment: what is left to do, and how long it takes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ...text import format_duration, format_roughly, format_table
from ...training.finished import find_ending
from ...training.resume import count_done, find_last_checkpoint
from ..stages.model_names import CONTROL
from ..stages.run import Distillation
from ..stages.stage_results import name_round_dir
from ..stages.stages import Stages
from ..stages.training import is_teacher_control
from .rates import PlannedStage, Rates


def format_plan(runs: Sequence[Distillation]) -> str:
    """Plan runs of an experiment, and measure how long they would take.

    A few iterations and images are run. Their results go to a folder that is
    deleted, and the work folders stay as they are.

    Args:
        runs: The runs, which would follow one another; at least one, and all
            of one experiment.

    Returns:
        A table of the stages for each run, and the time of all runs.

    Raises:
        StageError: If a measurement fails.
        ValueError: If a stage cannot be used, or its config counts epochs.
        FileNotFoundError: If a file of a stage does not exist.
        ImportError: If a config imports a module that is not there.
        SystemExit: If a signal stops this process.
        OSError: If the folder that is deleted cannot be written.
    """
    stages = runs[0].stages
    runs[0].check()
    found = {run.work_dir: list(list_planned_stages(run)) for run in runs}
    every = [stage for one in found.values() for stage in one]
    rates = Rates.measure(stages, every)
    total = format_roughly(sum(map(rates.estimate, every)))
    tables = [
        format_run(work_dir, one, rates) for work_dir, one in found.items()
    ]
    return '\n'.join([*tables, f'in all about {total}; {rates}'])


def format_run(
    work_dir: Path, found: Sequence[PlannedStage], rates: Rates
) -> str:
    """Format the table of one run.

    Args:
        work_dir: The work folder of the run.
        found: The stages, in order.
        rates: The times that they take.

    Returns:
        The lines of the table.
    """
    table = Table('stage', 'to do', title=f'Plan: {work_dir}')
    table.add_column('time', justify='right')
    for stage in found:
        table.add_row(
            stage.name, stage.text, format_duration(rates.estimate(stage))
        )
    return format_table(table)


def list_planned_stages(distillation: Distillation) -> Iterator[PlannedStage]:
    """List the stages of a run in the order in which they would run.

    Args:
        distillation: The run.

    Yields:
        Each stage, also those that are done: the teacher, then those of each
        round (tuning if there is any, annotation, student), then the other
        models.

    Raises:
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or an option cannot be used, or counts epochs.
        StageError: If a folder holds results of another seed.
        StoreError: If shards of a stage differ in what made them.
        CocoError: If a file of labels or images cannot be used.
    """
    stages, work_dir = distillation.stages, distillation.work_dir
    given = stages.experiment.teachers
    stage = PlannedStage('teacher', 'as given')
    if not given:
        stage = plan_training(stages, 'teacher', work_dir / 'teacher')
    yield stage
    folder = work_dir / 'teacher'
    for number in range(1, distillation.num_rounds + 1):
        # A training that goes on, or runs again, will have another checkpoint.
        teacher = None if stage.iterations else find_last_checkpoint(folder)
        if given and number == 1:
            teacher = given[0]
        folder = name_round_dir(work_dir, number) / 'student'
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
        # It is the teacher of the next round.
        stage = plan_student(stages, f'{name}student', folder, annotation)
        yield stage
    for model in stages.experiment.models:
        if model not in ('teacher', 'student'):
            yield plan_bound(stages, model, work_dir / model)


def plan_bound(stages: Stages, model: str, folder: Path) -> PlannedStage:
    """Find what is left to train of the control or the oracle.

    Args:
        stages: The stages of the run.
        model: The name of the model.
        folder: Its work folder.

    Returns:
        The stage, see `plan_training`; nothing is left of a control that the
        teacher is.

    Raises:
        StageError: If the folder holds results of another seed.
        FileNotFoundError: If a config is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or an option cannot be used, or counts epochs.
    """
    if model == CONTROL and is_teacher_control(stages.experiment):
        return PlannedStage(model, 'done with the teacher')
    return plan_training(stages, model, folder)


def plan_student(
    stages: Stages, name: str, folder: Path, annotation: PlannedStage
) -> PlannedStage:
    """Find what is left to train of a student.

    Args:
        stages: The stages of the run.
        name: The name of the stage.
        folder: The work folder of the student.
        annotation: The stage before it.

    Returns:
        The stage; all iterations are left if its labels are not there yet.

    Raises:
        FileNotFoundError: If the config or the file of pseudo labels is
            missing.
        ImportError: If the config imports a module that is not there.
        ValueError: If the config or an option cannot be used, or it counts
            epochs.
        StageError: If the folder holds results of another seed.
    """
    if annotation.text != 'done':
        total = stages.experiment.count_iterations('student')
        return PlannedStage(name, f'{total:,} iterations', total)
    labels = folder.with_name('annotate') / PSEUDO_LABELS
    return replace(plan_training(stages, 'student', folder, labels), name=name)


def plan_training(
    stages: Stages, stage: str, folder: Path, labels: Path | None = None
) -> PlannedStage:
    """Find what is left to train of a model.

    Args:
        stages: The stages of the run.
        stage: The name of the model, one of `TRAINED`.
        folder: The work folder of the stage.
        labels: The file of pseudo labels; None for other models than the
            student.

    Returns:
        The stage; it says why, if the model is trained again.

    Raises:
        StageError: If the folder holds results of another seed.
        FileNotFoundError: If the config or the file of pseudo labels is
            missing.
        ImportError: If the config imports a module that is not there.
        ValueError: If the config or an option cannot be used, or it counts
            epochs.
    """
    total = stages.experiment.count_iterations(stage)
    text = f'{total:,} iterations'
    training = stages.prepare_training(stage, folder, labels)
    training.check_seed()
    if reasons := training.find_changes():
        return PlannedStage(stage, f'{text}, again: {reasons[0]}', total)
    if find_ending(folder).checkpoint:
        return PlannedStage(stage, 'done')
    if done := count_done(folder):
        text = f'{total - done:,} of {text}'
    return PlannedStage(stage, text, total - done)


def plan_annotation(
    stages: Stages, name: str, folder: Path, teacher: Path | None
) -> PlannedStage:
    """Find what is left to annotate.

    Args:
        stages: The stages of the run.
        name: The name of the stage.
        folder: The work folder of the annotation.
        teacher: The checkpoint of the teacher; None if it is not there yet.

    Returns:
        The stage; `done` if nothing is left. All images are left if the
        teacher is not there yet.

    Raises:
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config, an option or the images cannot be used.
        StoreError: If shards in the folder differ in what made them.
        CocoError: If a file of labels or images cannot be used.
    """
    names = stages.experiment.build_images('annotate').map_image_ids()
    done: set[str] = set()
    if teacher:
        annotation = stages.prepare_detection('annotate', folder, teacher)
        if annotation.is_done():
            return PlannedStage(name, 'done')
        if not annotation.find_outdated():
            done = names.keys() & annotation.list_detected()
    num_left = len(names) - len(done)
    text = f'{num_left:,} images' if num_left else 'labels are selected again'
    return PlannedStage(name, text, images=num_left)


def plan_tuning(
    stages: Stages, name: str, folder: Path, teacher: Path | None
) -> PlannedStage:
    """Find what is left to detect on validation images.

    Args:
        stages: The stages of the run.
        name: The name of the stage.
        folder: The work folder of the stage.
        teacher: The checkpoint of the teacher; None if it is not there yet.

    Returns:
        The stage; `done` if nothing is left, otherwise all images. Its
        `images` are as many as annotation would make of as many views.

    Raises:
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config, an option or the images cannot be used.
        StoreError: If shards in the folder differ in what made them.
    """
    if teacher and stages.prepare_detection('tune', folder, teacher).is_done():
        return PlannedStage(name, 'done')
    num_images = len(stages.experiment.build_images('tune'))
    views = [
        len(stages.experiment.load(stage).model.get('views') or [None])
        for stage in ('tune', 'annotate')
    ]
    return PlannedStage(
        name,
        f'{num_images:,} images, {views[0]} views',
        # An image takes as long as its views.
        images=round(num_images * views[0] / views[1]),
    )
