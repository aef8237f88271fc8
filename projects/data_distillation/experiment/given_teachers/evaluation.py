"""Teachers that are given: what is known of them, and their evaluation."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ...files.atomic import read_json, write_json
from ...files.digest import compute_sha256
from ...multi_view.inference.checkpoint_error import CheckpointError
from ...multi_view.inference.checkpoints import check_weights
from ...multi_view.inference.safe_loading import refusing_code
from ...multi_view.inference.tta import MultiViewTTA
from ...text import format_checkpoint
from .teacher import load_content

# In the work folder of the teacher: what is known of models at the start.
RECORD = 'given.json'
# What models are trained on, if no image is labeled.
LABEL_FREE = dict(
    student='pseudo-labeled alone', oracle='truth alone: upper bound'
)


class HasStages(Protocol):
    """What is needed here of an experiment, see `stages.definition`."""

    @property
    def folder(self) -> Path:
        """The folder of the stage configs."""
        ...

    @property
    def teachers(self) -> tuple[Path, ...]:
        """The checkpoints of given teachers."""
        ...

    @property
    def is_label_free(self) -> bool:
        """Whether the student is trained on pseudo labels alone."""
        ...

    def config(self, stage: str) -> Path:
        """Return where the config of a stage is.

        Args:
            stage: The name of the stage.

        Returns:
            The path.
        """
        ...

    def load(self, stage: str) -> Config:
        """Read the config of a stage.

        Args:
            stage: The name of the stage.

        Returns:
            The config.

        Raises:
            FileNotFoundError, ImportError, ValueError: See `Experiment.load`.
        """
        ...


def name_teacher(number: int) -> str:
    """Name a given teacher.

    Args:
        number: The number of the teacher, from 0.

    Returns:
        `teacher`, `teacher2` and so on.
    """
    return f'teacher{number + 1}' if number else 'teacher'


def find_evaluation_changes(
    cfg: Config, number: int, experiment: HasStages
) -> dict:
    """Return what to change so that `teacher.py` evaluates a given teacher.

    Args:
        cfg: The config of `teacher.py`, which evaluates the first teacher or
            trains one.
        number: The number of the teacher, starting with 0.
        experiment: The experiment.

    Returns:
        The new `model` and `custom_hooks`, as JSON has them; empty if nothing
        is to be changed.

    Raises:
        FileNotFoundError, ImportError, ValueError: See `Experiment.load`.
        ValueError: Also if `annotate.py` has fewer teachers.
    """
    is_for_first = cfg.model.type == 'GivenDetector'
    if is_for_first and not number:
        return {}
    model = {} if is_for_first else dict(module=cfg.model)
    if is_for_first:
        model = {k: v for k, v in cfg.model.items() if k != 'type'}
    if number:
        annotate = experiment.load('annotate')
        others = annotate.model.get('other_teachers') or []
        if number > len(others):
            raise ValueError(
                f'there is no teacher {number + 1}: '
                f'{experiment.config("annotate")} has {1 + len(others)}'
            )
        other = others[number - 1]
        names = {key: other.get(key) for key in ('classes', 'class_map')}
        model = dict(module=other.get('module', model['module']), **names)
    given = dict(_delete_=True, type='GivenDetector', **model)
    hooks = [*(cfg.get('custom_hooks') or []), dict(type='GivenDetectorHook')]
    # As `--cfg-json` passes them: what JSON lacks becomes a text, and a tuple
    # a list.
    return json.loads(
        json.dumps(dict(model=given, custom_hooks=hooks), default=str)
    )


def check_teachers(experiment: HasStages, num_rounds: int) -> None:
    """Check the checkpoints of given teachers before anything runs.

    All must be there, and the weights and classes of all must fit.

    Args:
        experiment: The experiment, with at least one given teacher.
        num_rounds: The largest number of rounds.

    Raises:
        FileNotFoundError: If a checkpoint or a config does not exist.
        CheckpointError: If one is of another model, has NaN, lacks a class,
            is cut short or no checkpoint, or could run code.
        ValueError: If the student could not be the next teacher, or a config
            or an option cannot be used.
        ImportError: If a config imports a module that is not there.
        Exception: Whatever else building the model of `annotate.py` raises.
    """
    # Each of them: an error of MMEngine would not name a file that is cut
    # short. The first one comes last, to be checked below.
    for file in reversed(experiment.teachers):
        content = load_content(file)
    cfg = experiment.load('annotate')
    if num_rounds > 1 and (
        cfg.model.get('classes') or cfg.model.get('class_map')
    ):
        raise ValueError(
            '--rounds needs a teacher with the names of the labeled file: the '
            'student, which is the next teacher, has other classes than '
            f'`class_map` or `classes` of {experiment.config("annotate")} say'
        )
    model = build_annotator(cfg, experiment.config('annotate'))
    try:
        check_weights(model.module, content.get('state_dict', content))
        classes = cfg.test_dataloader.dataset.metainfo.classes
        model.fit_classes(content.get('meta') or {}, classes)
    except CheckpointError as error:
        raise CheckpointError(
            f'{experiment.teachers[0]} cannot be the teacher of '
            f'{experiment.folder}: {error}. For a teacher that is another '
            'detector than the student, write the experiment with '
            'tools/init_experiment.py --teacher'
        ) from None


def build_annotator(cfg: Config, file: Path) -> MultiViewTTA:
    """Build the model that annotates. MMEngine's default scope is set too.

    Args:
        cfg: The config of `annotate.py`.
        file: Its path, for the error.

    Returns:
        The model, with the weights of all teachers but the first.

    Raises:
        ValueError: If a type is not registered, or does not take an argument.
        Exception: See `check_teachers`.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    try:
        with refusing_code():
            return MODELS.build(cfg.model)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'`model` of {file} cannot be built: {type(error).__name__}: '
            f'{error}'
        ) from error


def record_models(experiment: HasStages, folder: Path) -> dict:
    """Write down which teachers are given, and the sizes of the models.

    Args:
        experiment: The experiment.
        folder: The work folder of the teacher, which gets the file `RECORD`.

    Returns:
        `teachers`, each with `name`, `checkpoint`, `sha256` and `parameters`;
        `student` with `parameters`; and `is_label_free`. `sha256` is in
        hexadecimal (None if there is no such file), and `parameters` is a
        number, see `count_parameters`.

    Raises:
        FileNotFoundError, ImportError, ValueError: See `Experiment.load`.
        CheckpointError: If a checkpoint that a model loads could run code, or
            one of a later teacher is of another model.
        OSError: If the record cannot be written, or a checkpoint not be read.
        ValueError: If `annotate.py` has another number of teachers.
        Exception: Whatever else building a model raises.
    """
    cfg = experiment.load('annotate')
    model = build_annotator(cfg, experiment.config('annotate'))
    with refusing_code():
        student = MODELS.build(experiment.load('student').model)
    record = dict(
        teachers=[
            dict(
                name=name_teacher(number),
                checkpoint=str(file),
                sha256=compute_sha256(file),
                parameters=count_parameters(teacher),
            )
            for number, (file, teacher) in enumerate(
                zip(experiment.teachers, model.teachers, strict=True)
            )
        ],
        student=dict(parameters=count_parameters(student)),
        is_label_free=experiment.is_label_free,
    )
    write_json(folder / RECORD, record)
    return record


def count_parameters(model: torch.nn.Module) -> int:
    """Count the weights of a model.

    Args:
        model: The model.

    Returns:
        The number of single weights, those that do not train among them. A
        shared one counts once; statistics of norms are no weights.
    """
    return sum(one.numel() for one in model.parameters())


def read_record(work_dir: Path) -> dict:
    """Read what `record_models` wrote.

    Args:
        work_dir: The work folder of a run.

    Returns:
        The record; empty if no teacher is given, or the file is damaged.
    """
    record = read_json(work_dir / 'teacher' / RECORD)
    return record if isinstance(record, dict) else {}


def forget_record(folder: Path) -> None:
    """Delete the record, if there is one, since a teacher is trained now.

    Args:
        folder: The work folder of the teacher.

    Raises:
        OSError: If it cannot be deleted.
    """
    (folder / RECORD).unlink(missing_ok=True)


def read_speed(folder: Path) -> float | None:
    """Return the speed of the last evaluation of a model.

    Args:
        folder: The work folder of its training.

    Returns:
        Images per second of one process, without loading; None if unknown. A
        batch has one image if `settings.json` does not say otherwise.

    Raises:
        ValueError: If the file with the metrics is no JSON.
        OSError: If that file cannot be read.
    """
    # MMEngine names them by the time, so that the last is the newest.
    files = sorted((folder / 'test').glob('*/[0-9]*.json'))
    metrics = json.loads(files[-1].read_bytes()) if files else {}
    settings = read_json(folder / 'test' / 'settings.json')
    loader: dict = {}
    if isinstance(settings, dict):
        loader = settings.get('test_dataloader') or {}
    # Without loading the images, which depends on no model.
    seconds = metrics.get('time', 0) - metrics.get('data_time', 0)
    batch_size = loader.get('batch_size', 1)
    return batch_size / seconds if seconds > 0 else None


def add_speeds(record: Mapping, work_dir: Path) -> dict:
    """Add speeds to what is known of given teachers and the student.

    Args:
        record: What `record_models` wrote; empty if no teacher is given.
        work_dir: The work folder of the run.

    Returns:
        A new record, with the speed of each model as `images_per_second`, see
        `read_speed`; empty if `record` is.

    Raises:
        ValueError, OSError: See `read_speed`.
    """
    if not record:
        return {}
    teachers = [
        dict(one, images_per_second=read_speed(work_dir / one['name']))
        for one in record['teachers']
    ]
    speed = read_speed(work_dir / 'student')
    return dict(
        record,
        teachers=teachers,
        student=dict(record['student'], images_per_second=speed),
    )


def name_data(record: Mapping) -> dict[str, str]:
    """Say for the table what models are trained on, if a teacher is given.

    Args:
        record: What `record_models` wrote; empty if no teacher is given.

    Returns:
        Name of the model -> text: each teacher; and if no image is labeled,
        the models that are trained.
    """
    teachers = {
        one['name']: f'as given: {Path(one["checkpoint"]).name}'
        for one in record.get('teachers', ())
    }
    return teachers | (LABEL_FREE if record.get('is_label_free') else {})


def is_label_free(trained_on: Mapping[str, str]) -> bool:
    """Return whether a student learned from pseudo labels alone.

    Args:
        trained_on: Name of a model -> what it is trained on, see `name_data`.

    Returns:
        Whether `name_data` says so; False without a student.
    """
    return trained_on.get('student') == LABEL_FREE['student']


def describe_models(given: Mapping) -> Iterator[tuple[str, str]]:
    """Describe the given teachers and the student.

    Args:
        given: What `add_speeds` returns; empty if no teacher is given.

    Yields:
        The name, and the size and speed, of each, the student last; nothing
        if no teacher is given.
    """
    for one in given.get('teachers', ()):
        file = format_checkpoint(one['checkpoint'], one['sha256'])
        yield one['name'], f'as given, {file}: {describe_size(one)}'
    if given:
        yield 'student', describe_size(given['student'])


def describe_size(model: Mapping) -> str:
    """Describe the size and the speed of a model.

    Args:
        model: The record of the model, with `parameters`, and perhaps
            `images_per_second`.

    Returns:
        Such as `41.30 million parameters`; the speed if it is known.
    """
    text = f'{model["parameters"] / 1e6:,.2f} million parameters'
    if speed := model.get('images_per_second'):
        text += f', {speed:,.1f} images/s'
    return text
