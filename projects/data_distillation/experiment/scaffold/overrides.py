"""Finds the settings of a detector's config that no stage may inherit."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...base_configs.config_reading import DetectorError, get_type
from ...base_configs.own_data import find_own_data
from .detector import DetectorConfig

# What `CocoMetric` measures.
MEASURED = re.compile(r'coco/(bbox|segm)_mAP(_50|_75|_s|_m|_l)?')
MAIN_METRIC = 'coco/bbox_mAP'
# With other values of these, the runs could not find or resume a checkpoint.
CHECKPOINT_DEFAULTS = dict(
    save_last=True,
    save_optimizer=True,
    save_param_scheduler=True,
    save_begin=0,
    out_dir=None,
    filename_tmpl=None,
)
# What each loader has of the detector's config, because of what it is for.
PLAIN_SAMPLERS = {'DefaultSampler', 'InfiniteSampler'}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# The names of variables that the stage configs set to a dict.
VARIABLES = (
    'metainfo',
    'labeled',
    'teacher_labeled',
    'unlabeled',
    'held_out',
)


def is_measured(
    key: str, classes: Sequence[str], metrics: Sequence[str] = ('bbox',)
) -> bool:
    """Return whether a metric is among those of a validation.

    Args:
        key: The name of the metric.
        classes: The names of the classes.
        metrics: What is measured, see `DetectorConfig.metrics`.

    Returns:
        True for a mean average precision of `CocoMetric`, and for the
        precision of one of the classes, if its kind is measured.
    """
    if found := MEASURED.fullmatch(key):
        return found[1] in metrics
    by_class = {f'coco/{name}_precision' for name in classes}
    if 'segm' in metrics:
        by_class |= {f'coco/{name}_segm_precision' for name in classes}
    return key in by_class


def override_run(detector: DetectorConfig) -> dict:
    """Override settings for a run that starts at its first iteration.

    Args:
        detector: The detector.

    Returns:
        Key -> new value; empty if nothing must change.
    """
    changes: dict[str, object] = {}
    if detector.cfg.get('resume'):
        changes['resume'] = False
    if detector.cfg.get('work_dir'):
        changes['work_dir'] = None
    return changes


def override_checkpoint(
    detector: DetectorConfig, classes: Sequence[str]
) -> dict:
    """Override settings for checkpoints that every stage can find.

    Args:
        detector: The detector.
        classes: The names of the classes.

    Returns:
        Key of the hook -> new value; empty if nothing must change.
    """
    hook = (detector.cfg.get('default_hooks') or {}).get('checkpoint') or {}
    changes: dict[str, object] = {
        key: default
        for key, default in CHECKPOINT_DEFAULTS.items()
        if hook.get(key, default) != default
    }
    if not hook:  # This one would take the place of MMEngine's.
        changes['type'] = 'CheckpointHook'
    best = hook.get('save_best')
    keys = [best] if isinstance(best, str) else best or []
    if not all(
        key == 'auto' or is_measured(key, classes, detector.metrics)
        for key in keys
    ):
        changes['save_best'] = MAIN_METRIC
        if hook.get('rule'):
            changes['rule'] = 'greater'
    return changes


def override_imports(detector: DetectorConfig) -> dict:
    """Let the configs import this project too.

    Args:
        detector: The detector.

    Returns:
        The new `custom_imports`. No module is listed twice: our own detectors
        import the project already.
    """
    base = detector.cfg.get('custom_imports') or {}
    imports = base.get('imports', [])
    imports = [imports] if isinstance(imports, str) else imports
    return dict(
        imports=list(dict.fromkeys([*imports, 'projects.data_distillation'])),
        # This is also MMEngine's default.
        allow_failed_imports=base.get('allow_failed_imports', False),
    )


def override_loader(detector: DetectorConfig, name: str) -> dict:
    """Override what a loader of other data may not keep.

    That is a number of batches for all loaders. Loaders that do not train go
    through all images once, in order: their samplers must do so too.

    Args:
        detector: The detector.
        name: The name of the loader in the config.

    Returns:
        Key of the loader -> new value; empty if nothing must change.
    """
    loader = detector.cfg.get(name) or {}
    changes: dict[str, object] = {}
    if loader.get('num_batch_per_epoch'):
        changes['num_batch_per_epoch'] = None
    if name == 'train_dataloader':
        return changes
    sampler = loader.get('sampler') or dict(type='DefaultSampler')
    if get_type(sampler) != 'DefaultSampler':
        changes['sampler'] = dict(
            _delete_=True, type='DefaultSampler', shuffle=False
        )
    if loader.get('batch_sampler'):
        changes['batch_sampler'] = None
    return changes


def override_variables(
    detector: DetectorConfig, settings: Mapping[str, object]
) -> dict:
    """Keep variables of equal names in the detector's config out.

    Args:
        detector: The detector.
        settings: The settings of a stage config, among them `VARIABLES`.

    Returns:
        A copy of the settings, with `_delete_` where a dict would be merged.
        In `metainfo`, the other keys of the detector's are None instead.

    Raises:
        DetectorError: If `metainfo` of the detector's config is no dict.
    """
    changed = dict(settings)
    for name in VARIABLES:
        value, old = settings.get(name), detector.cfg.get(name)
        if not isinstance(value, Mapping) or old is None:
            continue
        if name != 'metainfo':
            changed[name] = dict(_delete_=True, **value)
        elif isinstance(old, Mapping):
            # Other stages copy it, so that no `_delete_` may be in it.
            # MMEngine merges the two dicts, so None takes the place of the
            # rest.
            others = {key: None for key in old if key not in value}
            changed[name] = {**value, **others}
        else:
            raise DetectorError(
                f'{detector.name} has a variable `metainfo` that is no dict: '
                'rename it'
            )
    return changed


def drop_own_data(
    detector: DetectorConfig, settings: Mapping[str, object]
) -> dict:
    """Keep variables with the detector's own data out.

    Args:
        detector: The detector.
        settings: The settings of a stage config.

    Returns:
        A copy of the settings; such variables are None in it, after a comment.
    """
    names = find_own_data(detector.cfg, list(settings))
    if not names:
        return dict(settings)
    note = "# The data of the detector's config are not those of this one."
    return {**settings, note: None, **dict.fromkeys(names)}


def check_monitors(detector: DetectorConfig, classes: Sequence[str]) -> None:
    """Check that hooks watch only what is measured.

    Args:
        detector: The detector.
        classes: The names of the classes.

    Raises:
        DetectorError: If a hook watches another metric.
    """
    hooks = [
        *(detector.cfg.get('custom_hooks') or []),
        *(detector.cfg.get('default_hooks') or {}).values(),
    ]
    for hook in hooks:
        key = hook.get('monitor') if isinstance(hook, Mapping) else None
        if key and not is_measured(key, classes, detector.metrics):
            raise DetectorError(
                f'{get_type(hook)} watches {key!r}, which no validation of an '
                f'experiment measures: inherit from {detector.name}, and let '
                f'it watch {MAIN_METRIC!r}'
            )


def check_load_from(detector: DetectorConfig, from_scratch: bool) -> None:
    """Check that the weights with which training starts are there.

    A URL is not checked.

    Args:
        detector: The detector.
        from_scratch: Whether it starts without any.

    Raises:
        DetectorError: If `load_from` names a file that does not exist.
    """
    source = None if from_scratch else detector.cfg.get('load_from')
    if source and '://' not in source and not Path(source).is_file():
        raise DetectorError(
            f'load_from of {detector.name} is {source!r}, and there is no '
            'such file: name it as seen from this folder, leave it out, or '
            'train --from-scratch'
        )


def check_inner_teacher(detector: DetectorConfig, num_classes: int) -> None:
    """Check that a teacher within the detector knows the classes.

    LAD's assigns the labels. MMDetection loads its weights without checking
    that they fit, so that its layer of classes would keep random ones.

    Args:
        detector: The detector.
        num_classes: The number of classes of the labeled images.

    Raises:
        DetectorError: If it has weights for another number of classes.
    """
    model = detector.cfg.model
    known = (model.get('teacher_bbox_head') or {}).get('num_classes')
    if model.get('teacher_ckpt') and known not in (None, num_classes):
        raise DetectorError(
            f'`teacher_ckpt` of {detector.name} is of a teacher with {known} '
            f'classes, but the labeled images have {num_classes}: train one '
            'on them, and name it in a config that inherits from this one '
            f'and sets `teacher_bbox_head.num_classes` to {num_classes}'
        )


def check_class_weights(detector: DetectorConfig, num_classes: int) -> None:
    """Check that every list of class weights has one for each class.

    It may have one more, for the background.

    Args:
        detector: The detector.
        num_classes: The number of classes of the labeled images.

    Raises:
        DetectorError: If a list has another length.
    """
    for path, loss, old in find_class_weights(detector.cfg.model, 'model'):
        weights = loss['class_weight']
        # One more is that of the background.
        wanted = num_classes + (len(weights) == old + 1)
        if len(weights) != wanted and not is_own_list(loss, old, num_classes):
            raise DetectorError(
                f'{path} of {detector.name} has {len(weights)} weights, one '
                f'for each of its {old} classes, but the labeled images have '
                f'{num_classes}: inherit from the config, and write {wanted} '
                'weights in it, in the order of the labeled file'
                + (
                    ', the last one for the background'
                    * (wanted > num_classes)
                )
            )


def is_own_list(loss: Mapping, old: int, num_classes: int) -> bool:
    """Return whether weights are those of the images, not of the base.

    Args:
        loss: The config of the loss.
        old: The number of classes in the config of the detector.
        num_classes: The number of classes of the labeled images.

    Returns:
        Whether a length other than that of the base is that for these classes.
        For a length that may be that of the base: whether the loss says
        `use_sigmoid`, and the length fits these classes (with one more for the
        background without a sigmoid).
    """
    number = len(loss['class_weight'])
    has_background = loss.get('use_sigmoid') is False
    if number not in (old, old + 1):
        return number in (num_classes, num_classes + 1)
    # These may be those of the base: only what the loss says decides.
    return 'use_sigmoid' in loss and number == num_classes + has_background


def find_class_weights(
    part: object, path: str, num_classes: int = 0
) -> Iterator[tuple[str, Mapping, int]]:
    """Find the lists of class weights in a model, at any depth.

    Args:
        part: A part of the model's config.
        path: The path of the part.
        num_classes: The number of classes of the head around the part; 0 if
            there is none.

    Yields:
        The path of a list, the loss with this `class_weight`, and the number
        of classes of its head, in the order of the config. Lists outside of a
        head with classes are left out.
    """
    if isinstance(part, (list, tuple)):
        for number, child in enumerate(part):
            yield from find_class_weights(
                child, f'{path}[{number}]', num_classes
            )
    if not isinstance(part, Mapping):
        return
    num_classes = part.get('num_classes', num_classes)
    for key, child in part.items():
        is_list = isinstance(child, (list, tuple))
        if key == 'class_weight' and is_list and num_classes:
            yield f'{path}.{key}', part, num_classes
        else:
            yield from find_class_weights(child, f'{path}.{key}', num_classes)
