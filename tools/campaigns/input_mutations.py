"""Random changes of an experiment, its data and its command.

Each takes the folder of the campaign's site and a source of random numbers,
changes something, and says what. A change after which a fresh run gives other
results has a name, with which `apply_change` does it again for that run.
"""

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Change:
    """What was changed.

    Args:
        text: It in words.
        name: What a fresh run would have to be told too, as `apply_change`
            takes it; empty if the inputs are the same as before.
        options: Other options of the command.
    """

    text: str
    name: str = ''
    options: tuple[str, ...] = ()


# Name of a change -> the stage, and the text at the end of its config.
EDITS: dict[str, tuple[str, str]] = {
    'teacher steps': ('teacher', 'train_cfg = dict(max_iters=2)'),
    'teacher rate': (
        'teacher',
        "optim_wrapper['optimizer']['lr'] = 0.2",
    ),
    'control steps': ('supervised_long', 'train_cfg = dict(max_iters=5)'),
    'student batch': ('student', "train_dataloader['batch_size'] = 1"),
    'views': ('annotate', "model['views'] = model['views'][:1]"),
    'selection': (
        'annotate',
        "custom_hooks[0]['selection'] = dict(selector="
        "dict(type='FixedSelector', min_score=0.95))",
    ),
    'shards': ('annotate', "custom_hooks[0]['images_per_shard'] = 2"),
    'evaluation': (
        'student',
        'test_evaluator = dict(proposal_nums=(1, 2, 3))',
    ),
    # These change no result.
    '': ('teacher', "default_hooks['logger']['interval'] = 2"),
}


def edit_config(site: Path, chance: random.Random) -> Change:
    """Edit a config of the experiment.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the config cannot be written.
    """
    name = chance.choice(list(EDITS))
    apply_edit(site, name)
    return Change(f'edited {EDITS[name]}', name and f'edit {name}')


def apply_edit(site: Path, name: str) -> None:
    """Append a line to a config.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        name: The name of the change in `EDITS`.

    Raises:
        OSError: If the config cannot be written.
    """
    stage, line = EDITS[name]
    file = site / 'experiment' / f'{stage}.py'
    before = file.read_text()
    base = line.split('[')[0].split(' =')[0]
    is_inherited = f'\n{base} = ' not in before
    is_changed = '[' in line.split(' =')[0]
    # A config must name anew what it inherits before it can change an item.
    known = f'{base} = _base_.{base}\n' if is_inherited and is_changed else ''
    file.write_text(f'{before}\n{known}{line}\n')


DATA = ('labeled', 'val', 'unlabeled')


def edit_data(site: Path, chance: random.Random) -> Change:
    """Take an object or an image away from a COCO file, or add one.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the file cannot be written.
    """
    name = chance.choice(DATA)
    what = 'images' if name == 'unlabeled' else 'annotations'
    apply_data(site, name)
    return Change(f'one of {what} less in {name}.json', f'data {name}')


def apply_data(site: Path, name: str) -> None:
    """Take the last object or image away from a COCO file.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        name: The name of the file in `DATA`. The unlabeled images lose an
            image, the others an object.

    Raises:
        OSError: If the file cannot be written.
    """
    file = site / 'data' / f'{name}.json'
    content = json.loads(file.read_text())
    content['images' if name == 'unlabeled' else 'annotations'].pop()
    if name == 'unlabeled':
        ids = {image['id'] for image in content['images']}
        content['annotations'] = [
            one for one in content['annotations'] if one['image_id'] in ids
        ]
    file.write_text(json.dumps(content))


def add_image(site: Path, chance: random.Random) -> Change:
    """Add an unlabeled image.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the image or the COCO file cannot be written.
    """
    apply_image(site)
    return Change('another unlabeled image', 'image')


def apply_image(site: Path) -> None:
    """Add an image that is like the last one, but for one pixel.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.

    Raises:
        OSError: If the image or the COCO file cannot be written.
    """
    file = site / 'data/unlabeled.json'
    content = json.loads(file.read_text())
    last = content['images'][-1]
    folder = site / 'data/unlabeled'
    pixels = np.array(Image.open(folder / last['file_name']))
    pixels[0, 0] = 99
    Image.fromarray(pixels).save(folder / 'new.png')
    content['images'].append(dict(last, id=999, file_name='new.png'))
    file.write_text(json.dumps(content))


def exchange_image(site: Path, chance: random.Random) -> Change:
    """Put another image in the place of one, under its name.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the image cannot be written.
    """
    name = chance.choice(DATA)
    apply_exchange(site, name)
    return Change(f'another image in {name}.json', f'exchange {name}')


def apply_exchange(site: Path, name: str) -> None:
    """Turn the first image of a COCO file upside down, with the same times.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        name: The name of the file in `DATA`.

    Raises:
        OSError: If the image cannot be written.
    """
    first = json.loads((site / 'data' / f'{name}.json').read_text())['images'][
        0
    ]
    folder = 'labeled' if name == 'labeled' else 'unlabeled'
    file = site / 'data' / folder / first['file_name']
    status = file.stat()
    Image.fromarray(np.array(Image.open(file))[::-1]).save(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch_images(site: Path, chance: random.Random) -> Change:
    """Give all images another time.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the time of an image cannot be set.
    """
    when = chance.choice([0, 10**9, 4 * 10**9])
    for file in (site / 'data').rglob('*.png'):
        os.utime(file, (when, when))
    return Change(f'all images are of second {when}')


OPTIONS: dict[str, Sequence[str]] = {
    'seed': ('--control', '--seed', '2'),
    'no seed': ('--control',),
    'no control': ('--seed', '1'),
    'no tune': ('--control', '--seed', '1', '--no-tune'),
    'rounds': ('--control', '--seed', '1', '--rounds', '2'),
    'rate': (
        *('--control', '--seed', '1', '--cfg-options'),
        'optim_wrapper.optimizer.lr=0.3',
    ),
    'unknown': (
        *('--control', '--seed', '1', '--cfg-options'),
        'train_cfg.nothing=0.3',
    ),
    'processes': (
        *('--control', '--seed', '1', '--launcher', 'pytorch', '--gpus', '2'),
    ),
}


def change_option(site: Path, chance: random.Random) -> Change:
    """Change the options of the command.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.
    """
    name = chance.choice([key for key in OPTIONS if key != 'processes'])
    return Change(f'option: {name}', f'option {name}', tuple(OPTIONS[name]))


def change_processes(site: Path, chance: random.Random) -> Change:
    """Train with another number of processes.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.
    """
    return Change(
        'option: processes', 'option processes', tuple(OPTIONS['processes'])
    )


def apply_change(site: Path, name: str) -> None:
    """Change the inputs as a mutation did, for a fresh run.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        name: The name of the change. One of the options changes no file.

    Raises:
        OSError: If a file cannot be written.
    """
    kind, _, name = name.partition(' ')
    if kind == 'edit':
        apply_edit(site, name)
    elif kind == 'data':
        apply_data(site, name)
    elif kind == 'exchange':
        apply_exchange(site, name)
    elif kind == 'image':
        apply_image(site)
