"""What an experiment takes from a detector's config, and changes in it."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config

from .config_text import (
    Expression,
    find_changes,
    find_changes_of_dict,
    find_changes_of_list,
)
from .image_size import STRIDE, find_strides, resize_transform

# What a detector's data must have, and boxes have not.
UNUSABLE_TRANSFORMS = dict(
    LoadProposals='proposals',
    LoadPanopticAnnotations='panoptic masks',
    LoadTextAnnotations='texts',
)


class DetectorError(ValueError):
    """A detector's config of which no experiment can be made."""


@dataclass(frozen=True)
class Dataset:
    """The dataset of a data loader, below what wraps it.

    Args:
        path: Where it is in the config, such as
            `_base_.train_dataloader.dataset.dataset`.
        config: It.
        mix_path: Where the `MultiImageMixDataset` around it is; None without.
        mix_config: That one.
        left_out: The types of the other wrappers.
    """

    path: str
    config: Mapping
    mix_path: str | None
    mix_config: Mapping
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, config: Mapping, path: str) -> 'Dataset':
        """Find the dataset within its wrappers; the first, if they are many.

        Args:
            config: The `dataset` of a data loader.
            path: Where it is.
        """
        mix_path: str | None = None
        mix_config: Mapping = {}
        left_out: list[str] = []
        while 'dataset' in config or 'datasets' in config:
            if get_type(config) == 'MultiImageMixDataset':
                mix_path, mix_config = path, config
            else:
                left_out.append(get_type(config))
            if 'dataset' in config:
                config, path = config['dataset'], f'{path}.dataset'
            else:
                config, path = config['datasets'][0], f'{path}.datasets[0]'
        return cls(path, config, mix_path, mix_config, tuple(left_out))

    def transforms(self) -> Iterator[Mapping]:
        """Yield the configs of all transforms, in order."""
        yield from self.config.get('pipeline', ())
        yield from self.mix_config.get('pipeline', ())


@dataclass(frozen=True)
class DetectorConfig:
    """A detector's config, from which the stages of an experiment inherit.

    Args:
        name: A path, or `mmdet::family/name.py`.
        cfg: Its content.
    """

    name: str
    cfg: Config

    @classmethod
    def read(cls, name: str) -> 'DetectorConfig':
        """Read a config and check that it can be distilled.

        Args:
            name: A path, or `mmdet::family/name.py`.

        Raises:
            FileNotFoundError: If there is none.
            DetectorError: If it cannot be read, or is no training of a
                detector by boxes.
        """
        detector = cls(name, read_config(name))
        detector.check()
        return detector

    def base_for(self, folder: Path) -> str:
        """Return how a config in a folder names this one as its base.

        Args:
            folder: Where the config is. If the detector's path is relative,
                it stays so, and both can be moved together.
        """
        if '::' in self.name or Path(self.name).is_absolute():
            return self.name
        return os.path.relpath(Path(self.name).resolve(), folder.resolve())

    def check(self) -> None:
        """Check that the detector learns from boxes, and from boxes alone.

        Raises:
            DetectorError: If it does not.
        """
        missing = [
            f'{part}.{key}'
            for part, key in REQUIRED
            if not (self.cfg.get(part) or {}).get(key)
        ]
        if missing:
            raise DetectorError(f'{self.name} is no training: no {missing}')
        if 'semi_train_cfg' in self.cfg.model:
            raise DetectorError(
                f'{self.name} is a semi-supervised method itself: take the '
                "config of its detector, `model.detector`'s"
            )
        if 'language_model' in self.cfg.model:
            raise DetectorError(
                f'{self.name} is trained on phrases: write the stage configs '
                'by hand, with its own datasets'
            )
        needed = sorted(set(self._needed_beside_boxes()))
        if needed:
            raise DetectorError(
                f'{self.name} is trained on {", ".join(needed)}, and pseudo '
                'labels are boxes: take a detector that needs nothing else'
            )
        if not self.num_class_changes(1):
            raise DetectorError(
                f'{self.name}: no `num_classes` in any head of `model`'
            )
        if not self.test_resize and not self.cfg.get('tta_pipeline'):
            raise DetectorError(
                f'{self.name}: views need a `Resize` with a `scale` in the '
                'test pipeline, or a `tta_pipeline` that makes them'
            )

    def _needed_beside_boxes(self) -> Iterator[str]:
        for transform in self.train_dataset.transforms():
            if transform.get('with_mask'):
                yield 'masks'
            if transform.get('with_seg'):
                yield 'segmentation maps'
            if needed := UNUSABLE_TRANSFORMS.get(get_type(transform)):
                yield needed

    @property
    def train_dataset(self) -> Dataset:
        """What it is trained on."""
        path = '_base_.train_dataloader.dataset'
        return Dataset.of(self.cfg.train_dataloader.dataset, path)

    @property
    def test_dataset(self) -> Dataset:
        """What it is tested on."""
        path = '_base_.test_dataloader.dataset'
        return Dataset.of(self.cfg.test_dataloader.dataset, path)

    @property
    def test_resize(self) -> Mapping | None:
        """The transform that resizes test images; None if none does."""
        resize = self._test_transform('Resize', 'FixScaleResize')
        return resize if resize and resize.get('scale') else None

    @property
    def view_pad(self) -> dict | None:
        """The `Pad` of views that pads as the test pipeline does, or None.

        Where that pads to a size, to a multiple of the largest stride: that
        is all that a detector needs of it.
        """
        pad = self._test_transform('Pad')
        if not pad:
            return None
        value = pad.get('pad_val', 0)
        value = value.get('img', 0) if isinstance(value, Mapping) else value
        value = value[0] if isinstance(value, (list, tuple)) else value
        divisor = pad.get('size_divisor') or max(
            STRIDE, *find_strides(self.cfg.model)
        )
        return dict(type='Pad', size_divisor=divisor, value=round(value))

    def _test_transform(self, *types: str) -> Mapping | None:
        """Return the first transform of test images that is one of these."""
        for transform in self.test_dataset.transforms():
            if get_type(transform) in types:
                return transform
        return None

    @property
    def has_fixed_size(self) -> bool:
        """Whether the model is made for one size of images, as SSD."""
        return holds_key(self.cfg.model, 'input_size')

    def num_class_changes(self, num_classes: int) -> dict:
        """Return the changes of `model` that set the number of classes.

        In every head, at any depth; backbones may have a `num_classes` of
        another meaning.
        """
        heads = {k: v for k, v in self.cfg.model.items() if k != 'backbone'}

        def change(part: Mapping) -> dict:
            """Set it where it is."""
            has_it = 'num_classes' in part
            return dict(num_classes=num_classes) if has_it else {}

        return find_changes_of_dict(heads, '_base_.model', change)

    def from_scratch_changes(self) -> dict:
        """Return the changes of `model` that make it start at random.

        Without pretrained weights nothing may stay frozen.
        """
        return find_changes_of_dict(self.cfg.model, '_base_.model', unfreeze)

    def image_size_changes(self, factor: float) -> dict:
        """Return the changes of `model` for images of another size."""
        path = '_base_.model.data_preprocessor'
        part = self.cfg.model.get('data_preprocessor', {})
        changes = find_changes(
            part, path, lambda p: resize_transform(p, factor)
        )
        return dict(data_preprocessor=changes) if changes else {}


# What is taken from the config, or changed in it.
REQUIRED = (
    ('model', 'type'),
    ('train_dataloader', 'dataset'),
    ('train_dataloader', 'batch_size'),
    ('test_dataloader', 'dataset'),
    ('optim_wrapper', 'optimizer'),
)


def read_config(name: str) -> Config:
    """Read a config as one that inherits from it does.

    Args:
        name: A path, or `mmdet::family/name.py`.

    Raises:
        FileNotFoundError: If there is none.
        DetectorError: If it cannot be read.
    """
    base = name if '::' in name else str(Path(name).resolve())
    try:
        return Config.fromstring(f'_base_ = {base!r}', file_format='.py')
    except FileNotFoundError:
        raise
    # Whatever a config of somebody else raises.
    except Exception as error:
        cause: BaseException = error
        # MMEngine lists where it has looked for a package.
        while isinstance(cause, ImportError) and cause.__context__:
            cause = cause.__context__
        raise DetectorError(
            f'{name} cannot be read: {type(cause).__name__}: {cause}'
        ) from error


def get_type(config: Mapping) -> str:
    """Return the type's name, without a scope such as `mmdet.`."""
    kind = config['type']
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def sides_of(resize: Mapping) -> tuple[int, int]:
    """Return the sides that a `Resize` with a `scale` resizes to."""
    scale = resize['scale']
    return (scale, scale) if isinstance(scale, int) else tuple(scale)


def holds_key(value: object, key: str) -> bool:
    """Say whether a dict at any depth has a key."""
    if isinstance(value, Mapping):
        return key in value or any(holds_key(v, key) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_key(v, key) for v in value)
    return False


def unfreeze(part: Mapping) -> dict:
    """Return what to replace in a part of a model to train all of it."""
    changes: dict[str, object] = {}
    init = part.get('init_cfg')
    # PVT has no `type` there.
    if isinstance(init, Mapping) and 'checkpoint' in init:
        changes['init_cfg'] = None
    if part.get('pretrained'):
        changes['pretrained'] = None
    if 'frozen_stages' in part:
        unfrozen_value = find_default(part['type'], 'frozen_stages')
        if part['frozen_stages'] > unfrozen_value:
            changes['frozen_stages'] = unfrozen_value
    if part.get('norm_eval'):
        changes['norm_eval'] = False
    if part.get('requires_grad') is False:
        changes['requires_grad'] = True
    return changes


def find_default(kind: str | type, name: str) -> object:
    """Return the default of an argument of a model, own or inherited.

    Nothing is frozen at -1 in ResNet, and at 0 in EfficientNet.
    """
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    for parent in cls.__mro__:
        # Its signature is read; it is not called.
        init = parent.__init__  # type: ignore[misc]
        parameters = inspect.signature(init).parameters
        if name in parameters:
            return parameters[name].default
    raise DetectorError(f'{kind} has no argument {name}')


def take_pipeline(
    dataset: Dataset, factor: float, is_mix: bool = False
) -> Expression | list:
    """Return a dataset's pipeline, for images of another size.

    Args:
        dataset: The dataset.
        factor: By which sizes are multiplied; 1 leaves the pipeline alone.
        is_mix: Take that of the `MultiImageMixDataset` around it.
    """
    path = f'{dataset.mix_path if is_mix else dataset.path}.pipeline'
    config = dataset.mix_config if is_mix else dataset.config
    return resize_pipeline(config['pipeline'], path, factor)


def resize_pipeline(
    pipeline: Sequence[Mapping], path: str, factor: float
) -> Expression | list:
    """Return a pipeline for images of another size.

    Args:
        pipeline: The configs of its transforms.
        path: Where it is in the config.
        factor: By which sizes are multiplied; 1 leaves the pipeline alone.
    """
    if factor == 1:
        return Expression(path)
    changed = find_changes_of_list(
        pipeline, path, lambda p: resize_transform(p, factor)
    )
    return Expression(path) if changed is None else changed
