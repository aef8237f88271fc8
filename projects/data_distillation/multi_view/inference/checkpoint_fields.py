"""Takes from a checkpoint the values that make MMEngine act.

MMEngine does what some plain values in a checkpoint say when a training
resumes: it runs one as Python code, and deletes or publishes the files that
others name. docs/security.md lists them all.
"""

import numbers
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log

from .checkpoint_error import CheckpointError

# What a training that resumes counts with, by the part of the checkpoint.
INTEGERS = {
    'meta': ('epoch', 'iter', 'seed'),
    'runtime_info': ('sampler_seed',),
}
# What MMEngine sets anew before it resumes. It would write the text of the
# config into the next checkpoints, from which its inferencers run it.
SET_ANEW = ('cfg', 'last_ckpt')
CHANGED = 'MMEngine writes no such checkpoint; ask its maker for another'
HUB_PARTS = ('log_scalars', 'runtime_info', 'resumed_keys')


def remove_orders(content: object, folder: Path | None) -> None:
    """Change a checkpoint so that its values no longer make MMEngine act.

    Args:
        content: The content of the checkpoint, of which only weights and
            plain values were loaded. It is changed in place. If it is no
            dictionary, MMEngine refuses it.
        folder: The folder of the file; None if it has none.

    Raises:
        CheckpointError: If a value has a type that MMEngine does not write, or
            a count is negative.
    """
    changes: dict[str, Callable[[object], object]] = {
        'meta': check_meta,
        'message_hub': lambda hub: check_hub(hub, folder),
        'param_schedulers': make_plain_states,
    }
    if not isinstance(content, dict):
        return
    for name, change in changes.items():
        # A file of weights alone may have a weight of this name.
        if name in content and not isinstance(content[name], torch.Tensor):
            content[name] = change(content[name])


def list_items(content: dict) -> list[tuple]:
    """List the items of a dictionary without calling a method of it.

    A pickle can replace the methods of a subclass.

    Args:
        content: The dictionary, or an instance of a subclass.

    Returns:
        Pairs of a key and a value, in the order of the dictionary.
    """
    return [(key, content[key]) for key in content]


def make_plain_dict(value: object, name: str) -> dict:
    """Return a copy of a dictionary, with the methods of its class.

    Args:
        value: The dictionary.
        name: Where it is in the checkpoint.

    Returns:
        A new `dict` with the same keys and values; values are not copied.

    Raises:
        CheckpointError: If it is no dictionary.
    """
    if not isinstance(value, dict):
        raise CheckpointError(
            f'`{name}` of the checkpoint must be a dictionary, got '
            f'{type(value).__name__}: {CHANGED}'
        )
    return dict(list_items(value))


def check_meta(value: object) -> dict:
    """Check the `meta` of a checkpoint, and leave out the config to run.

    Args:
        value: The `meta`.

    Returns:
        A copy without `config`; a line in the log says if one was left out.

    Raises:
        CheckpointError: If it is no dictionary, or a number that MMEngine
            counts with is no integer of at least 0.
    """
    meta = make_plain_dict(value, 'meta')
    check_integers(meta, 'meta')
    if 'config' in meta:
        # MMEngine compares its `gpu_ids`, which no config of 3.x has.
        print_log(
            '`config` in the `meta` of the checkpoint is left out, because '
            'MMEngine would run it as Python code',
            'current',
        )
        del meta['config']
    return meta


def check_hub(value: object, folder: Path | None) -> dict:
    """Check the message hub of a checkpoint, and leave out files of others.

    Args:
        value: The state of the message hub.
        folder: The folder of the checkpoint; None if it has none.

    Returns:
        A copy without `SET_ANEW`, and without the names of best and kept
        checkpoints that are not of a training in `folder`, see `find_own_best`
        and `find_own_numbers`. The path of a best one that is kept leads to
        `folder`. Each of `HUB_PARTS` is there, empty if it was missing.

    Raises:
        CheckpointError: If it or a part is no dictionary, a value is no number
            where MMEngine needs one, or the seed of the sampler is no integer
            of at least 0.
    """
    hub = make_plain_dict(value, 'message_hub')
    for part in HUB_PARTS:
        hub[part] = make_plain_dict(hub.get(part, {}), f'message_hub.{part}')
    info = hub['runtime_info']
    check_integers(info, 'runtime_info')
    for key in SET_ANEW:
        info.pop(key, None)
    # A list, because `keep_own` may delete the key during the loop.
    for key in list(info):
        if is_named(key, 'best_score'):
            check_number(key, info[key])
        elif is_named(key, 'best_ckpt'):
            keep_own(info, key, find_own_best(info[key], folder))
        elif key == 'keep_ckpt_ids':
            keep_own(info, key, find_own_numbers(info[key], folder))
    # A key that is left out must not be kept by name either.
    known = {*hub['log_scalars'], *info}
    hub['resumed_keys'] = {
        key: value
        for key, value in hub['resumed_keys'].items()
        if key in known
    }
    return hub


def is_named(key: object, name: str) -> bool:
    """Return whether a key is a name, or begins with it and `_`.

    Args:
        key: The key; of any type, but only a string can be named.
        name: The name, such as `best_ckpt`.

    Returns:
        True for `best_ckpt` and `best_ckpt_mAP`, False for `best_ckpts`.
    """
    return isinstance(key, str) and (key == name or key.startswith(f'{name}_'))


def keep_own(info: dict, key: str, value: object) -> None:
    """Keep the files that a training may delete, or say that they stay.

    Args:
        info: The information of the message hub. It is changed in place: the
            key gets the value, or goes if the value is None.
        key: The name of the files, which `info` has.
        value: The files that are of this training; None if some are not, of
            which a line in the log says that they stay.
    """
    found = info[key]
    # Other values, such as arrays, may have no truth value.
    is_empty = isinstance(found, str | list | None) and not found
    if value is None and not is_empty:
        print_log(
            f'`{key}` of the checkpoint is left out: if the training '
            f'continues, it deletes no {found!r:.200}, which is not in '
            'the work folder of the checkpoint',
            'current',
        )
    if value is None:
        del info[key]
    else:
        info[key] = value


def is_work_folder(folder: Path | None) -> bool:
    """Return whether MMEngine has trained in a folder.

    Args:
        folder: The folder; None, which is never one, if it is not known.

    Returns:
        True if the folder has the file `last_checkpoint`.
    """
    return folder is not None and (folder / 'last_checkpoint').is_file()


def find_own_best(path: object, folder: Path | None) -> str | None:
    """Return the best checkpoint of the training that wrote a checkpoint.

    Args:
        path: The path in the checkpoint.
        folder: The folder of the checkpoint; None if it has none.

    Returns:
        The path in this folder, because it may have been moved since; None
        if there is no such file, it has no name of a best checkpoint, or
        MMEngine has not trained in this folder.
    """
    if not isinstance(path, str) or not is_work_folder(folder):
        return None
    # The name alone, so that no path leads out of the folder. None was ruled
    # out above, which a type checker cannot see.
    file = Path(folder or '') / Path(path).name
    is_best = file.name.startswith('best_') and file.suffix == '.pth'
    return str(file) if is_best and file.is_file() else None


def find_own_numbers(values: object, folder: Path | None) -> list[int] | None:
    """Return the numbers of the checkpoints that a training has kept.

    Args:
        values: The numbers in the checkpoint.
        folder: The folder of the checkpoint; None if it has none.

    Returns:
        The list itself; None if it is no list of integers of at least 0, or
        the checkpoint is not in the work folder of its training.
    """
    if not isinstance(values, list) or not is_work_folder(folder):
        return None
    return values if all(map(is_integer, values)) else None


def is_integer(value: object) -> bool:
    """Return whether a value is an integer, and not negative.

    Args:
        value: The value, of any type; `True` and `False` are no integers.

    Returns:
        True for an integer of at least 0, also one of numpy.
    """
    return (
        isinstance(value, numbers.Integral)
        and not isinstance(value, bool)
        and int(value) >= 0
    )


def check_integers(values: Mapping, part: str) -> None:
    """Check the integers in a part of a checkpoint.

    Args:
        values: The values by name. A name may be missing or None.
        part: The name of the part, a key of `INTEGERS`.

    Raises:
        CheckpointError: If one is not an integer, or negative.
    """
    for name in INTEGERS[part]:
        value = values.get(name)
        if value is not None and not is_integer(value):
            raise CheckpointError(
                f'`{name}` in `{part}` of the checkpoint must be an integer '
                f'of at least 0, got {value!r:.80}: {CHANGED}'
            )


def check_number(name: str, value: object) -> None:
    """Check a number in the message hub of a checkpoint.

    Args:
        name: The key of the number, for the message.
        value: What the checkpoint has there; numpy's scalars and tensors are
            allowed.

    Raises:
        CheckpointError: If it is no number.
    """
    if not isinstance(value, numbers.Number | np.generic | torch.Tensor):
        raise CheckpointError(
            f'`{name}` in the message hub of the checkpoint must be a '
            f'number, got {value!r:.80}: {CHANGED}'
        )


def make_plain_states(value: object) -> object:
    """Reduce the states of all schedulers to plain values.

    Args:
        value: A list of states, or several by the name of the optimizer, also
            in a dictionary of dictionaries.

    Returns:
        A new list or dictionary, with new states in the same order, see
        `make_plain_state`.

    Raises:
        CheckpointError: If anything but a list is where one must be, or a
            state is no dictionary.
    """
    if isinstance(value, dict):
        return {
            name: make_plain_states(each) for name, each in list_items(value)
        }
    if not isinstance(value, list):
        raise CheckpointError(
            '`param_schedulers` of the checkpoint must be a list, got '
            f'{type(value).__name__}: {CHANGED}'
        )
    return [make_plain_state(state) for state in value]


def make_plain_state(state: object) -> dict:
    """Reduce the state of a scheduler to plain values.

    MMEngine makes each value an attribute of the scheduler. Functions stay
    those that the config asks for.

    Args:
        state: The state, as the checkpoint has it.

    Returns:
        A new dictionary without `optimizer` and without anything that can be
        called.

    Raises:
        CheckpointError: If the state is no dictionary.
    """
    return {
        name: value
        for name, value in make_plain_dict(state, 'param_schedulers').items()
        if name != 'optimizer' and not callable(value)
    }
