"""Makes an experiment of a detector's config and a user's data."""

import itertools
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..coco.image_checks import find_problems
from ..coco.problems import Problem, format_problems
from ..coco.reading import CocoError
from ..coco.tables import CocoFile, read_file
from ..experiment.definition import Experiment
from .data import Sources
from .detector import DetectorConfig, DetectorError, sides_of
from .plan import (
    MIN_IMAGES_SEEN,
    MIN_STUDENT_FACTOR,
    Data,
    Plan,
    compute_iterations,
)
from .schedule import Schedule
from .stage_configs import NewExperiment

MAX_SHOWN = 5
WHOLE_NUMBERS = (
    'batch_size',
    'gpus',
    'iterations',
    'student_iterations',
    'image_size',
)


@dataclass(frozen=True)
class ExperimentOptions:
    """What a user may decide; None to have it chosen.

    Args:
        scales: See `Plan.view_scales`.
        ratio: See `Plan`.
        from_scratch: See `Plan`.
        no_flip: Without mirrored views.
        batch_size: See `Plan`.
        gpus: How many processes will train.
        iterations: See `Plan`.
        student_iterations: See `Plan`.
        image_size: The longest side of images at test time, in pixels.
        allow_problems: Go on with data in which something was found.
    """

    scales: Sequence[float]
    ratio: Sequence[float]
    from_scratch: bool = False
    no_flip: bool = False
    batch_size: int | None = None
    gpus: int = 1
    iterations: int | None = None
    student_iterations: int | None = None
    image_size: int | None = None
    allow_problems: bool = False

    def __post_init__(self) -> None:
        for name in WHOLE_NUMBERS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        for name in ('scales', 'ratio'):
            if not all(value > 0 for value in getattr(self, name)):
                raise ValueError(
                    f'{name} must be positive, got {getattr(self, name)}'
                )


def init_experiment(
    out: Path, detector_name: str, sources: Sources, options: ExperimentOptions
) -> list[str]:
    """Write an experiment folder.

    Args:
        out: The folder; must not be there.
        detector_name: A path, or `mmdet::family/name.py`.
        sources: Where the data is.
        options: What the user has decided.

    Returns:
        Lines that say what was chosen, and why.

    Raises:
        ValueError: If detector, data or options do not fit; nothing is left
            of `out`.
        FileNotFoundError: If a file or folder does not exist.
        FileExistsError: If there is something at `out`.
    """
    detector = DetectorConfig.read(detector_name)
    if out.exists():
        raise FileExistsError(f'{out} exists already: choose another folder')
    try:
        data = sources.gather(out / 'annotations')
        if not options.allow_problems:
            check_data(data)
        plan = make_plan(detector, data, options)
        NewExperiment(out.name, detector, data, plan).write(out)
        check_stages(out)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return list(explain(out, detector, data, plan, options))


def check_data(data: Data) -> None:
    """Check the files and images with labels.

    Raises:
        ValueError: With all that is wrong.
    """
    sets = [data.labeled, data.val]
    read = [read_file(Path(images.ann_file)) for images in sets]
    unread = [problem for problem in read if isinstance(problem, Problem)]
    files = [file for file in read if isinstance(file, CocoFile)]
    folders = [Path(images.folder) for images in sets]
    found = [] if unread else find_problems(files, folders)
    lines = format_problems(itertools.chain(unread, found), MAX_SHOWN)
    if lines:
        raise ValueError(
            '\n'.join(['the data has problems:', *lines])
            + '\nMend them (tools/check_coco.py --fix helps), or go on with '
            '--allow-problems'
        )


def make_plan(
    detector: DetectorConfig, data: Data, options: ExperimentOptions
) -> Plan:
    """Choose the numbers that the user has left open.

    Args:
        detector: What is trained.
        data: On what.
        options: What the user has decided.

    Raises:
        ValueError: If images of another size are wanted than the detector is
            made for.
    """
    batch_size = (
        options.batch_size or detector.cfg.train_dataloader['batch_size']
    )
    step = batch_size * options.gpus
    epochs = Schedule.of(detector.cfg).count_epochs(step)
    num_labeled = data.labeled.count
    iterations = options.iterations or compute_iterations(
        num_labeled, epochs, step, MIN_IMAGES_SEEN
    )
    student_iterations = MIN_STUDENT_FACTOR * iterations
    if not options.iterations:
        num_images = num_labeled + data.unlabeled.count
        student_iterations = max(
            compute_iterations(num_images, epochs, step, 0), student_iterations
        )
    # A model for one size of images sees nothing in others.
    scales = (1.0,) if detector.has_fixed_size else options.scales
    return Plan(
        batch_size=batch_size,
        num_processes=options.gpus,
        iterations=iterations,
        student_iterations=options.student_iterations or student_iterations,
        size_factor=compute_size_factor(detector, options.image_size),
        from_scratch=options.from_scratch,
        view_scales=scales,
        flip=not options.no_flip,
        ratio=options.ratio,
    )


def compute_size_factor(
    detector: DetectorConfig, image_size: int | None
) -> float:
    """Return by what the detector's image sizes are to be multiplied.

    Raises:
        DetectorError: If they cannot be changed.
    """
    if not image_size:
        return 1.0
    resize = detector.test_resize
    if detector.has_fixed_size or not resize:
        raise DetectorError(
            f'{detector.name} is made for one size of images: leave '
            '--image-size out'
        )
    return image_size / max(sides_of(resize))


def check_stages(folder: Path) -> None:
    """Build what the stages need: better now than after the teacher.

    Raises:
        DetectorError: If the detector cannot be built, or its pipeline fails.
        ValueError, FileNotFoundError: If the data cannot be used.
    """
    Experiment(folder, ('teacher', 'student', 'supervised_long')).check()
    cfg = Config.fromfile(folder / 'teacher.py')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    try:
        MODELS.build(cfg.model)
        DATASETS.build(cfg.train_dataloader.dataset)[0]
        DATASETS.build(cfg.test_dataloader.dataset)[0]
        if (folder / 'oracle.py').is_file():
            oracle = Config.fromfile(folder / 'oracle.py')
            DATASETS.build(oracle.train_dataloader.dataset)
    except CocoError:
        raise
    # Whatever a detector of somebody else raises.
    except Exception as error:
        raise DetectorError(
            f'the detector cannot be used with this data: {error!r}'
        ) from error


def explain(
    out: Path,
    detector: DetectorConfig,
    data: Data,
    plan: Plan,
    options: ExperimentOptions,
) -> Iterator[str]:
    """Yield what was chosen and why, then what to do next."""
    yield f'detector    {detector.name}'
    if detector.train_dataset.left_out:
        wrappers = ', '.join(detector.train_dataset.left_out)
        yield f'            without {wrappers}: iterations are counted'
    yield f'classes     {len(data.classes)}: {", ".join(data.classes[:8])}'
    yield (
        f'images      {data.labeled.count:,} labeled, '
        f'{data.unlabeled.count:,} unlabeled, {data.val.count:,} to validate'
    )
    yield from (f'            {note}' for note in data.notes)
    yield f'size        {describe_sizes(detector, plan)}'
    yield f'batch       {plan.batch_size} x {plan.num_processes} images'
    yield from explain_lengths(detector, data, plan, options)
    yield f'weights     {describe_weights(detector, plan)}'
    yield f'wrote {out}/: the configs are yours. Next:'
    flags = '--control --oracle' if data.truth_file else '--control'
    if plan.num_processes > 1:
        flags += f' --launcher pytorch --gpus {plan.num_processes}'
    yield f'python tools/distill.py {shlex.quote(str(out))} {flags}'


def explain_lengths(
    detector: DetectorConfig,
    data: Data,
    plan: Plan,
    options: ExperimentOptions,
) -> Iterator[str]:
    """Yield how long the trainings are, and why."""
    schedule = Schedule.of(detector.cfg)
    epochs = schedule.count_epochs(plan.batch_size * plan.num_processes)
    teacher = student = 'as you said'
    if not options.iterations:
        teacher = (
            f'{epochs:.1f} epochs as in its config, but at least '
            f'{MIN_IMAGES_SEEN:,} images'
        )
    if not options.student_iterations:
        num_images = data.labeled.count + data.unlabeled.count
        student = f"at least {MIN_STUDENT_FACTOR} times the teacher's"
        if not options.iterations:
            student = f'as many epochs of {num_images:,} images, {student}'
    yield f'teacher     {plan.iterations:,} iterations: {teacher}'
    yield f'student     {plan.student_iterations:,} iterations: {student}'
    if schedule.images_per_iteration:
        yield '            the learning rate follows by the linear rule'
    else:
        yield '            the learning rate is as in its config'


def describe_sizes(detector: DetectorConfig, plan: Plan) -> str:
    """Say how large the images are."""
    resize = detector.test_resize
    if not resize:
        return "as in the detector's config, views as in its `tta_pipeline`"
    sides = ' x '.join(f'{plan.size_factor * s:.0f}' for s in sides_of(resize))
    low, high = min(plan.view_scales), max(plan.view_scales)
    return f'{sides} at test time, views {low:g} to {high:g} times that'


def describe_weights(detector: DetectorConfig, plan: Plan) -> str:
    """Say where training starts."""
    if plan.from_scratch:
        return 'none: from scratch, nothing frozen'
    if detector.from_scratch_changes():
        return "as pretrained as in the detector's config"
    return "none in the detector's config: from scratch"
