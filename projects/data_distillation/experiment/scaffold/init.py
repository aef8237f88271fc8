"""Makes an experiment from the config of a detector and a user's data."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ...base_configs.augmentation import describe_augmentation
from ...files.atomic import whole_or_nothing
from ...label_files.coco.reading import CocoError
from ...mmdet_tools import name_work_dir
from ...multi_view.inference.checkpoints import CheckpointError
from ...multi_view.inference.safe_loading import refusing_code
from ...text import format_error
from ..given_teachers.options import TeacherOptions
from .changes import (
    describe_classes,
    describe_label_kind,
    describe_sizes,
    describe_weights,
    list_changes,
)
from .data import Sources
from .detector import DetectorConfig, DetectorError, get_sides
from .given import GivenExperiment, TeacherConfig
from .overrides import (
    check_class_weights,
    check_inner_teacher,
    check_load_from,
    check_monitors,
)
from .plan import (
    MIN_STUDENT_FACTOR,
    RECIPES,
    Data,
    ExperimentOptions,
    Plan,
    ViewRecipe,
    compute_iterations,
    explain_lengths,
)
from .schedule import Schedule
from .stage_configs import NewExperiment
from .trained_images import check_data, check_masks, measure_balance
from .views import keep_all_detections


def init_experiment(
    out: Path,
    detector_name: str,
    sources: Sources,
    options: ExperimentOptions,
    teacher_options: TeacherOptions | None = None,
) -> list[str]:
    """Write the folder of a new experiment.

    If this fails, nothing is left of the folder.

    Args:
        out: The folder, which must not exist yet.
        detector_name: The path of the detector's config, or
            `mmdet::family/name.py`.
        sources: The files and folders with the data.
        options: The options of the user.
        teacher_options: Those about teachers that are given; None to train
            one.

    Returns:
        Lines for the user: what was chosen and why, and what to do next.

    Raises:
        ValueError: If the detector, the teachers, the data or the options do
            not fit.
        FileNotFoundError: If a file or folder does not exist.
        FileExistsError: If `out` exists.
        ImportError: If a config imports a module that is not there.
        KeyError: If there is no such recipe, or a part of a config lacks what
            it needs.
        OSError: If a file of the experiment cannot be written.
    """
    detector = DetectorConfig.read(detector_name)
    if out.exists():
        raise FileExistsError(f'{out} exists already: see --overwrite')
    teachers = teacher_options.read() if teacher_options else []
    with whole_or_nothing(out):
        filters = detector.train_dataset.filter_settings
        data = sources.gather(out / 'annotations', filters)
        notes = check_data(
            data, filters, options.allow_problems, detector.has_masks
        )
        data = replace(data, notes=(*data.notes, *notes))
        check_detector(detector, data, options)
        plan = make_plan(detector, data, options)
        experiment = NewExperiment(name_results(out), detector, data, plan)
        if teachers:
            recipe = make_recipe(TeacherConfig.of(teachers[0]), options)
            experiment = GivenExperiment.of(experiment, teachers, recipe)
        experiment.write(out)
        check_stages(out)
        lines = explain_choices(out, detector, data, plan, options)
        if isinstance(experiment, GivenExperiment):
            lines = experiment.explain(lines)
        return list(lines)


def name_results(experiment: Path) -> str:
    """Name the folder of the results below `work_dirs/`.

    Args:
        experiment: The folder of the experiment.

    Returns:
        The path below `work_dirs/` that the tools use by default, with `/`.
    """
    return name_work_dir(experiment).relative_to('work_dirs').as_posix()


def check_detector(
    detector: DetectorConfig, data: Data, options: ExperimentOptions
) -> None:
    """Check that a detector can be trained on the data.

    Args:
        detector: The detector to train.
        data: The data of the experiment.
        options: The options of the user.

    Raises:
        CocoError: If it learns masks, and an object has none.
        DetectorError: If its config is for other classes, lacks weights, or
            has a hook that watches what is not measured.
        FileNotFoundError: If it learns masks, and a file of the data is
            missing.
    """
    if detector.has_masks:
        files = [images.ann_file for images in data.with_labels]
        files += [data.truth_file] if data.truth_file else []
        check_masks(files, detector.reads_only_polygons)
    check_class_weights(detector, len(data.classes))
    check_inner_teacher(detector, len(data.classes))
    check_monitors(detector, data.classes)
    check_load_from(detector, options.from_scratch)


def make_plan(
    detector: DetectorConfig, data: Data, options: ExperimentOptions
) -> Plan:
    """Choose the numbers that the user has left open.

    Args:
        detector: The detector to train.
        data: The data of the experiment.
        options: The options of the user.

    Returns:
        The numbers of all stages.

    Raises:
        ValueError: If the user wants another image size, but the detector is
            made for one size, or if its schedule cannot be read.
        CocoError, FileNotFoundError: See `measure_balance`.
        KeyError: If there is no such recipe.
    """
    batch_size = (
        options.batch_size or detector.cfg.train_dataloader['batch_size']
    )
    step = batch_size * options.gpus
    balance = measure_balance(detector.train_dataset, data)
    epochs = Schedule.of(detector.cfg).count_epochs(step, balance)
    num_labeled = data.labeled.count
    iterations = options.iterations or compute_iterations(
        num_labeled, epochs, step
    )
    student_iterations = MIN_STUDENT_FACTOR * iterations
    # If the user gives the teacher's iterations, the student's are in
    # proportion to them.
    if not options.iterations:
        num_images = num_labeled + data.unlabeled.count
        # 0: the least number of images is in the other length already.
        student_iterations = max(
            compute_iterations(num_images, epochs, step, 0), student_iterations
        )
    return Plan(
        batch_size=batch_size,
        num_processes=options.gpus,
        iterations=iterations,
        student_iterations=options.student_iterations or student_iterations,
        size_factor=compute_size_factor(detector, options.image_size),
        from_scratch=options.from_scratch,
        recipe=make_recipe(detector, options),
        flip=not options.no_flip,
        ratio=options.ratio,
        balance=balance,
        selector=options.selector,
    )


def make_recipe(
    detector: DetectorConfig, options: ExperimentOptions
) -> ViewRecipe:
    """Fit a recipe to the detector and to what the user wants.

    Args:
        detector: The detector to train.
        options: The options of the user, with the name of the recipe.

    Returns:
        The recipe, with the scales of the user if there are any. A detector of
        one image size gets the scale 1 alone.

    Raises:
        KeyError: If there is no such recipe.
    """
    recipe = keep_all_detections(RECIPES[options.recipe], detector)
    if options.scales:
        recipe = replace(recipe, scales=options.scales)
    if detector.has_fixed_size:
        # In images of other sizes such a model detects nothing.
        candidates = recipe.candidates and (1.0,)
        recipe = replace(recipe, scales=(1.0,), candidates=candidates)
    return recipe


def compute_size_factor(
    detector: DetectorConfig, image_size: int | None
) -> float:
    """Compute the factor by which the detector's image sizes are multiplied.

    Args:
        detector: The detector.
        image_size: The wanted longest side at test time, in pixels; None to
            keep the sizes.

    Returns:
        The factor; 1 to keep the sizes.

    Raises:
        DetectorError: If the sizes cannot be changed.
    """
    if not image_size:
        return 1.0
    resize = detector.test_resize
    if detector.has_fixed_size or not resize:
        raise DetectorError(
            f'{detector.name} is made for one size of images: leave '
            '--image-size out'
        )
    return image_size / max(get_sides(resize))


def check_stages(folder: Path) -> None:
    """Build the model and the datasets, so that errors show before training.

    These are the model and the test images of `student.py`, and the training
    images of the control and the oracle, if there are any. The first image of
    each goes through its pipeline.

    Args:
        folder: The folder of the experiment.

    Raises:
        DetectorError: If the detector cannot be built, its pipeline fails, or
            the data cannot be read.
        CheckpointError: If a checkpoint that it loads could run code.
        CocoError: If a COCO file cannot be used.
        FileNotFoundError: If the folder has no `student.py`, or a base of it
            does not exist.
        ImportError: If `student.py` imports a module that is not there.
    """
    cfg = Config.fromfile(folder / 'student.py')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    # The labels of the student are not there yet.
    others = ('supervised_long', 'oracle')
    try:
        build_model(cfg)
        # The first sample goes through the whole pipeline.
        DATASETS.build(cfg.test_dataloader.dataset)[0]
        for file in (folder / f'{model}.py' for model in others):
            if file.is_file():
                loader = Config.fromfile(file).train_dataloader
                DATASETS.build(loader.dataset)[0]
    except (CocoError, CheckpointError, DetectorError):
        raise
    except ImportError as error:
        raise DetectorError(
            'the detector needs a package that is not installed '
            f'({format_error(error)}): install it, or take a config without '
            'what needs it'
        ) from error
    # The detector of somebody else may raise anything.
    except Exception as error:
        raise DetectorError(
            'the detector cannot be used with this data: '
            f'{type(error).__name__}: {format_error(error)}'
        ) from error


def build_model(cfg: Config) -> None:
    """Build the model of a stage, which may read files of its own.

    Args:
        cfg: The config of the stage.

    Raises:
        DetectorError: If such a file is not there or cannot be downloaded,
            or a setting does not exist.
        CheckpointError: If a checkpoint that it loads could run code.
        Exception: Whatever else building it raises.
    """
    try:
        with refusing_code():
            MODELS.build(cfg.model)
    except URLError as error:
        raise DetectorError(
            'the model loads weights while it is built, and they cannot be '
            f'downloaded here ({error.reason}): inherit from the config, and '
            'name a file of yours in its place (`teacher_ckpt` of detectors '
            'that learn from another one)'
        ) from error
    except TypeError as error:
        # Another TypeError is a fault in the code, whose traceback is needed.
        if 'argument' not in str(error):
            raise
        raise DetectorError(
            f'the model cannot be built ({error}): correct its config, which '
            'may be one for another version of MMDetection'
        ) from error
    except FileNotFoundError as error:
        raise DetectorError(
            f'the model reads a file that is not there ({error.filename}): '
            'inherit from the config, and name one, such as a config of your '
            'own as `teacher_config`'
        ) from error


def explain_choices(
    out: Path,
    detector: DetectorConfig,
    data: Data,
    plan: Plan,
    options: ExperimentOptions,
) -> Iterator[str]:
    """Say what was chosen and why, and then what to do next.

    Args:
        out: The folder of the experiment.
        detector: The detector.
        data: The data of the experiment.
        plan: The numbers of the experiment.
        options: The options of the user.

    Yields:
        Lines for the user.

    Raises:
        DetectorError: If the schedule of the detector cannot be fitted.
    """
    yield f'detector    {detector.name}'
    yield f'classes     {describe_classes(data.classes)}'
    yield (
        f'images      {data.labeled.count:,} labeled, '
        f'{data.unlabeled.count:,} unlabeled, {data.val.count:,} to validate'
    )
    yield from (f'            {note}' for note in data.notes)
    yield f'size        {describe_sizes(detector, plan)}'
    yield f'labels      {describe_label_kind(detector)}'
    yield f'batch       {plan.batch_size} x {plan.num_processes} images'
    yield from explain_lengths(detector, data, plan, options)
    yield f'weights     {describe_weights(detector, plan)}'
    augmentation = describe_augmentation(detector.train_dataset)
    for number, text in enumerate(augmentation):
        yield f'{"" if number else "augmented":12}{text}'
    changes = list_changes(detector, plan, data.classes)
    for number, change in enumerate(changes):
        yield f'{"" if number else "changed":12}{change}'
    yield f'wrote {out}/; change its configs as you like. Next:'
    words = ['python tools/distill.py', shlex.quote(str(out))]
    words += ['--control'] if data.labeled.count else []
    words += ['--oracle'] if data.truth_file else []
    if plan.num_processes > 1:
        words.append(f'--launcher pytorch --gpus {plan.num_processes}')
    yield ' '.join(words)
