"""What the results of a stage depend on, to notice when it has changed."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config

from ...base_configs.config_reading import list_mappings
from ...files.atomic import write_json
from ...files.digest import compute_sha256

# The parts of a config that the weights of a training depend on.
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
# The parts of a config that the metrics of an evaluation depend on.
EVALUATION_KEYS = ('model', 'test_dataloader', 'test_evaluator', 'test_cfg')
# Keys that change how fast a result is there and what is shown until then, but
# not the result.
NO_EFFECT = {
    'num_workers',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
}
# The same of `default_hooks`. `checkpoint` of a model names its weights.
HOOKS_WITHOUT_EFFECT = {'logger', 'timer', 'checkpoint', 'visualization'}
# The images of each COCO file, see `image_states.hash_images`.
IMAGE_FILES = 'image_files'
# The files of weights that a training begins with, see `hash_weights`.
WEIGHTS = 'weights'
# Nobody knows whether a file that is not there has changed.
FILES_OF_OTHERS = {IMAGE_FILES, WEIGHTS}
EXPERIMENT = 'experiment'
# What earlier versions did not write: nobody knows whether it has changed.
ADDED_LATER = {
    'num_processes',
    'checkpoint_sha256',
    EXPERIMENT,
    *FILES_OF_OTHERS,
}
# What a person changes, in the order in which a change is named: the rest
# follows from it, such as the steps of a schedule from its length.
NAMED_FIRST = (
    'files',
    'images',
    IMAGE_FILES,
    WEIGHTS,
    'seed',
    'load_from',
    'train_cfg',
    'model',
    'train_dataloader',
    'test_dataloader',
    'optim_wrapper',
)
# The file beside the results.
SETTINGS = 'settings.json'
# The letters of a value in a message; a pipeline as text has thousands.
MAX_WIDTH = 60


def collect_training_settings(
    cfg: Config, seed: int | None, num_processes: int = 1
) -> dict:
    """Collect the settings that the weights of a training depend on.

    Args:
        cfg: The config of the training.
        seed: The random seed; None if none is given.
        num_processes: The number of processes, each with a batch of its own.

    Returns:
        Settings by name, as they come back from a JSON file.

    Raises:
        OSError: If an annotation file cannot be read.
    """
    return dict(
        pick_keys(cfg, TRAINING_KEYS),
        seed=seed,
        num_processes=num_processes,
        files=compute_digests(cfg.train_dataloader),
    )


def collect_evaluation_settings(cfg: Config, checkpoint: Path) -> dict:
    """Collect the settings that the metrics of a model depend on.

    Args:
        cfg: The config of the model.
        checkpoint: The weights of the model.

    Returns:
        Settings by name, as they come back from a JSON file.

    Raises:
        OSError: If an annotation file or the checkpoint cannot be read.
    """
    settings = pick_keys(cfg, EVALUATION_KEYS)
    files = compute_digests([cfg.test_dataloader, cfg.test_evaluator])
    return dict(
        settings,
        checkpoint=checkpoint.name,
        checkpoint_sha256=compute_sha256(checkpoint),
        files=files,
    )


def pick_keys(cfg: Config, keys: Sequence[str]) -> dict:
    """Pick some keys of a config as they come back from a JSON file.

    Args:
        cfg: The config.
        keys: The keys; those that it lacks are left out.

    Returns:
        Key -> value, without what has no effect.
    """
    part = {key: cfg.to_dict()[key] for key in keys if key in cfg}
    if hooks := part.get('default_hooks'):
        kept = hooks.keys() - HOOKS_WITHOUT_EFFECT
        part['default_hooks'] = {key: hooks[key] for key in sorted(kept)}
    return json.loads(json.dumps(drop_effectless(part), default=str))


def drop_effectless(value: object) -> object:
    """Leave out the keys of `NO_EFFECT` at any depth.

    Args:
        value: A part of a config.

    Returns:
        A copy; tuples become lists.
    """
    if isinstance(value, Mapping):
        return {
            key: drop_effectless(one)
            for key, one in value.items()
            if key not in NO_EFFECT
        }
    if isinstance(value, (list, tuple)):
        return [drop_effectless(one) for one in value]
    return value


def compute_digests(value: object) -> dict[str, str | None]:
    """Return the SHA-256 of every annotation file that a config names.

    Args:
        value: A part of a config, for example a data loader.

    Returns:
        Path -> 64 hexadecimal digits; None for a file that does not exist.

    Raises:
        OSError: If a file cannot be read.
    """
    return {
        file: compute_sha256(file) for file in find_annotation_files(value)
    }


def find_annotation_files(value: object) -> Iterator[str]:
    """Find every `ann_file` in a part of a config.

    Args:
        value: The part.

    Yields:
        Each path, with the `data_root` beside it, in the order of the config.
    """
    for part in list_mappings(value):
        if isinstance(part.get('ann_file'), str) and part['ann_file']:
            root = part.get('data_root') or ''
            yield str(Path(root, part['ann_file']))


def write_settings(folder: Path, settings: dict) -> None:
    """Write the settings of the results that a stage will have.

    Args:
        folder: The work folder of the stage.
        settings: The settings, as JSON has them.

    Raises:
        OSError: If the file cannot be written.
    """
    write_json(folder / SETTINGS, settings)


def read_settings(folder: Path) -> dict | None:
    """Return the settings of the results in a folder.

    Args:
        folder: The work folder of a stage.

    Returns:
        The settings; None if there are no results. They are empty if the file
        is damaged.
    """
    file = folder / SETTINGS
    if not file.is_file():
        return None
    try:
        settings = json.loads(file.read_bytes())
    except ValueError:
        return {}
    return settings if isinstance(settings, dict) else {}


def list_differences(folder: Path, settings: dict) -> list[str]:
    """Find what differs from the settings of the results in a folder.

    Args:
        folder: The work folder of a stage.
        settings: The present settings, as JSON has them.

    Returns:
        A text for each difference, those first that explain others. There is
        none if nothing differs or the folder has no results. What an earlier
        version did not write counts as the same, and so does a file of
        `FILES_OF_OTHERS` without a digest, before or now.
    """
    written = read_settings(folder)
    if written is None:
        return []
    if not written:
        return [f'{SETTINGS} is damaged']
    # The difference comes first: `-` binds more tightly than `&`.
    for key in ADDED_LATER & settings.keys() - written.keys():
        written[key] = settings[key]
    before, now = dict(walk_leaves(written)), dict(walk_leaves(settings))
    # Earlier versions left out each `checkpoint` in a model.
    left_out = {
        key for key in now if (key[0], key[-1]) == ('model', 'checkpoint')
    }
    keys = before.keys() | (now.keys() - left_out)
    changed = [key for key in keys if before.get(key) != now.get(key)]
    return [
        describe_change(key, before.get(key), now.get(key))
        for key in sorted(changed, key=rank_change)
        if key[0] not in FILES_OF_OTHERS or (before.get(key) and now.get(key))
    ]


def rank_change(key: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """Return where a change is named among others.

    Args:
        key: The keys that lead to the value; there is at least one.

    Returns:
        What sorts the keys: by `NAMED_FIRST`, and then by name.
    """
    first = NAMED_FIRST.index(key[0]) if key[0] in NAMED_FIRST else None
    return len(NAMED_FIRST) if first is None else first, key


def walk_leaves(
    value: object, key: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Find the values that have no parts.

    Args:
        value: Dicts and lists within each other.
        key: The keys that lead to this value.

    Yields:
        The keys that lead to each, and the value. An empty dict or list is
        such a value.
    """
    children: Sequence[tuple[object, object]] = ()
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    if not children:
        yield key, value
    for name, child in children:
        yield from walk_leaves(child, (*key, str(name)))


def describe_change(key: tuple[str, ...], before: object, now: object) -> str:
    """Describe a change for a user.

    For a file, it does not say what has changed in it.

    Args:
        key: The keys that lead to the value.
        before: The value in the earlier settings; None if there is none.
        now: The value in the present settings; None if there is none.

    Returns:
        The text; values are cut at `MAX_WIDTH` letters.
    """
    if key[0] in ('files', WEIGHTS) and before and now:
        return f'{key[-1]} has changed'
    if key[0] == IMAGE_FILES:
        return f'images of {key[-1]} have other content'
    values = (
        textwrap.shorten(repr(value), MAX_WIDTH, placeholder='...')
        for value in (before, now)
    )
    return '{} was {}, is {}'.format('.'.join(key), *values)


def set_aside(folder: Path) -> Path:
    """Move the results of a stage to where nothing reads them.

    Args:
        folder: The work folder of the stage.

    Returns:
        The new folder of the results, in `replaced/` beside the old one.

    Raises:
        FileNotFoundError: If there is no such folder.
        OSError: If it cannot be moved.
    """
    place = find_free_path(folder)
    place.parent.mkdir(exist_ok=True)
    return folder.rename(place)


def find_free_path(folder: Path) -> Path:
    """Find a path in `replaced/`, beside a stage's folder, that is free.

    Args:
        folder: The work folder of the stage.

    Returns:
        The folder's name with the next larger number, from 1; nothing is made.
    """
    places = folder.parent / 'replaced'
    # A person may have deleted any of them.
    numbers = (
        place.name.removeprefix(f'{folder.name}-')
        for place in places.glob('*')
        if place.name.startswith(f'{folder.name}-')
    )
    last = max((int(n) for n in numbers if n.isdecimal()), default=0)
    return places / f'{folder.name}-{last + 1}'
