"""What a rehearsal tries: the stages of a run that are not finished."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ...training.finished import find_ending
from ..stages.definition import Experiment, find_pseudo_label_key
from ..stages.detection import DETECTIONS
from ..stages.run import Distillation
from ..stages.stages import Stages
from ..stages.training import Training


@dataclass(frozen=True)
class StageToTry:
    """A stage to try. It can be written as JSON.

    Args:
        name: The name of the stage.
        config: The path of its config.
        is_training: Whether it trains a model; otherwise a teacher detects.
        values: The values of its config that are those of this run: key with
            dots -> value.
        options: The changes of its config that the user wants, as
            `--cfg-options` takes them.
        teacher: The checkpoint of the teacher; empty for that of this
            rehearsal, and for stages without one.
        labels_key: Where its config names the pseudo labels, if those of this
            rehearsal stand in for them; otherwise empty.
        validation_key: Where its config names the detections on validation
            images, if those of this rehearsal stand in; otherwise empty.
    """

    name: str
    config: str
    is_training: bool
    values: dict[str, object] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    teacher: str = ''
    labels_key: str = ''
    validation_key: str = ''


def list_stages_to_try(distillation: Distillation) -> list[StageToTry]:
    """List the stages of a run that are not finished.

    Later rounds have the same configs as the first, so they are not listed.

    Args:
        distillation: The run. Nothing of it is changed.

    Returns:
        The stages: the teacher, those of `list_detections`, and the other
        models in the order of the experiment; empty if all are finished.

    Raises:
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or an option cannot be used.
        StoreError: If shards of a stage differ in what made them.
        CocoError: If a file of labels or images cannot be used.
    """
    stages, work_dir = distillation.stages, distillation.work_dir
    training = stages.prepare_training('teacher', work_dir / 'teacher')
    given = stages.experiment.teachers
    teacher = given[0] if given else find_finished(training)
    to_try = [] if teacher else [make_training(training)]
    detections = list(list_detections(stages, work_dir, teacher))
    to_try += detections
    labels = work_dir / 'annotate' / PSEUDO_LABELS
    is_labeled = all(stage.name != 'annotate' for stage in detections)
    for model in stages.experiment.models:
        if model == 'teacher':
            continue
        # A finished student counts as such only for the labels it was trained
        # on, and those that are still to be written are not known.
        known = labels if model == 'student' and is_labeled else None
        training = stages.prepare_training(model, work_dir / model, known)
        if model == 'student' and not is_labeled:
            to_try.append(make_training(training, needs_labels=True))
        elif not find_finished(training):
            to_try.append(make_training(training))
    return to_try


def find_finished(training: Training) -> Path | None:
    """Find the checkpoint of a training that is finished.

    Args:
        training: The training.

    Returns:
        The checkpoint; None if the training is not finished, or has changed.

    Raises:
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or an option cannot be used.
    """
    if training.find_changes():
        return None
    return find_ending(training.folder).checkpoint


def make_training(
    training: Training, needs_labels: bool = False
) -> StageToTry:
    """Make the stage of a training.

    Args:
        training: The training.
        needs_labels: Whether its pseudo labels are not there yet.

    Returns:
        The stage.

    Raises:
        FileNotFoundError: If there is no such config.
        ImportError: If the config imports a module that is not there.
        ValueError: If the config or an option cannot be used, or the config of
            a student does not name one file of pseudo labels.
    """
    experiment, key = training.experiment, ''
    if needs_labels:
        key = find_pseudo_label_key(experiment.load(training.stage))
    return StageToTry(
        training.stage,
        str(experiment.config(training.stage)),
        is_training=True,
        values=training.make_values(),
        options=experiment.list_options(training.stage),
        labels_key=key,
    )


def list_detections(
    stages: Stages, work_dir: Path, teacher: Path | None
) -> Iterator[StageToTry]:
    """List the stages in which the first teacher still has to detect.

    Args:
        stages: The stages of the run.
        work_dir: The folder of the results.
        teacher: The checkpoint of the teacher; None if it is not there yet.

    Yields:
        Each stage, in the order of a rehearsal: `validate`, `tune`,
        `annotate`.

    Raises:
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or an option cannot be used.
        StoreError: If shards of a stage differ in what made them.
        CocoError: If a file of labels or images cannot be used.
    """
    experiment = stages.experiment
    names = ['annotate']
    if stages.can_tune(says=False):
        names.insert(0, 'tune')
        stages = stages.use_choice(work_dir / 'tune')
    if stages.can_validate():
        names.insert(0, 'validate')
    validated = None
    for name in names:
        checkpoint = teacher or Path()
        detection = stages.prepare_detection(name, work_dir / name, checkpoint)
        if teacher and detection.is_done():
            if name == 'validate':
                validated = detection.folder
            continue
        stage = StageToTry(
            name,
            str(stages.experiment.config(name)),
            is_training=False,
            values=stages.experiment.make_values(name),
            options=stages.experiment.list_options(name),
            teacher=str(teacher or ''),
        )
        if name == 'annotate':
            stage = name_validation(stage, experiment, validated)
        yield stage


def name_validation(
    stage: StageToTry, experiment: Experiment, validated: Path | None
) -> StageToTry:
    """Say where annotation finds the detections on validation images.

    Args:
        stage: The annotation.
        experiment: The stage configs.
        validated: The work folder of the stage that has made these detections;
            None if the rehearsal makes some.

    Returns:
        The annotation; the same if it needs no such detections.

    Raises:
        FileNotFoundError: If there is no such config.
        ImportError: If the config imports a module that is not there.
        ValueError: If the config or an option cannot be used.
    """
    key = experiment.find_validation_key()
    if not key:
        return stage
    if validated is None:
        return replace(stage, validation_key=key)
    found = str(validated / DETECTIONS)
    return replace(stage, values={**stage.values, key: found})
