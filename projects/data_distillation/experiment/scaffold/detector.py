"""Reads the config of a detector, and finds what to change in it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ...base_configs.config_reading import (
    DetectorError,
    get_type,
    holds_key,
    is_lazy,
    read_config,
)
from ...base_configs.freezing import unfreeze
from ...base_configs.heads import set_num_classes
from ...base_configs.norms import replace_mm_sync
from ...base_configs.view_support import (
    RESIZES,
    find_transform,
    find_unmade,
    find_unmovable,
    list_types,
)
from ...base_configs.wrappers import Dataset
from .config_text import (
    Expression,
    find_changes,
    find_changes_of_dict,
    find_changes_of_list,
)
from .image_size import STRIDE, find_strides, resize_transform

# The copy of a detector's config, beside the stage configs.
COPY = 'detector.py'
# Transforms that need more than boxes, and what they need.
UNUSABLE_TRANSFORMS = dict(
    LoadProposals='proposals',
    LoadPanopticAnnotations='panoptic masks',
    LoadTextAnnotations='texts',
)


@dataclass(frozen=True)
class DetectorConfig:
    """The config of a detector, from which the stage configs inherit.

    Its properties are for a config that `check` accepts. Of another one, those
    about datasets, pipelines and masks may raise what `Dataset.of` raises.

    Args:
        name: The path of the config, or `mmdet::family/name.py`.
        cfg: The content of the config.
    """

    name: str
    cfg: Config
    # Where a stage config finds the `tta_pipeline`.
    tta_path = '_base_.tta_pipeline'

    @classmethod
    def read(cls, name: str) -> 'DetectorConfig':
        """Read a config and check that its detector can be distilled.

        Args:
            name: The path of the config, or `mmdet::family/name.py`.

        Returns:
            The config, checked.

        Raises:
            FileNotFoundError: If there is no such config.
            DetectorError: If it cannot be read, or distilled, see `check`.
        """
        detector = cls(name, read_config(name))
        detector.check()
        return detector

    def find_base(self, folder: Path) -> str:
        """Write the name of this config as the `_base_` of another config.

        If the path of the detector is relative, the result is relative too,
        so that both configs can be moved together. No config with `_base_` can
        inherit from one with `read_base()`: it is copied, see `copy_to`.

        Args:
            folder: The folder of the other config.

        Returns:
            The name of a shipped config, or a path.
        """
        if is_lazy(self.name):
            return f'./{COPY}'
        if '::' in self.name or Path(self.name).is_absolute():
            return self.name
        return os.path.relpath(Path(self.name).resolve(), folder.resolve())

    def copy_to(self, folder: Path) -> None:
        """Copy the config if the stage configs cannot inherit from it.

        Args:
            folder: The folder of the stage configs, which exists (OSError if
                it is not writable).
        """
        if is_lazy(self.name):
            self.cfg.dump(folder / COPY)

    def check(self) -> None:
        """Check that this is a training on boxes or masks that allows views.

        Raises:
            DetectorError: If the detector cannot be distilled.
        """
        missing = [
            f'{part}.{key}'
            for part, key in REQUIRED
            if not (self.cfg.get(part) or {}).get(key)
        ]
        if missing:
            raise DetectorError(
                f'{self.name} is not the config of a training: it lacks '
                f'{missing}'
            )
        if 'semi_train_cfg' in self.cfg.model:
            raise DetectorError(
                f'{self.name} is a semi-supervised method itself: take the '
                'config of its detector (`model.detector`)'
            )
        if 'language_model' in self.cfg.model:
            raise DetectorError(
                f'{self.name} is trained on phrases: write the stage configs '
                'by hand, with its own datasets'
            )
        needed = sorted(set(self._list_needed_beside_boxes()))
        if needed:
            raise DetectorError(
                f'{self.name} is trained on {", ".join(needed)}, but pseudo '
                'labels are boxes and masks: take a detector that needs '
                'nothing else'
            )
        if not self.make_num_class_changes(1):
            raise DetectorError(
                f'{self.name} has no `num_classes` in any head of `model`: '
                'take a detector that predicts classes'
            )
        self.check_views()

    def check_views(self) -> None:
        """Check that views can be made of the images.

        Raises:
            DetectorError: If they cannot.
        """
        if not self.test_resize and not self.cfg.get('tta_pipeline'):
            raise DetectorError(
                f'{self.name}: views need a `Resize` with a `scale` in the '
                'test pipeline, or a `tta_pipeline` that makes them'
            )
        unmovable = (
            [] if self.has_own_views else find_unmovable(self._pipeline)
        )
        if unmovable:
            raise DetectorError(
                f'{self.name}: its test pipeline has {unmovable}, which views '
                'cannot have: boxes would be worse, or wrong. Add a '
                '`tta_pipeline` with TestTimeAug to the config, in which they '
                'are (docs/annotation.md)'
            )

    def _list_needed_beside_boxes(self) -> Iterator[str]:
        for transform in self.train_dataset.iter_transforms():
            if transform.get('with_seg'):
                yield 'segmentation maps'
            if needed := UNUSABLE_TRANSFORMS.get(get_type(transform)):
                yield needed

    @property
    def has_masks(self) -> bool:
        """Whether the detector is trained on masks."""
        steps = self.train_dataset.iter_transforms()
        return any(step.get('with_mask') for step in steps)

    @property
    def reads_only_polygons(self) -> bool:
        """Whether MMDetection takes objects with RLE for regions to ignore."""
        steps = self.train_dataset.iter_transforms()
        return any(step.get('poly2mask') is False for step in steps)

    @property
    def metrics(self) -> list[str]:
        """What `CocoMetric` measures of the detector."""
        return ['bbox', 'segm'] if self.has_masks else ['bbox']

    @property
    def evaluator(self) -> dict:
        """The metric of the experiment, without a file."""
        both = len(self.metrics) > 1
        metric = self.metrics if both else self.metrics[0]
        return dict(type='CocoMetric', metric=metric)

    @property
    def train_dataset(self) -> Dataset:
        """The dataset on which the detector is trained."""
        path = '_base_.train_dataloader.dataset'
        return Dataset.of(self.cfg.train_dataloader.dataset, path)

    @property
    def test_dataset(self) -> Dataset:
        """The dataset on which the detector is tested."""
        path = '_base_.test_dataloader.dataset'
        return Dataset.of(self.cfg.test_dataloader.dataset, path)

    @property
    def _pipeline(self) -> Sequence[Mapping]:
        """The transforms of the test images."""
        return self.test_dataset.config.get('pipeline', ())

    @property
    def test_resize(self) -> Mapping | None:
        """The transform that resizes test images to a `scale`, or None."""
        resize = find_transform(self._pipeline, *RESIZES)
        return resize if resize and resize.get('scale') else None

    @property
    def unmade(self) -> list[str]:
        """The types of the transforms of test images that no view can have."""
        return [get_type(step) for step in find_unmade(self._pipeline)]

    @property
    def has_own_views(self) -> bool:
        """Whether the views are those of the `tta_pipeline` of the config."""
        own = set(list_types(self.cfg.get('tta_pipeline')))
        if not self.test_resize:
            return bool(own)
        return bool(self.unmade) and {'TestTimeAug', *self.unmade} <= own

    @property
    def pipeline_makes_views(self) -> bool:
        """Whether the views are made in the pipeline, not on the device."""
        return not self.test_resize or bool(self.unmade)

    @property
    def view_pad(self) -> dict | None:
        """The `Pad` for views; None if the test pipeline does not pad.

        It pads as the test pipeline does. In place of a fixed size, it pads to
        a multiple of the largest stride: a detector needs no more. Of a value
        for each channel, the first one is taken.
        """
        pad = find_transform(self._pipeline, 'Pad')
        if not pad:
            return None
        value = pad.get('pad_val', 0)
        value = value.get('img', 0) if isinstance(value, Mapping) else value
        value = value[0] if isinstance(value, (list, tuple)) else value
        divisor = pad.get('size_divisor') or max(
            STRIDE, *find_strides(self.cfg.model)
        )
        return dict(type='Pad', size_divisor=divisor, value=round(value))

    @property
    def has_fixed_size(self) -> bool:
        """Whether the model is made for one size of images, such as SSD."""
        return holds_key(self.cfg.model, 'input_size')

    def make_num_class_changes(self, num_classes: int) -> dict:
        """Find the changes of `model` that set the number of classes.

        They set it in every head, at any depth, but not in the backbone, where
        `num_classes` may be that of its pre-training.

        Args:
            num_classes: The number of classes.

        Returns:
            Key -> new value; empty if no head has classes.
        """
        heads = {k: v for k, v in self.cfg.model.items() if k != 'backbone'}

        def change(part: Mapping) -> dict:
            """Set the number of classes in a part that has one."""
            return set_num_classes(part, num_classes)

        return find_changes_of_dict(heads, '_base_.model', change)

    def make_scratch_changes(self) -> dict:
        """Find the changes of `model` that make it train from scratch.

        It loads no pretrained weights, and no layer stays frozen.

        Returns:
            Key -> new value; empty if nothing must change.

        Raises:
            DetectorError, KeyError: See `unfreeze`.
        """
        return find_changes_of_dict(self.cfg.model, '_base_.model', unfreeze)

    def make_norm_changes(self) -> dict:
        """Find the changes of `model` so that it trains in one process too.

        Returns:
            Key -> new value; empty if nothing must change.

        Raises:
            DetectorError: See `replace_mm_sync`.
        """
        model = self.cfg.model
        return find_changes_of_dict(model, '_base_.model', replace_mm_sync)

    def make_image_size_changes(self, factor: float) -> dict:
        """Find the changes of `model` for images of another size.

        Args:
            factor: The factor by which sizes are multiplied.

        Returns:
            Key -> new value; empty if nothing must change.
        """
        path = '_base_.model.data_preprocessor'
        part = self.cfg.model.get('data_preprocessor', {})
        changes = find_changes(
            part, path, lambda p: resize_transform(p, factor)
        )
        return dict(data_preprocessor=changes) if changes else {}


# What the stage configs take from the detector's config, or change in it.
REQUIRED = (
    ('model', 'type'),
    ('train_dataloader', 'dataset'),
    ('train_dataloader', 'batch_size'),
    ('test_dataloader', 'dataset'),
    ('optim_wrapper', 'optimizer'),
)


def get_sides(resize: Mapping) -> tuple[int, int]:
    """Return the two sides to which a `Resize` with a `scale` resizes.

    Args:
        resize: The config of the transform, with a `scale`.

    Returns:
        The two sides in pixels, in the order of the config.
    """
    scale = resize['scale']
    return (scale, scale) if isinstance(scale, int) else tuple(scale)


def take_pipeline(
    dataset: Dataset, factor: float, is_mix: bool = False
) -> Expression | list:
    """Take the pipeline of a dataset, for images of another size.

    Args:
        dataset: The dataset, with a `pipeline`.
        factor: The factor of all sizes; 1 leaves the pipeline as it is.
        is_mix: Whether to take the pipeline of the `MultiImageMixDataset`
            around the dataset instead, of which there must be one.

    Returns:
        The transforms, or Python text that names those that stay.
    """
    path = f'{dataset.mix_path if is_mix else dataset.path}.pipeline'
    config = dataset.mix_settings if is_mix else dataset.config
    return resize_pipeline(config['pipeline'], path, factor)


def resize_pipeline(
    pipeline: Sequence[Mapping], path: str, factor: float
) -> Expression | list:
    """Resize a pipeline for images of another size.

    Args:
        pipeline: The configs of the transforms.
        path: The path of the pipeline in the config.
        factor: The factor of all sizes; 1 leaves the pipeline as it is.

    Returns:
        The path of the pipeline if nothing changes, otherwise the transforms.
    """
    if factor == 1:
        return Expression(path)
    changed = find_changes_of_list(
        pipeline, path, lambda p: resize_transform(p, factor)
    )
    return Expression(path) if changed is None else changed
