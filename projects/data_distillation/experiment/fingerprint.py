"""What the results of a stage depend on, to notice when it has changed."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config

from ..files.atomic import write_json
from ..files.digest import sha256_of

# Of a config, what a training's weights depend on ...
TRAINING_KEYS = (
    'default_scope',
    'model',
    'train_dataloader',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'custom_hooks',
    'default_hooks',
    'randomness',
    'load_from',
    'auto_scale_lr',
)
# ... and what an evaluation's metrics do.
EVALUATION_KEYS = ('model', 'test_dataloader', 'test_evaluator', 'test_cfg')
# What only decides how fast a result is there, and what is shown meanwhile.
NO_EFFECT = {
    'num_workers',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
    'logger',
    'timer',
    'checkpoint',
    'visualization',
}
# Beside the results.
SETTINGS = 'settings.json'
MAX_WIDTH = 60


def training_settings(cfg: Config, seed: int | None) -> dict:
    """Return what the weights of a training stage depend on.

    Args:
        cfg: Its config.
        seed: The random seed, if one is given.
    """
    settings = chosen(cfg, TRAINING_KEYS)
    return dict(settings, seed=seed, files=digests(cfg.train_dataloader))


def evaluation_settings(cfg: Config, checkpoint: Path) -> dict:
    """Return what the metrics of a model depend on.

    Args:
        cfg: Its config.
        checkpoint: Its weights, which nothing changes in place.
    """
    settings = chosen(cfg, EVALUATION_KEYS)
    files = digests([cfg.test_dataloader, cfg.test_evaluator])
    return dict(settings, checkpoint=checkpoint.name, files=files)


def chosen(cfg: Config, keys: Sequence[str]) -> dict:
    """Return a part of a config, as it comes back from a JSON file."""
    part = {key: cfg.to_dict()[key] for key in keys if key in cfg}
    return json.loads(json.dumps(without_effectless(part), default=str))


def without_effectless(value: object) -> object:
    """Leave out what `NO_EFFECT` names, at any depth."""
    if isinstance(value, Mapping):
        return {
            key: without_effectless(one)
            for key, one in value.items()
            if key not in NO_EFFECT
        }
    if isinstance(value, (list, tuple)):
        return [without_effectless(one) for one in value]
    return value


def digests(value: object) -> dict[str, str | None]:
    """Return the SHA-256 of every annotation file that a config names.

    Args:
        value: A part of a config, such as a data loader.

    Returns:
        By path; None for a file that is not there.
    """
    return {file: sha256_of(file) for file in annotation_files(value)}


def annotation_files(value: object) -> Iterator[str]:
    """Yield the path of every `ann_file` in a part of a config."""
    if isinstance(value, Mapping):
        if isinstance(value.get('ann_file'), str) and value['ann_file']:
            root = value.get('data_root') or ''
            yield str(Path(root, value['ann_file']))
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from annotation_files(one)


def write_settings(folder: Path, settings: dict) -> None:
    """Keep the settings of a stage's results, which are to come."""
    write_json(folder / SETTINGS, settings)


def written_settings(folder: Path) -> dict | None:
    """Return the settings of the results in a folder; None if there are none.

    Args:
        folder: Of a stage.
    """
    file = folder / SETTINGS
    return json.loads(file.read_bytes()) if file.is_file() else None


def changes(folder: Path, settings: dict) -> list[str]:
    """Say what differs from the settings of the results in a folder.

    Args:
        folder: Of a stage.
        settings: Of now, as JSON has them.

    Returns:
        A text for each; empty if nothing differs, or there are no results.
    """
    written = written_settings(folder)
    if written is None:
        return []
    before, now = dict(leaves(written)), dict(leaves(settings))
    return [
        changed(key, before.get(key), now.get(key))
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def leaves(
    value: object, key: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield what has no parts, and under which keys it is."""
    children: Sequence[tuple[object, object]] = ()
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    if not children:
        yield key, value
    for name, child in children:
        yield from leaves(child, (*key, str(name)))


def changed(key: tuple[str, ...], before: object, now: object) -> str:
    """Say what has changed; of a file, only that it has."""
    if key[0] == 'files' and before and now:
        return f'{key[-1]} has changed'
    values = (
        textwrap.shorten(repr(value), MAX_WIDTH, placeholder='...')
        for value in (before, now)
    )
    return '{} was {}, is {}'.format('.'.join(key), *values)


def set_aside(folder: Path) -> Path:
    """Move a stage's results away, where nothing reads them.

    Args:
        folder: Of a stage.

    Returns:
        Where they are: `replaced/`, beside the folder.
    """
    places = folder.parent / 'replaced'
    places.mkdir(exist_ok=True)
    number = len(list(places.glob(f'{folder.name}-*'))) + 1
    return folder.rename(places / f'{folder.name}-{number}')
