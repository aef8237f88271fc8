"""Says what of the detector's config an experiment keeps and changes."""

from collections.abc import Iterator, Mapping, Sequence

from ...base_configs.config_reading import get_type
from ...base_configs.own_data import find_own_data
from ...base_configs.schedulers import split_type
from ...base_configs.view_support import list_types
from ...text import format_call
from .detector import DetectorConfig, get_sides
from .overrides import (
    LOADERS,
    PLAIN_SAMPLERS,
    VARIABLES,
    override_checkpoint,
    override_loader,
    override_run,
)
from .plan import Plan
from .schedule import Schedule

MAX_NAMES = 8  # The number of classes whose names are shown.
SYNCED = {'SyncBN', 'MMSyncBN'}
PLAIN_LOOPS = {'EpochBasedTrainLoop', 'IterBasedTrainLoop'}
# Hooks whose settings fit a training of any length, or are fitted to it.
KNOWN_HOOKS = {
    'CheckInvalidLossHook',
    'EMAHook',
    'EpochHook',
    'IgnoreRegionsHook',
    'NumClassCheckHook',
    'PipelineSwitchHook',
    'SwitchPipelineHook',
    'SyncNormHook',
    'YOLOXModeSwitchHook',
}
# Those among the default hooks of MMDetection, and of an experiment.
PLAIN_HOOKS = {
    'CheckpointHook',
    'DetVisualizationHook',
    'DistSamplerSeedHook',
    'IterTimerHook',
    'LoggerHook',
    'ParamSchedulerHook',
    'ResumeHook',
}


def list_changes(
    detector: DetectorConfig, plan: Plan, classes: Sequence[str]
) -> Iterator[str]:
    """Yield what is left out of the detector's config, or changed.

    Args:
        detector: The detector, whose schedule can be fitted, see `Schedule`.
        plan: The numbers of the experiment.
        classes: The names of the classes.

    Yields:
        Lines of one setting or several alike, from data to variables, if any.
    """
    yield from detector.train_dataset.list_left_out()
    yield from list_loader_changes(detector)
    yield from list_run_changes(detector, classes)
    yield from list_schedule_changes(detector, plan)
    if detector.pipeline_makes_views and detector.test_resize:
        yield (
            f'views: the test pipeline has {detector.unmade}, so that the '
            'pipeline makes them, which is slower; there is no tune.py'
        )
    if detector.make_norm_changes():
        yield 'MMSyncBN: SyncBN, which also trains in one process'
    if plan.num_processes > 1 and SYNCED & set(list_types(detector.cfg.model)):
        yield 'SyncBN is kept: several processes need GPUs, or BN in norm_cfg'
    names = [name for name in VARIABLES if name in detector.cfg]
    if names:
        yield f'new values: {", ".join(names)}'
    # Everybody expects another `data_root`; MMDetection's configs have one.
    own = find_own_data(detector.cfg, [*VARIABLES, 'data_root'])
    if own:
        yield (
            "not taken over, since they name the detector's own data: "
            f'{", ".join(own)}'
        )


def list_loader_changes(detector: DetectorConfig) -> Iterator[str]:
    """Say what the loaders do not take over.

    Args:
        detector: The detector.

    Yields:
        A text for each setting: what it was, and what it is now.
    """
    loader = detector.cfg.train_dataloader
    sampler = loader.get('sampler') or dict(type='DefaultSampler')
    is_shuffled = sampler.get('shuffle', True)
    if get_type(sampler) not in PLAIN_SAMPLERS or not is_shuffled:
        yield (
            f'sampler {describe_part(sampler)}: '
            'InfiniteSampler(shuffle=True), for the student SourceRatioSampler'
        )
    if batch_sampler := loader.get('batch_sampler'):
        yield (
            f'batch_sampler {describe_part(batch_sampler)}: none, as it would '
            "undo the ratio of the student's images"
        )
    val, test = (
        (detector.cfg.get(f'{kind}_dataloader') or {}).get('dataset') or {}
        for kind in ('val', 'test')
    )
    if val.get('pipeline', test.get('pipeline')) != test.get('pipeline'):
        yield 'val_dataloader.dataset.pipeline: that of test_dataloader'
    for name in LOADERS:
        for key, value in override_loader(detector, name).items():
            old, new = detector.cfg[name][key], value
            old = describe_part(old) if isinstance(old, Mapping) else old
            new = describe_part(new) if isinstance(new, Mapping) else new
            yield f'{name}.{key}={old}: {new}'


def list_run_changes(
    detector: DetectorConfig, classes: Sequence[str]
) -> Iterator[str]:
    """Say what the runs do not take over.

    Args:
        detector: The detector.
        classes: The names of the classes.

    Yields:
        A text for each setting: what it was, and what it is now.
    """
    cfg = detector.cfg
    for key, value in override_run(detector).items():
        yield f'{key}={cfg[key]!r}: {value!r}, for every stage starts anew'
    loop = cfg.train_cfg
    if 'type' in loop and get_type(loop) not in PLAIN_LOOPS:
        yield f'train_cfg {get_type(loop)}: IterBasedTrainLoop'
    for key, value in override_checkpoint(detector, classes).items():
        old = cfg.default_hooks.checkpoint[key]
        # With another metric, the rule is written even if it stays.
        if old != value:
            yield f'default_hooks.checkpoint.{key}={old!r}: {value!r}'
    for name in ('val_evaluator', 'test_evaluator'):
        old = cfg.get(name) or []
        measured = detector.metrics
        kinds = [describe_metric(o, measured) for o in as_list(old)]
        if others := [kind for kind in kinds if kind != 'CocoMetric']:
            new = describe_part(detector.evaluator)
            yield f'{name} {", ".join(others)}: {new}'


def describe_metric(metric: Mapping, measured: Sequence[str]) -> str:
    """Describe a metric, with settings that change its values.

    Args:
        metric: The config of the metric.
        measured: What the new one measures, see `DetectorConfig.metrics`.

    Returns:
        Such as `CocoMetric`, or a call with these settings.
    """
    plain = {'type', 'ann_file', 'format_only', 'backend_args', 'classwise'}
    same = ('metric', list(measured))
    kept = {
        key: value
        for key, value in metric.items()
        if key not in plain and (key, as_list(value)) != same
    }
    return describe_part(dict(kept, type=metric['type']))


def is_rate_scaled(scheduler: Mapping, schedule: Schedule) -> bool:
    """Return whether a scheduler sets a learning rate that was fitted.

    Args:
        scheduler: The config of the scheduler, which can be fitted.
        schedule: The schedule of the detector.

    Returns:
        True for a rate, if `schedule` says for which batch size it is meant.
    """
    is_rate = split_type(scheduler)[1] == 'LR'
    is_rate |= scheduler.get('param_name') == 'lr'
    return is_rate and schedule.images_per_iteration is not None


def list_schedule_changes(
    detector: DetectorConfig, plan: Plan
) -> Iterator[str]:
    """Say what becomes of the schedulers and of hooks that count.

    Args:
        detector: The detector, whose schedule can be fitted, see `Schedule`.
        plan: The numbers of the experiment.

    Yields:
        A text for each.
    """
    schedule = Schedule.of(detector.cfg)
    images = plan.images_per_iteration
    kept = schedule.scale_schedulers(plan.iterations, images)
    num_left_out = len(schedule.schedulers) - len(kept)
    if num_left_out:
        yield f'{num_left_out} warm-up of less than 2 iterations: left out'
    for scheduler in filter(lambda s: is_rate_scaled(s, schedule), kept):
        yield from list_fitted_rates(scheduler, images)
    if not schedule.is_in_epochs and schedule.total != plan.iterations:
        yield (
            f'max_iters={schedule.total}: {plan.iterations}; a config with '
            f'iterations counts as {schedule.count_epochs(images):.2g} epochs '
            f'of COCO, and --iterations {schedule.total} keeps its length'
        )
    if number := schedule.batches_per_epoch:
        yield (
            f'num_batch_per_epoch={number}: its epochs are counted as '
            f'{schedule.count_epochs(images):.2g} epochs of COCO'
        )
    others = (detector.cfg.get('default_hooks') or {}).values()
    for hook in [*schedule.hooks, *filter(None, others)]:
        if get_type(hook) not in KNOWN_HOOKS | PLAIN_HOOKS:
            yield (
                f'{get_type(hook)} is kept as it is; in it, an epoch is the '
                'whole training, and there are 4 validations'
            )


def list_fitted_rates(scheduler: Mapping, images: int) -> Iterator[str]:
    """Say which rates of a scheduler were fitted to the batch size.

    Args:
        scheduler: The config of the scheduler.
        images: The number of images in a step.

    Yields:
        A text for each rate.
    """
    for key in ('eta_min', 'eta_max'):
        if scheduler.get(key):
            rates = ', '.join(f'{rate:g}' for rate in as_list(scheduler[key]))
            yield (
                f'{get_type(scheduler)}: {key}={rates} is for '
                f'{images} images in a step; change it with their number'
            )


def as_list(value: object) -> list:
    """Make a list of a value.

    Args:
        value: A list or tuple, or any other value.

    Returns:
        The elements; another value is the only element.
    """
    return list(value) if isinstance(value, (list, tuple)) else [value]


def describe_part(config: Mapping) -> str:
    """Write the config of a part as a call, without a default.

    Args:
        config: The config, with `type`.

    Returns:
        Such as `Name(key=value)`, or `Name` without settings.
    """
    hidden = {'_delete_', '_scope_'}
    settings = {k: v for k, v in config.items() if k not in hidden}
    call = format_call(dict(settings, type=get_type(config)))
    return call.removesuffix('()')


def describe_sizes(detector: DetectorConfig, plan: Plan) -> str:
    """Describe the sizes of the images and of the views.

    Args:
        detector: The detector's config.
        plan: The numbers of the experiment.

    Returns:
        A few words for the line `size` of what was chosen.
    """
    resize = detector.test_resize
    if not resize:
        return "as in the detector's config; views as in its `tta_pipeline`"
    sides = ' x '.join(
        f'{plan.size_factor * s:.0f}' for s in get_sides(resize)
    )
    scales = plan.recipe.scales
    low, high = min(scales), max(scales)
    return f'{sides} at test time, views {low:g} to {high:g} times that'


def describe_label_kind(detector: DetectorConfig) -> str:
    """Describe in a few words what pseudo labels are made of.

    Args:
        detector: The detector's config.

    Returns:
        The words for the line `labels` of what was chosen.
    """
    if not detector.has_masks:
        return 'boxes'
    how = 'polygons' if detector.reads_only_polygons else 'RLE'
    return f'boxes and masks ({how}, as the training reads them)'


def describe_weights(detector: DetectorConfig, plan: Plan) -> str:
    """Describe the weights with which training starts.

    Args:
        detector: The detector's config.
        plan: The numbers of the experiment.

    Returns:
        A few words for the line `weights` of what was chosen.
    """
    if plan.from_scratch:
        return 'none: from scratch, nothing frozen'
    if source := detector.cfg.get('load_from'):
        return (
            f"those of the detector's `load_from`, for every model: {source}"
        )
    if detector.make_scratch_changes():
        return "pretrained, as in the detector's config"
    return "none: the detector's config trains from scratch"


def describe_classes(names: Sequence[str]) -> str:
    """Describe how many classes there are, and which.

    Args:
        names: The names of the classes.

    Returns:
        Such as `2: cat, dog`; of many names the first, and `...`.
    """
    shown = names[:MAX_NAMES]
    more = ['...'] if len(names) > len(shown) else []
    return f'{len(names)}: {", ".join([*shown, *more])}'
