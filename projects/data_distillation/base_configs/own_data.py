"""Finds the variables in which a detector's config names its own data."""

import inspect
from collections.abc import Iterator, Mapping, Sequence

from mmengine.config import Config
from mmengine.runner import Runner

# Under these keys, datasets, evaluators and hooks name files and folders.
PLACES = {'data_root', 'ann_file', 'data_prefix', 'img_prefix'}
# The variable of an experiment with the true labels of its unlabeled images.
TRUTH = 'unlabeled_truth'
# What is no variable: stages take these over or replace them.
SETTINGS = {*inspect.signature(Runner.__init__).parameters, 'work_dir'}


def find_own_data(cfg: Config, replaced: Sequence[str] = ()) -> list[str]:
    """Find the variables of a config that name its data.

    No part of MMEngine reads a variable. But configs that inherit, and people
    who read them, would take these files for those of the experiment.

    Args:
        cfg: The config.
        replaced: The names of variables that get other values anyhow. They
            are left out.

    Returns:
        The names, in the order of the config; see `names_data`.
    """
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    used = {
        place
        for loader in loaders
        for place in list_places(cfg.get(loader))
        if place  # Each text begins with an empty one.
    }
    return [
        name
        for name, value in cfg.items()
        if name not in SETTINGS
        and name not in replaced
        and names_data(name, value, tuple(used))
    ]


def list_places(value: object, is_place: bool = False) -> Iterator[str]:
    """Find the files and folders that a part of a config names.

    Args:
        value: The part.
        is_place: Whether a text is one of them; otherwise only those below
            a key of `PLACES` are.

    Yields:
        Each path, in the order of the config, also empty texts and repeated
        ones.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from list_places(child, is_place or key in PLACES)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from list_places(child, is_place)
    elif is_place and isinstance(value, str):
        yield value


def names_data(name: str, value: object, used: tuple[str, ...]) -> bool:
    """Return whether a variable names data of its config.

    Args:
        name: The name of the variable.
        value: The value of the variable.
        used: The files and folders that the loaders of the config name.

    Returns:
        True for a text with the name of a place or of the truth, for a text
        that begins with one of `used`, and for a value that holds a path below
        a key of `PLACES`. An empty text names no data.
    """
    if isinstance(value, str):
        return bool(value) and (
            name in {*PLACES, TRUTH} or value.startswith(used)
        )
    is_place = name in PLACES
    return any(place for place in list_places(value, is_place))
