"""A detector's schedule, for another number of iterations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from mmengine.config import Config

from .config_text import Expression
from .detector import get_type, resize_pipeline

# Images of COCO's train2017 with an instance: what the iterations of
# MMDetection's iteration-based configs go through.
COCO_IMAGES = 117_266
# What counts in a scheduler, in epochs or iterations.
COUNTS = ('begin', 'end', 'T_max', 'milestones', 'step_size', 'total_iters')
REPLACED = ('convert_to_iter_based', 'eta_min', '_scope_')
# What `YOLOXModeSwitchHook` leaves out at the end, unless it says otherwise.
MOSAICS = ('Mosaic', 'RandomAffine', 'MixUp')
# A warm-up may be longer than a short training: then it is this share.
MAX_WARM_UP = 0.1


@dataclass(frozen=True)
class Schedule:
    """How a detector's config trains it.

    Args:
        total: The length of the training.
        is_in_epochs: Whether that is in epochs, not iterations.
        schedulers: Of the parameters.
        hooks: Its `custom_hooks`.
        images_per_iteration: What the learning rate is meant for; None if
            the config does not say.
        learning_rate: The highest; None for the optimizer's default.
    """

    total: int
    is_in_epochs: bool
    schedulers: Sequence[Mapping]
    hooks: Sequence[Mapping]
    images_per_iteration: int | None
    learning_rate: float | None

    @classmethod
    def of(cls, cfg: Config) -> 'Schedule':
        """Read a detector's config."""
        schedulers = cfg.get('param_scheduler') or []
        if isinstance(schedulers, Mapping):
            schedulers = [schedulers]
        is_in_epochs = 'max_iters' not in cfg.train_cfg
        total = cfg.train_cfg['max_epochs' if is_in_epochs else 'max_iters']
        rule = cfg.get('auto_scale_lr', {})
        return cls(
            total,
            is_in_epochs,
            schedulers,
            cfg.get('custom_hooks') or [],
            rule.get('base_batch_size'),
            cfg.optim_wrapper.optimizer.get('lr'),
        )

    def count_epochs(self, batch_size: int) -> float:
        """Return how often the training goes through its images.

        Args:
            batch_size: Of a step, where the config does not say for how many
                images it is.
        """
        if self.is_in_epochs:
            return self.total
        images = self.total * (self.images_per_iteration or batch_size)
        return images / COCO_IMAGES

    def scale_schedulers(self, max_iters: int) -> list[dict]:
        """Return the schedulers for a training of so many iterations.

        What is counted in the unit of the whole training is scaled with it;
        of warm-ups counted in iterations, a tenth of the training is the most.
        """
        return [
            self._scale_scheduler(one, max_iters) for one in self.schedulers
        ]

    def _scale_scheduler(self, scheduler: Mapping, max_iters: int) -> dict:
        changed = {k: v for k, v in scheduler.items() if k in COUNTS}
        by_epoch = scheduler.get('by_epoch', True)
        if not by_epoch and self._is_warm_up(scheduler):
            most = round(max_iters * MAX_WARM_UP)
            changed = {k: min(v, most) for k, v in changed.items()}
        elif by_epoch == self.is_in_epochs:
            factor = max_iters / self.total
            changed = {k: multiply(v, factor) for k, v in changed.items()}
        if 'end' in changed:  # However short the training is.
            changed['end'] = max(changed['end'], changed.get('begin', 0) + 1)
        low = scheduler.get('eta_min')
        if low and self.learning_rate and get_type(scheduler).endswith('LR'):
            # In proportion to the rate, which depends on the batch.
            changed['eta_min_ratio'] = low / self.learning_rate
        elif low:
            changed['eta_min'] = low
        kept = {k: v for k, v in scheduler.items() if k not in REPLACED}
        return {**kept, 'by_epoch': False, **changed}

    def _is_warm_up(self, scheduler: Mapping) -> bool:
        """Say whether a scheduler that counts iterations is a warm-up.

        It acts from the first iteration on, and the training goes on when it
        has ended.
        """
        if scheduler.get('begin') or 'milestones' in scheduler:
            return False
        return self.is_in_epochs or scheduler.get('end', inf) < self.total

    def scale_hooks(
        self, max_iters: int, size_factor: float = 1.0
    ) -> list[dict | Expression]:
        """Return the hooks for a training of so many iterations.

        Hooks that switch the pipeline in some epoch become
        `SwitchPipelineHook`; the others stay.

        Args:
            max_iters: The length.
            size_factor: By which image sizes are multiplied.
        """
        return [
            self._scale_hook(
                hook, f'_base_.custom_hooks[{i}]', max_iters, size_factor
            )
            for i, hook in enumerate(self.hooks)
        ]

    def _scale_hook(
        self, hook: Mapping, path: str, max_iters: int, size_factor: float
    ) -> dict | Expression:
        moment = self._find_start(hook, max_iters)
        switch = dict(type='SwitchPipelineHook', **moment)
        if get_type(hook) == 'PipelineSwitchHook':
            path = f'{path}.switch_pipeline'
            later = hook['switch_pipeline']
            later = resize_pipeline(later, path, size_factor)
            return dict(switch, pipeline=later)
        if get_type(hook) == 'YOLOXModeSwitchHook':
            skipped = hook.get('skip_type_keys', MOSAICS)
            return dict(switch, skip_types=skipped, use_l1=True)
        return Expression(
            path, dict(begin_epoch=0, **moment) if moment else None
        )

    def lengthen_hooks(self, max_iters: int) -> list[Expression]:
        """Return the hooks for another length than that of `scale_hooks`.

        Args:
            max_iters: The length; the config inherits from one with those.
        """
        return [
            Expression(
                f'_base_.custom_hooks[{i}]', self._find_start(hook, max_iters)
            )
            for i, hook in enumerate(self.hooks)
        ]

    def _find_start(self, hook: Mapping, max_iters: int) -> dict:
        """Return when a hook begins to act, if not at once."""

        def iteration(moment: int) -> int:
            """Return the iteration that stands for one of the config."""
            return round(moment * max_iters / self.total)

        if get_type(hook) == 'PipelineSwitchHook':
            return dict(iteration=iteration(hook['switch_epoch']))
        if get_type(hook) == 'YOLOXModeSwitchHook':
            last = hook.get('num_last_epochs', 15)
            return dict(iteration=iteration(self.total - last))
        begin = hook.get('begin_epoch' if self.is_in_epochs else 'begin_iter')
        return dict(begin_iter=iteration(begin)) if begin else {}


def multiply(value: float | list | tuple, factor: float) -> float | list:
    """Multiply and round a number, or each of a list; 0 stays, 1 is least."""
    if isinstance(value, (list, tuple)):
        return [multiply(one, factor) for one in value]
    return max(round(value * factor), min(value, 1))
