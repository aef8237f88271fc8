"""Finds the dataset of a detector's config inside its wrappers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..text import format_value
from .config_reading import DetectorError, get_type

MIX = 'MultiImageMixDataset'
BALANCED = 'ClassBalancedDataset'
# The settings of a dataset that say which data it has. The user's data take
# their place.
DATA_KEYS = {'type', 'data_root', 'ann_file', 'data_prefix', 'metainfo'}


@dataclass(frozen=True)
class Dataset:
    """The innermost dataset of a data loader.

    Args:
        path: The path of the dataset in the config, such as
            `_base_.train_dataloader.dataset.dataset`.
        config: The config of the dataset.
        mix_path: The path of the `MultiImageMixDataset` around it; None if
            there is none.
        mix_config: The config of the `MultiImageMixDataset`; None if there is
            none.
        times: How often an epoch goes through the dataset.
        num_parts: The number of datasets that are trained on together. The
            others are like this one, which is the first.
        oversample_thr: The share of images, 0 to 1, below which a class is
            rare, so that `ClassBalancedDataset` repeats its images; None
            without it.
    """

    path: str
    config: Mapping
    mix_path: str | None = None
    mix_config: Mapping | None = None
    times: int = 1
    num_parts: int = 1
    oversample_thr: float | None = None

    @classmethod
    def of(cls, config: Mapping, path: str) -> 'Dataset':
        """Find the dataset inside its wrappers, at any depth.

        Args:
            config: The `dataset` of a data loader.
            path: The path of this `dataset` in the config.

        Returns:
            The dataset, with what its wrappers do to it. Of several that are
            trained on together, it is the first.

        Raises:
            DetectorError: If a wrapper cannot be kept and cannot be left out
                either, because the training would be another one; if datasets
                that are trained on together differ; or if a dataset or a
                wrapper lacks a setting.
        """
        take_setting(config, 'type', path)
        if 'dataset' not in config and 'datasets' not in config:
            take_setting(config, 'pipeline', path)
            return cls(path, config)
        kind = get_type(config)
        if kind == 'ConcatDataset':
            return cls._make_of_parts(
                take_setting(config, 'datasets', path), path
            )
        if kind == BALANCED:
            return cls._make_of_balanced(config, path)
        if kind not in ('RepeatDataset', MIX):
            raise DetectorError(
                f'{strip_base(path)} is a {kind}, which an experiment '
                'cannot have: it would train on images in another way than '
                'this config. Inherit from the config, and write the dataset '
                f'in it without {kind}'
            )
        inner = cls.of(
            take_setting(config, 'dataset', path), f'{path}.dataset'
        )
        # It only makes epochs longer, and the stages count iterations.
        if kind == 'RepeatDataset':
            return replace(
                inner, times=inner.times * take_setting(config, 'times', path)
            )
        if inner.mix_path:
            raise DetectorError(
                f'{strip_base(path)} is a {MIX} around another one, of '
                'which an experiment can have only one: inherit from the '
                'config, and put all transforms into one pipeline'
            )
        return replace(inner, mix_path=path, mix_config=config)

    @classmethod
    def _make_of_balanced(cls, config: Mapping, path: str) -> 'Dataset':
        """Return a dataset of which images with rare classes are repeated."""
        inner = cls.of(
            take_setting(config, 'dataset', path), f'{path}.dataset'
        )
        # Without a wrapper in between, `of` returns this very object.
        if inner.config is not config['dataset']:
            raise DetectorError(
                f'{strip_base(path)} is a {BALANCED} around another '
                'wrapper, which does not say what classes its images have: '
                'inherit from the config, and put it around the dataset '
                'itself'
            )
        return replace(
            inner, oversample_thr=take_setting(config, 'oversample_thr', path)
        )

    @classmethod
    def _make_of_parts(cls, parts: list[Mapping], path: str) -> 'Dataset':
        """Return the first of many datasets, if all train in one way."""
        if not parts:
            raise DetectorError(f'{strip_base(path)} has no datasets')
        places = [f'{path}.datasets[{i}]' for i in range(len(parts))]
        found = list(map(cls.of, parts, places))
        first = found[0]
        for other in found[1:]:
            if what := first.find_difference(other):
                raise DetectorError(
                    f'{strip_base(first.path)} and '
                    f'{strip_base(other.path)} differ in {what}, but an '
                    'experiment trains on all labeled images in one way: '
                    'inherit from the config, and write one dataset in it'
                )
        return replace(first, num_parts=sum(one.num_parts for one in found))

    def find_difference(self, other: 'Dataset') -> str | None:
        """Find how the training on another dataset differs.

        Args:
            other: The other dataset.

        Returns:
            The name of the first setting that differs, in words: the wrappers
            before the pipeline and the filter. None if none does.
        """
        settings = {
            '`times`': (self.times, other.times),
            '`oversample_thr`': (self.oversample_thr, other.oversample_thr),
            f'their {MIX}': (self.mix_settings, other.mix_settings),
            **{
                f'`{key}`': (self.config.get(key), other.config.get(key))
                for key in ('pipeline', 'filter_cfg')
            },
        }
        for name, (one, another) in settings.items():
            if one != another:
                return name
        return None

    @property
    def num_wrappers(self) -> int:
        """The number of wrappers that an experiment keeps, 0 to 2."""
        return bool(self.mix_path) + (self.oversample_thr is not None)

    def wrap(self, config: dict, take_pipeline: Callable) -> dict:
        """Put the wrappers that an experiment keeps around a dataset.

        Args:
            config: The dataset. It is not changed.
            take_pipeline: Returns the pipeline of the `MultiImageMixDataset`.
                It is called only if there is one.

        Returns:
            The config of the outermost wrapper, or the dataset itself.
        """
        if self.oversample_thr is not None:
            threshold = self.oversample_thr
            config = dict(
                type=BALANCED, oversample_thr=threshold, dataset=config
            )
        if not self.mix_path:
            return config
        return dict(
            self.mix_settings,
            type=MIX,
            dataset=config,
            pipeline=take_pipeline(),
        )

    @property
    def mix_settings(self) -> dict:
        """The settings of the `MultiImageMixDataset`; empty without one.

        Its `type` and its `dataset` are left out.
        """
        return {
            key: value
            for key, value in (self.mix_config or {}).items()
            if key not in ('type', 'dataset')
        }

    @property
    def filter_settings(self) -> Mapping:
        """The `filter_cfg` that leaves out images; empty if there is none."""
        return self.config.get('filter_cfg') or {}

    def iter_transforms(self) -> Iterator[Mapping]:
        """Walk through the configs of all transforms.

        Yields:
            Each config, in the order in which they act.
        """
        yield from self.config.get('pipeline', ())
        yield from self.mix_settings.get('pipeline', ())

    def list_left_out(self) -> Iterator[str]:
        """Say which settings an experiment leaves out.

        Yields:
            A text for each: other datasets, the type of the dataset, and then
            its settings in their order, but for those that are None or False.
        """
        if self.num_parts > 1:
            yield (
                f'ConcatDataset of {self.num_parts} datasets: the labeled '
                'images are one'
            )
        kind = get_type(self.config)
        if kind not in ('CocoDataset', 'CheckedCocoDataset'):
            yield f'{kind}: the labeled images are a CheckedCocoDataset'
        for key, value in self.config.items():
            is_kept = key in DATA_KEYS | {'pipeline', 'filter_cfg', '_scope_'}
            if not is_kept and value not in (None, False):
                yield f'dataset.{key}={format_value(value)}'


def take_setting(config: Mapping, key: str, path: str) -> Any:  # noqa: ANN401
    """Look up a setting that a dataset or a wrapper must have.

    Args:
        config: The config of the dataset.
        key: The key of the setting.
        path: The path of the dataset in the config of the detector.

    Returns:
        The value.

    Raises:
        DetectorError: If it is missing or None.
    """
    value = config.get(key)
    if value is None:
        raise DetectorError(
            f'{strip_base(path)} must have a `{key}`, got {list(config)}'
        )
    return value


def strip_base(path: str) -> str:
    """Write the path of a setting as in the config that has it.

    Args:
        path: The path, perhaps with `_base_.` at its beginning.

    Returns:
        The path without it.
    """
    return path.removeprefix('_base_.')
