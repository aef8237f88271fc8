"""Fits the schedule of a detector to another number of iterations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmengine.config import Config

from ...base_configs.config_reading import DetectorError, get_type
from ...base_configs.schedulers import Lengths, scale_scheduler
from ...base_configs.wrappers import Dataset
from .config_text import Expression
from .detector import resize_pipeline

# The number of images with an instance in COCO's train2017. The iterations of
# MMDetection's iteration-based configs go through these.
COCO_IMAGES = 117_266
# The transforms that `YOLOXModeSwitchHook` skips at the end by default.
MOSAICS = ('Mosaic', 'RandomAffine', 'MixUp')
# Hooks that act at the start of each epoch.
HOOKS_OF_EPOCHS = {
    'PipelineSwitchHook',
    'SetEpochInfoHook',
    'YOLOXModeSwitchHook',
}
# Default hooks of which the stage configs change what counts epochs.
FITTED_HOOKS = {'CheckpointHook', 'EpochHook', 'LoggerHook'}
# As MMDetection names configs: 8 processes with a batch of 2 are `8xb2`. The
# name of a folder says nothing.
NAMES_BATCH = re.compile(
    r'^(.*[_-](\d+)xb(\d+)[_-][^/\n]*\.py)$', re.MULTILINE
)
COUNTS_ITERATIONS = re.compile(r'(^|_)iter(ation)?s?(_|$)')


@dataclass(frozen=True)
class Schedule:
    """The schedule of training in the config of a detector.

    Args:
        total: The length of the training, at least 1.
        is_in_epochs: Whether `total` counts epochs, not iterations.
        schedulers: The configs of the parameter schedulers.
        hooks: The `custom_hooks` of the config.
        images_per_iteration: The batch size of all processes together for
            which the learning rate is meant; None if the config does not name
            it.
        learning_rate: The highest learning rate; None for the default of the
            optimizer.
        times: How often an epoch goes through the images.
        batches_per_epoch: The number of iterations of an epoch; None if it is
            that of the images.
    """

    total: int
    is_in_epochs: bool
    schedulers: Sequence[Mapping]
    hooks: Sequence[Mapping]
    images_per_iteration: int | None
    learning_rate: float | None
    times: int = 1
    batches_per_epoch: int | None = None

    @classmethod
    def of(cls, cfg: Config) -> 'Schedule':
        """Read the schedule from the config of a detector.

        Args:
            cfg: The config of the detector.

        Returns:
            The schedule.

        Raises:
            DetectorError: If the config does not say how long the training
                is, has several optimizers with schedulers of their own, or
                has a default hook that counts epochs; or see `Dataset.of`.
            KeyError: If a hook has no `type`.
        """
        schedulers = cfg.get('param_scheduler') or []
        if isinstance(schedulers, Mapping):
            schedulers = [schedulers]
        if not all('type' in one for one in schedulers):
            raise DetectorError(
                '`param_scheduler` must be a list of schedulers of one '
                f'optimizer, got {list(schedulers[0])}'
            )
        loop = cfg.get('train_cfg') or {}
        is_in_epochs = 'max_iters' not in loop
        total = loop.get('max_epochs' if is_in_epochs else 'max_iters')
        if not total:
            raise DetectorError(
                'the config does not say how long the training is: set '
                '`train_cfg.max_epochs` or `train_cfg.max_iters`'
            )
        # A training of an experiment is one long epoch, so that a hook that
        # waits for a certain epoch would never act.
        for hook in (cfg.get('default_hooks') or {}).values():
            if hook and get_type(hook) not in FITTED_HOOKS:
                check_counts_no_epochs(hook)
        loader = cfg.train_dataloader
        return cls(
            total,
            is_in_epochs,
            schedulers,
            cfg.get('custom_hooks') or [],
            find_base_batch_size(cfg),
            find_rate(cfg),
            Dataset.of(loader.dataset, 'train_dataloader.dataset').times,
            loader.get('num_batch_per_epoch'),
        )

    def count_epochs(self, batch_size: int, balance: float = 1.0) -> float:
        """Count how often the training goes through its images.

        A training that counts iterations, or whose epochs have a fixed number
        of them, is taken for one on COCO's `COCO_IMAGES` images.

        Args:
            batch_size: The number of images in a step; it is used if the
                config does not name its batch size.
            balance: How often an epoch has an image on average, apart from
                `times`.

        Returns:
            The number of epochs, which need not be whole.
        """
        if self.is_in_epochs and not self.batches_per_epoch:
            return self.total * self.times * balance
        unit = self.batches_per_epoch if self.is_in_epochs else 1
        images_at_once = self.images_per_iteration or batch_size
        return self.total * (unit or 1) * images_at_once / COCO_IMAGES

    def explain_epochs(self, balance: float) -> str:
        """Say how epochs of the config became epochs of the images.

        Args:
            balance: See `count_epochs`.

        Returns:
            The factors in brackets, after a space; empty if there are none.
        """
        factors = {
            'RepeatDataset': self.times,
            'ClassBalancedDataset': balance,
        }
        said = [f'{n:.3g}, {name}' for name, n in factors.items() if n != 1]
        if not said or not self.is_in_epochs or self.batches_per_epoch:
            return ''
        return f' ({" x ".join([str(self.total), *said])})'

    def make_length(self, max_iters: int, images: int) -> dict:
        """Return the settings that depend on the length of a training.

        Args:
            max_iters: The number of iterations.
            images: The number of images in a step of all processes.

        Returns:
            The settings by their keys in a config: it validates after each
            quarter of the training and saves after each tenth, rounded down to
            iterations, at least one.

        Raises:
            DetectorError: If a scheduler cannot be fitted.
            KeyError: If one lacks a setting that its kind needs.
        """
        return dict(
            train_cfg=dict(
                max_iters=max_iters, val_interval=max(max_iters // 4, 1)
            ),
            param_scheduler=self.scale_schedulers(max_iters, images),
            default_hooks=dict(
                checkpoint=dict(interval=max(max_iters // 10, 1))
            ),
        )

    def scale_schedulers(
        self, max_iters: int, batch_size: int | None = None
    ) -> list[dict]:
        """Fit the schedulers to a training of another length.

        Counts in the unit of the whole training are scaled with it. A warm-up
        that is counted in iterations keeps its length, up to a tenth of the
        training or its share in the config. See `scale_scheduler` for what is
        left out.

        Args:
            max_iters: The length of the training in iterations.
            batch_size: The number of images in a step of all processes; None
                for that of the detector's config.

        Returns:
            The configs of the schedulers, in order.

        Raises:
            DetectorError: If a scheduler cannot be fitted.
            KeyError: If one lacks a setting that its kind needs.
        """
        known = self.images_per_iteration
        lengths = Lengths(
            self.total,
            self.is_in_epochs,
            max_iters,
            # Otherwise MMEngine does not scale the rate.
            self.learning_rate if known else None,
            batch_size / known if batch_size and known else 1.0,
        )
        scaled = [scale_scheduler(one, lengths) for one in self.schedulers]
        return [one for one in scaled if one]

    def scale_hooks(
        self, max_iters: int, size_factor: float = 1.0
    ) -> list[dict | Expression]:
        """Fit the hooks to a training of another length.

        Hooks that switch the pipeline in a certain epoch become
        `SwitchPipelineHook`; the others stay.

        Args:
            max_iters: The length of the training in iterations.
            size_factor: The factor by which image sizes are multiplied.

        Returns:
            A hook for each of the detector's config, in order.

        Raises:
            DetectorError: If another hook counts epochs.
            KeyError: If a hook that switches lacks what it must say.
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
        # An EMAHook may have only one of the two.
        others = dict(begin_epoch=0) if hook.get('begin_epoch') else {}
        return Expression(path, {**others, **moment} or None)

    def lengthen_hooks(self, max_iters: int) -> list[Expression]:
        """Fit the hooks to a config with another length.

        The config inherits from one that has the hooks of `scale_hooks`.

        Args:
            max_iters: The length of the training in iterations.

        Returns:
            A hook for each of the detector's config, in order.

        Raises:
            DetectorError: If a hook counts epochs in a way that is not known.
            KeyError: If a hook that switches does not say when.
        """
        return [
            Expression(
                f'_base_.custom_hooks[{i}]', self._find_start(hook, max_iters)
            )
            for i, hook in enumerate(self.hooks)
        ]

    def _find_start(self, hook: Mapping, max_iters: int) -> dict:
        """Return the iterations from which a hook acts otherwise.

        Args:
            hook: The config of the hook.
            max_iters: The length of the training in iterations.

        Returns:
            The settings of the hook that replaces it; empty if it acts in one
            way from the first iteration.
        """

        def iteration(moment: int) -> int:
            """Convert an epoch or iteration of the detector's config."""
            return round(moment * max_iters / self.total)

        kind = get_type(hook)
        if self.is_in_epochs and kind == 'PipelineSwitchHook':
            return dict(iteration=iteration(hook['switch_epoch']))
        if self.is_in_epochs and kind == 'YOLOXModeSwitchHook':
            last = hook.get('num_last_epochs', 15)
            return dict(iteration=iteration(self.total - last))
        if self.is_in_epochs and kind == 'EMAHook':
            begin = hook.get('begin_epoch')
            return dict(begin_iter=iteration(begin)) if begin else {}
        check_counts_no_epochs(hook)
        if self.is_in_epochs:
            return {}
        return {
            key: iteration(value)
            for key, value in hook.items()
            # `isinstance` would take True for the iteration 1.
            if COUNTS_ITERATIONS.search(key) and type(value) is int
        }


def find_base_batch_size(cfg: Config) -> int | None:
    """Find the batch size for which the learning rate of a config is meant.

    MMDetection's RTMDet inherits the base of 16 images from `schedule_1x`,
    though its rate is for the 256 of its name, `8xb32`.

    Args:
        cfg: The config of the detector.

    Returns:
        The images in a step of all processes: those in the name of the last
        file that names them, if they are more than `base_batch_size` and that
        file has the same rate; otherwise `base_batch_size`, None without it.
    """
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    # The text of a config has the paths of all files that it is made of.
    named = [
        found
        for found in NAMES_BATCH.findall(cfg.text or '')
        if Path(found[0]).is_file()  # A comment may name a file too.
    ]
    if not base or not named:
        return base
    file, processes, batch_size = named[-1]
    images = int(processes) * int(batch_size)
    if images <= base:
        return base
    return images if read_rate(file) == find_rate(cfg) else base


@cache  # The schedule of a detector is asked for many times.
def read_rate(file: str) -> float | None:
    """Read the learning rate of a config.

    Args:
        file: The path of the config.

    Returns:
        The rate, see `find_rate`.
    """
    return find_rate(Config.fromfile(file))


def find_rate(cfg: Config) -> float | None:
    """Find the learning rate of a config.

    Args:
        cfg: The config; the base of a detector need not have an optimizer.

    Returns:
        The rate; None for the default of the optimizer, or without one.
    """
    return (cfg.get('optim_wrapper') or {}).get('optimizer', {}).get('lr')


def check_counts_no_epochs(hook: Mapping) -> None:
    """Check that a hook does not act in certain epochs.

    Args:
        hook: The config of the hook.

    Raises:
        DetectorError: If it does.
    """
    kind = get_type(hook)
    found = [key for key, value in hook.items() if 'epoch' in key and value]
    if found or kind in HOOKS_OF_EPOCHS:
        settings = f' ({", ".join(found)})' if found else ''
        raise DetectorError(
            f'{kind}{settings} counts epochs, but in an experiment the whole '
            'training is one epoch: inherit from the config, and leave the '
            'hook out, or write one that counts iterations'
        )
