"""Reads a teacher that is given as a checkpoint, and checks that it fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from ...base_configs.config_reading import (
    DetectorError,
    check_version,
    read_config,
)
from ...multi_view.inference.checkpoint_error import CheckpointError
from ...multi_view.inference.checkpoints import check_weights
from ...multi_view.inference.class_maps import ClassNames, read_classes
from ...multi_view.inference.safe_loading import refusing_code
from ...text import format_error
from .plain_config import WAY_OUT, check_types, find_dicts, parse_config
from .prompts import check_reads, choose_texts

# What is taken over from the config in a checkpoint.
KEPT = (
    'default_scope',
    'data_preprocessor',
    'model',
    'test_dataloader',
    'tta_pipeline',
    'train_dataloader',
)


@dataclass(frozen=True)
class GivenTeacher:
    """A teacher that is trained already.

    Args:
        checkpoint: The file of its weights.
        source: Where its config is from, for messages.
        cfg: Its config.
        names: The names of its classes.
        meta: The `meta` of the checkpoint.
        prompt: Texts `CLASS=TEXT` for a teacher that reads texts. It looks for
            the other classes by their names.
    """

    checkpoint: Path
    source: str
    cfg: Config
    names: ClassNames = field(default_factory=ClassNames)
    meta: Mapping = field(default_factory=dict)
    prompt: Sequence[str] = ()

    @property
    def module(self) -> dict:
        """The config of the detector, with its own data preprocessor."""
        # MMEngine's runner puts the one that stands beside `model` into it.
        default = dict(data_preprocessor=self.cfg.get('data_preprocessor'))
        return Config({**default, **self.cfg.model}).to_dict()

    @property
    def reads_texts(self) -> bool:
        """Whether it finds what texts say (open vocabulary)."""
        return bool(self.cfg.model.get('language_model'))

    @property
    def classes(self) -> list[str] | None:
        """The names of its classes in the order of its labels.

        They are None if neither the user nor the checkpoint says them.
        """
        return list(self.names.classes or ()) or read_classes(self.meta)

    @property
    def imports(self) -> list[str]:
        """The modules that its config imports; empty if there are none."""
        imports = (self.cfg.get('custom_imports') or {}).get('imports', [])
        return [imports] if isinstance(imports, str) else list(imports)

    def describe(self) -> str:
        """Describe what is given, for the user.

        Returns:
            A line: the file, the detector, its classes and its config.
        """
        classes = self.classes
        number = f'{len(classes)} classes' if classes else 'classes unknown'
        if self.reads_texts:
            number = 'finds what texts say'
        kind = str(self.cfg.model.type).rpartition('.')[2]
        return (
            f'as given: {self.checkpoint}, {kind}, {number}; config: '
            f'{self.source}'
        )

    def check(self, wanted: Sequence[str]) -> None:
        """Check that weights and classes fit.

        MMEngine's default scope is `mmdet` afterwards.

        Args:
            wanted: The names of the categories of the labeled file, in order.

        Raises:
            DetectorError: If the detector cannot be built, or cannot read the
                texts, see `check_reads`.
            CheckpointError: If the checkpoint cannot be loaded, its weights
                are those of another model or NaN, or a class is missing.
            ValueError: If a prompt or the text of a class cannot be used, see
                `choose_texts`.
            FileNotFoundError: If the checkpoint does not exist.
        """
        detector = build_detector(self.module, self.source)
        content = load_content(self.checkpoint)
        try:
            check_weights(detector, content.get('state_dict', content))
            self.names.map(detector, self.meta, wanted)
        except CheckpointError as error:
            raise CheckpointError(f'{self.checkpoint}: {error}') from None
        if self.reads_texts:
            check_reads(detector, choose_texts(wanted, self.prompt))


def read_teacher(
    checkpoint: Path, config: str | None, classes: Sequence[str] | None = None
) -> GivenTeacher:
    """Read a teacher.

    Args:
        checkpoint: The file of its weights.
        config: The path of its config, or `mmdet::family/name.py`; None for
            the config in the checkpoint.
        classes: The names of its classes; None for those in the checkpoint.

    Returns:
        The teacher.

    Raises:
        FileNotFoundError: If a file does not exist.
        CheckpointError: If the checkpoint cannot be used.
        DetectorError: If the config cannot be used.
        ValueError: If the checkpoint is a URL and no file.
    """
    # `Path` makes one slash of two.
    if '://' in str(checkpoint) or ':/' in str(checkpoint):
        raise ValueError(
            f'--teacher takes files, got {checkpoint}: download it first'
        )
    content = load_content(checkpoint)
    meta = content.get('meta') or {}
    source = config or 'in the checkpoint'
    cfg = read_config(config) if config else find_config(checkpoint, meta)
    if not (cfg.get('model') or {}).get('type'):
        raise DetectorError(f'{source}: it has no `model` with a `type`')
    names = ClassNames(classes)
    return GivenTeacher(checkpoint, source, cfg, names, meta)


def load_content(checkpoint: Path) -> dict:
    """Load a checkpoint, which must not run code.

    Args:
        checkpoint: The file.

    Returns:
        The content, with the weights on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it could run code, or is no checkpoint.
    """
    if not checkpoint.is_file():
        raise FileNotFoundError(
            f'checkpoint of the teacher not found: {checkpoint}, relative to '
            f'the current folder {Path.cwd()}'
        )
    try:
        with refusing_code():
            content = torch.load(checkpoint, map_location='cpu')
    except CheckpointError:
        raise
    # A file that is cut short.
    except (RuntimeError, OSError) as error:
        raise CheckpointError(
            f'{checkpoint} cannot be loaded: {format_error(error)}'
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{checkpoint} is not a checkpoint: it must hold a dictionary, '
            f'got {type(content).__name__}'
        )
    return content


def find_config(checkpoint: Path, meta: Mapping) -> Config:
    """Read the config that a checkpoint was trained with.

    Args:
        checkpoint: The file.
        meta: The `meta` of the checkpoint.

    Returns:
        The config, with the keys of `KEPT` only. Without a `default_scope`, it
        is `mmdet`.

    Raises:
        CheckpointError: If it has none, or one that could run code.
        DetectorError: If it is one of MMDetection 2.x.
    """
    text = meta.get('cfg')
    if not isinstance(text, str):
        raise CheckpointError(
            f'{checkpoint} does not say with which config it was trained. '
            f'{WAY_OUT}'
        )
    try:
        settings = parse_config(text)
        check_version(f'the config in {checkpoint}', settings)
        kept = {key: settings[key] for key in KEPT if key in settings}
        # Of the data loaders, the pipelines count. That of the training is
        # only looked at.
        loader = kept.get('test_dataloader') or {}
        check_types(
            [
                {k: v for k, v in kept.items() if not k.endswith('loader')},
                list_pipelines(loader),
            ]
        )
    except CheckpointError as error:
        raise CheckpointError(f'{checkpoint}: {error}') from None
    return Config({'default_scope': 'mmdet', **kept})


def list_pipelines(value: object) -> list:
    """List the pipelines in a data loader, at any depth.

    Args:
        value: The config of the data loader.

    Returns:
        The pipelines, an outer one before those in it; empty if there is none.
    """
    return [
        config['pipeline']
        for config in find_dicts(value)
        if 'pipeline' in config
    ]


def build_detector(module: dict, source: str) -> nn.Module:
    """Build a detector. MMEngine's default scope is `mmdet` afterwards.

    Args:
        module: The config of the detector.
        source: Where the config is from, for the message.

    Returns:
        The detector, without its weights.

    Raises:
        DetectorError: If it cannot be built.
        CheckpointError: If building it would load code.
    """
    init_default_scope('mmdet')
    try:
        with refusing_code():
            return MODELS.build(module)
    except CheckpointError:
        raise
    # The detector of somebody else may raise anything.
    except Exception as error:
        raise DetectorError(
            f'the teacher cannot be built from the config {source}: '
            f'{type(error).__name__}: {format_error(error)}'
        ) from error
