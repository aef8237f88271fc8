"""Fits parameter schedulers to a training of another length."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .config_reading import DetectorError, get_type

# The settings of a scheduler that count epochs or iterations.
COUNTS = ('begin', 'end', 'T_max', 'total_steps')
# The names of schedulers without `LR`, `Momentum` or `ParamScheduler`.
KINDS = {
    'Constant',
    'CosineAnnealing',
    'CosineRestart',
    'Exponential',
    'Linear',
    'MultiStep',
    'OneCycle',
    'Poly',
    'QuadraticWarmup',
    'Step',
}
# These may take the lowest value as a share of the highest one.
WITH_RATIO = {'CosineAnnealing', 'CosineRestart'}
REPLACED = ('convert_to_iter_based', '_scope_')
# The largest share of a training that a warm-up may take, unless it takes a
# larger one in the detector's config.
MAX_WARM_UP = 0.1
WAY_OUT = 'inherit from the config, and write `param_scheduler` in it with'


@dataclass(frozen=True)
class Lengths:
    """How the length of a training changes.

    Args:
        total: The length in the config of the detector, at least 1.
        is_in_epochs: Whether `total` counts epochs, not iterations.
        max_iters: The new length in iterations.
        learning_rate: The highest learning rate in the config of the detector,
            if it is to be scaled with the batch size; None if it stays.
        rate_factor: The factor by which the learning rate is scaled.
    """

    total: int
    is_in_epochs: bool
    max_iters: int
    learning_rate: float | None = None
    rate_factor: float = 1.0

    @property
    def factor(self) -> float:
        """The number of new iterations for each epoch or old iteration."""
        return self.max_iters / self.total


def split_type(scheduler: Mapping) -> tuple[str, str]:
    """Split the name of a scheduler's type.

    Args:
        scheduler: The config of the scheduler.

    Returns:
        What it does, such as `CosineAnnealing`, and what it changes: `LR`,
        `Momentum` or `ParamScheduler`.

    Raises:
        DetectorError: If it waits for validations (`ReduceOnPlateau`), or is
            of none of `KINDS`.
        KeyError: If it has no `type`.
    """
    name = get_type(scheduler)
    parts = re.fullmatch(r'(\w+?)(LR|Momentum|ParamScheduler)', name)
    if parts and parts[1] == 'ReduceOnPlateau':
        raise DetectorError(
            f'{name} waits for validations that bring no gain, but the '
            'trainings of an experiment have other lengths and validate four '
            f'times each: {WAY_OUT} MultiStepLR'
        )
    if not parts or parts[1] not in KINDS:
        raise DetectorError(
            f'{name} cannot be fitted to the length of another training: '
            f'{WAY_OUT} {", ".join(f"{kind}LR" for kind in sorted(KINDS))}'
        )
    return parts[1], parts[2]


def scale_scheduler(scheduler: Mapping, lengths: Lengths) -> dict | None:
    """Fit a scheduler to a training of another length, in iterations.

    A warm-up that counts iterations keeps its length, up to a tenth of the
    training, or up to the share that it has in the config, if that is larger.
    Everything else stays at the same fractions of the training. If the
    learning rate is scaled with the batch size, `eta_min` and `eta_max` are
    scaled too. The cosine ones get `eta_min_ratio`, the share of the highest
    rate, in place of `eta_min`. A `Step` one becomes a `MultiStep` one, since
    steps of a rounded length would drift.

    Args:
        scheduler: The config of the scheduler. It is not changed.
        lengths: The lengths of both trainings.

    Returns:
        The config of the new scheduler, which counts iterations; None for a
        `Linear` or `Constant` one that is left out, because it would have less
        than two steps: MMEngine would keep its first value for ever.

    Raises:
        DetectorError: If it cannot be fitted; see `split_type`,
            `drop_defaults` and `find_factor`.
        KeyError: If it has no `type`, or lacks a setting that its kind needs.
    """
    kind, target = split_type(scheduler)
    scheduler = drop_defaults(scheduler)
    factor = find_factor(scheduler, lengths)
    kept = {k: v for k, v in scheduler.items() if k not in REPLACED}
    changed: dict = {
        k: scale_count(v, factor) for k, v in scheduler.items() if k in COUNTS
    }
    if 'milestones' in scheduler:
        steps = scheduler['milestones']
        changed['milestones'] = [scale_count(step, factor) for step in steps]
    changed |= scale_steps(kind, scheduler, lengths, factor)
    if kind == 'Step':
        kept['type'] = replace_kind(scheduler, 'MultiStep')
        del kept['step_size']
    if 'end' in changed:  # Even a very short training needs end > begin.
        changed['end'] = max(changed['end'], changed.get('begin', 0) + 1)
        # After one step, they would stay at their first value for ever.
        length = changed['end'] - changed.get('begin', 0)
        if kind in ('Linear', 'Constant') and length < 2:
            return None
    is_rate = target == 'LR' or scheduler.get('param_name') == 'lr'
    if is_rate:
        kept |= scale_values(kind, kept, lengths)
        # MMEngine takes only one of the two.
        if 'eta_min_ratio' in kept:
            kept.pop('eta_min', None)
    return {**kept, 'by_epoch': False, **changed}


def drop_defaults(scheduler: Mapping) -> dict:
    """Drop the counts that say no more than MMEngine's defaults.

    These are None, and an infinite `end`.

    Args:
        scheduler: The config of the scheduler. It is not changed.

    Returns:
        The config without them. `T_max` and `total_steps` are then the whole
        length, from `begin` to `end`.

    Raises:
        DetectorError: If `begin` or `end` is None or `end` is not above
            `begin`, which MMEngine refuses, or `step_size` is below 1.
        KeyError: If it has no `type`.
    """
    for key in ('begin', 'end'):
        if scheduler.get(key, 0) is None:
            raise DetectorError(
                f'{get_type(scheduler)} needs a number as `{key}`, got None: '
                'leave it out'
            )
    least = dict(end=scheduler.get('begin', 0) + 1, step_size=1)
    for key in least.keys() & scheduler.keys():
        if scheduler[key] < least[key]:
            raise DetectorError(
                f'{get_type(scheduler)} needs at least {least[key]} as '
                f'`{key}`, got {scheduler[key]}: {WAY_OUT} such a number, or '
                'without this scheduler'
            )
    kept = dict(scheduler)
    for key in ('T_max', 'total_steps'):
        if kept.get(key, 0) is None:
            del kept[key]
    if math.isinf(kept.get('end', 0)):
        del kept['end']
    return kept


def replace_kind(scheduler: Mapping, kind: str) -> str:
    """Write the type of a scheduler of another kind, in the same scope.

    Args:
        scheduler: The config of the scheduler, whose `type` is a text.
        kind: The other kind, such as `MultiStep`.

    Returns:
        The type, such as `mmdet.MultiStepLR`.

    Raises:
        DetectorError: If its type is not known, see `split_type`.
        KeyError: If it has no `type`.
    """
    name, target = get_type(scheduler), split_type(scheduler)[1]
    # Without the name, the scope is left: `mmdet.`, or nothing.
    return f'{scheduler["type"]!s}'.removesuffix(name) + f'{kind}{target}'


def find_factor(scheduler: Mapping, lengths: Lengths) -> float:
    """Find the factor by which the counts of a scheduler are multiplied.

    Args:
        scheduler: The config of the scheduler.
        lengths: The lengths of both trainings.

    Returns:
        The factor, above 0: at most 1 for a warm-up in iterations, 1 for a
        scheduler in another unit than the training that counts nothing, and
        otherwise that of `lengths`.

    Raises:
        DetectorError: If the scheduler counts iterations, and the training
            epochs, or the other way round; or if its type is not known.
        KeyError: If the scheduler has no `type`.
    """
    name, by_epoch = get_type(scheduler), scheduler.get('by_epoch', True)
    # The weights take as long to settle in a longer training.
    if is_warm_up(scheduler, lengths) and not by_epoch:
        share = 0 if lengths.is_in_epochs else scheduler['end'] / lengths.total
        most = lengths.max_iters * max(MAX_WARM_UP, share)
        return min(1, most / scheduler['end'])
    if by_epoch == lengths.is_in_epochs:
        return lengths.factor
    kind, _ = split_type(scheduler)
    counts = {*COUNTS, 'milestones', 'step_size', 'periods'} & scheduler.keys()
    # A `begin` of 0 is the same time in either unit.
    if not any(map(scheduler.get, counts)) and kind != 'Exponential':
        return 1
    if by_epoch:
        raise DetectorError(
            f'{name} counts epochs, but the training counts iterations: '
            f'{WAY_OUT} `by_epoch=False` and iterations'
        )
    raise DetectorError(
        f'{name} counts iterations, but the training counts epochs, and how '
        'many iterations these have is not in the config: '
        f'{WAY_OUT} `by_epoch=True` and epochs'
    )


def is_warm_up(scheduler: Mapping, lengths: Lengths) -> bool:
    """Return whether a scheduler raises a parameter at the very start.

    Args:
        scheduler: The config of the scheduler.
        lengths: The lengths of both trainings.

    Returns:
        True for `Constant`, `QuadraticWarmup` and a `Linear` one that rises,
        if it begins at 0 and has an `end`. In a training that counts
        iterations, this `end` must be less than the whole length.

    Raises:
        DetectorError: If its type is not known, see `split_type`.
        KeyError: If it has no `type`.
    """
    kind, _ = split_type(scheduler)
    if scheduler.get('begin') or 'end' not in scheduler:
        return False
    is_shorter = lengths.is_in_epochs or scheduler['end'] < lengths.total
    # The defaults are those of MMEngine.
    low = scheduler.get('start_factor', 1 / 3)
    rises = kind == 'Linear' and low < scheduler.get('end_factor', 1.0)
    return is_shorter and (rises or kind in ('Constant', 'QuadraticWarmup'))


def scale_steps(
    kind: str, scheduler: Mapping, lengths: Lengths, factor: float
) -> dict:
    """Scale the settings that say what happens in each step or period.

    Args:
        kind: The kind of the scheduler, such as `Step`.
        scheduler: The config of the scheduler.
        lengths: The lengths of both trainings.
        factor: The factor by which counts are multiplied, above 0.

    Returns:
        The new settings: `gamma` of `Exponential`, `periods` of
        `CosineRestart`, `end` of `OneCycle` with `total_steps`, and
        `milestones`, counted from its `begin`, in place of the `step_size` of
        `Step`. Other kinds have none.

    Raises:
        KeyError: If the scheduler lacks `gamma`, `periods` or `step_size`.
    """
    if kind == 'Exponential':
        # All steps together change as much as before.
        return dict(gamma=scheduler['gamma'] ** (1 / factor))
    if kind == 'CosineRestart':
        # The ends are rounded: the errors of rounded periods would add up.
        old_ends = itertools.accumulate(scheduler['periods'])
        ends = [0, *(scale_count(end, factor) for end in old_ends)]
        return dict(
            periods=[max(b - a, 1) for a, b in itertools.pairwise(ends)]
        )
    begin = scheduler.get('begin', 0)
    if kind == 'OneCycle' and 'total_steps' in scheduler:
        # It raises an error if it is asked for one step more.
        start = scale_count(begin, factor)
        return dict(end=start + scale_count(scheduler['total_steps'], factor))
    if kind == 'Step':
        # A rounded step would not be where it was after many of them.
        length = min(scheduler.get('end', math.inf), lengths.total) - begin
        steps = range(scheduler['step_size'], length, scheduler['step_size'])
        return dict(milestones=[scale_count(step, factor) for step in steps])
    return {}


def scale_values(kind: str, scheduler: Mapping, lengths: Lengths) -> dict:
    """Fit the learning rates of a scheduler to the batch size.

    Args:
        kind: What the scheduler does, see `split_type`.
        scheduler: The config of the scheduler.
        lengths: The lengths of both trainings, and how the rate is scaled.

    Returns:
        The new settings: `eta_min_ratio` of a cosine kind with `eta_min`;
        otherwise those of `eta_min` and `eta_max` that are not 0. Empty if the
        rate is not scaled, or there are none.
    """
    if not lengths.learning_rate:
        return {}
    low = scheduler.get('eta_min')
    if low is not None and kind in WITH_RATIO:
        return dict(eta_min_ratio=low / lengths.learning_rate)
    return {
        key: scale_rate(scheduler[key], lengths.rate_factor)
        for key in ('eta_min', 'eta_max')
        if scheduler.get(key)
    }


def scale_rate(value: float | list | tuple, factor: float) -> float | list:
    """Scale a learning rate, or that of each group of parameters.

    Args:
        value: The rate, or a list of rates.
        factor: The factor.

    Returns:
        A number for a number, and a list for a list or tuple.
    """
    if isinstance(value, (list, tuple)):
        return [one * factor for one in value]
    return value * factor


def scale_count(count: float, factor: float) -> int:
    """Multiply and round a count.

    0 stays 0, and other counts do not fall below 1.

    Args:
        count: The number of iterations or epochs, at least 0.
        factor: The factor, above 0.

    Returns:
        The rounded count; halves go to the even number.
    """
    return max(round(count * factor), 1 if count else 0)
