"""Fits the schedule of a detector to another number of iterations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from mmengine.config import Config

from .config_text import Expression
from .detector import get_type, resize_pipeline

# The number of images with an instance in COCO's train2017. The iterations of
# MMDetection's iteration-based configs go through these.
COCO_IMAGES = 117_266
# The settings of a scheduler that count epochs or iterations.
COUNTS = ('begin', 'end', 'T_max', 'milestones', 'step_size', 'total_iters')
REPLACED = ('convert_to_iter_based', 'eta_min', '_scope_')
# The transforms that `YOLOXModeSwitchHook` skips at the end by default.
MOSAICS = ('Mosaic', 'RandomAffine', 'MixUp')
# The largest share of a training that a warm-up may take.
MAX_WARM_UP = 0.1


@dataclass(frozen=True)
class Schedule:
    """The schedule of training in the config of a detector.

    Args:
        total: The length of the training.
        is_in_epochs: Whether `total` counts epochs, not iterations.
        schedulers: The configs of the parameter schedulers.
        hooks: The `custom_hooks` of the config.
        images_per_iteration: The batch size for which the learning rate is
            meant; None if the config does not name it.
        learning_rate: The highest learning rate; None for the default of the
            optimizer.
    """

    total: int
    is_in_epochs: bool
    schedulers: Sequence[Mapping]
    hooks: Sequence[Mapping]
    images_per_iteration: int | None
    learning_rate: float | None

    @classmethod
    def of(cls, cfg: Config) -> 'Schedule':
        """Read the schedule from the config of a detector."""
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
            batch_size: The number of images in a step; it is used if the
                config does not name its batch size.
        """
        if self.is_in_epochs:
            return self.total
        images = self.total * (self.images_per_iteration or batch_size)
        return images / COCO_IMAGES

    def scale_schedulers(self, max_iters: int) -> list[dict]:
        """Return the schedulers for a training of another length.

        Counts in the unit of the whole training are scaled with it. A warm-up
        that is counted in iterations keeps its length, up to a tenth of the
        training.

        Args:
            max_iters: The length of the training in iterations.
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
        if 'end' in changed:  # Even a very short training needs end > begin.
            changed['end'] = max(changed['end'], changed.get('begin', 0) + 1)
        low = scheduler.get('eta_min')
        if low and self.learning_rate and get_type(scheduler).endswith('LR'):
            # The rate depends on the batch size, so this must be relative.
            changed['eta_min_ratio'] = low / self.learning_rate
        elif low:
            changed['eta_min'] = low
        kept = {k: v for k, v in scheduler.items() if k not in REPLACED}
        return {**kept, 'by_epoch': False, **changed}

    def _is_warm_up(self, scheduler: Mapping) -> bool:
        """Return whether a scheduler that counts iterations is a warm-up.

        A warm-up starts at the first iteration and ends before the training
        does.
        """
        if scheduler.get('begin') or 'milestones' in scheduler:
            return False
        return self.is_in_epochs or scheduler.get('end', inf) < self.total

    def scale_hooks(
        self, max_iters: int, size_factor: float = 1.0
    ) -> list[dict | Expression]:
        """Return the hooks for a training of another length.

        Hooks that switch the pipeline in a certain epoch become
        `SwitchPipelineHook`; the others stay.

        Args:
            max_iters: The length of the training in iterations.
            size_factor: The factor by which image sizes are multiplied.
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
        """Return the hooks for a config with another length.

        The config inherits from one that has the hooks of `scale_hooks`.

        Args:
            max_iters: The length of the training in iterations.
        """
        return [
            Expression(
                f'_base_.custom_hooks[{i}]', self._find_start(hook, max_iters)
            )
            for i, hook in enumerate(self.hooks)
        ]

    def _find_start(self, hook: Mapping, max_iters: int) -> dict:
        """Return the setting for the start of a hook; empty if it is 0."""

        def iteration(moment: int) -> int:
            """Convert an epoch or iteration of the detector's config."""
            return round(moment * max_iters / self.total)

        if get_type(hook) == 'PipelineSwitchHook':
            return dict(iteration=iteration(hook['switch_epoch']))
        if get_type(hook) == 'YOLOXModeSwitchHook':
            last = hook.get('num_last_epochs', 15)
            return dict(iteration=iteration(self.total - last))
        begin = hook.get('begin_epoch' if self.is_in_epochs else 'begin_iter')
        return dict(begin_iter=iteration(begin)) if begin else {}


def multiply(value: float | list | tuple, factor: float) -> float | list:
    """Multiply and round a count, or each count in a list.

    0 stays 0, and other counts do not fall below 1.
    """
    if isinstance(value, (list, tuple)):
        return [multiply(one, factor) for one in value]
    return max(round(value * factor), min(value, 1))
