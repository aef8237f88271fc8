"""Random changes of a finished work folder, its experiment and its command.

Each takes the folder of the experiment and a source of random numbers,
changes something, and says what. The names of variants are those of changes
after which a fresh run gives other results, see `mutation_campaign.py`.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

DAY = 24 * 3600


@dataclass(frozen=True)
class Change:
    """What was changed.

    Args:
        text: It in words.
        variant: What a fresh run would have to be told too; empty if the
            inputs are the same as before.
        options: Other options of the command.
    """

    text: str
    variant: str = ''
    options: tuple[str, ...] = ()


def list_results(site: Path) -> list[Path]:
    """Return all files of the work folder."""
    work = site / 'work'
    return sorted(p for p in work.rglob('*') if p.is_file())


def choose_file(site: Path, chance: random.Random) -> Path:
    """Choose a file; files that decide something are chosen more often."""
    files = list_results(site)
    weights = [1 if is_log(file) else 5 for file in files]
    return chance.choices(files, weights)[0]


def is_log(file: Path) -> bool:
    """Return whether a file is there to be read by people."""
    return file.suffix == '.log' or 'vis_data' in file.parts


def delete(site: Path, chance: random.Random) -> Change:
    """Delete a file."""
    file = choose_file(site, chance)
    file.unlink()
    return Change(f'deleted {file.relative_to(site)}')


def truncate(site: Path, chance: random.Random) -> Change:
    """Cut a file short, perhaps to nothing."""
    file = choose_file(site, chance)
    size = file.stat().st_size
    length = chance.choice([0, chance.randrange(max(1, size))])
    os.truncate(file, length)
    return Change(f'cut {file.relative_to(site)} to {length} of {size} bytes')


def change_bytes(site: Path, chance: random.Random) -> Change:
    """Change some bytes of a file in one place."""
    file = choose_file(site, chance)
    content = bytearray(file.read_bytes())
    place = chance.randrange(max(1, len(content)))
    length = chance.choice([1, 20])
    content[place : place + length] = chance.randbytes(length)
    file.write_bytes(content)
    return Change(f'{length} other bytes in {file.relative_to(site)}')


def append_bytes(site: Path, chance: random.Random) -> Change:
    """Append bytes to a file."""
    file = choose_file(site, chance)
    with file.open('ab') as opened:
        opened.write(chance.choice([b'\n', b'\0' * 100, chance.randbytes(9)]))
    return Change(f'appended to {file.relative_to(site)}')


def swap(site: Path, chance: random.Random) -> Change:
    """Exchange two files of one kind."""
    file = choose_file(site, chance)
    others = [
        other
        for other in list_results(site)
        if other.suffix == file.suffix and other != file
    ]
    if not others:
        return rename(site, chance)
    other = chance.choice(others)
    exchange(file, other)
    return Change(f'swapped {file.relative_to(site)} and {other.name}')


def exchange(one: Path, other: Path) -> None:
    """Exchange two files or folders."""
    aside = one.with_name('aside')
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def rename(site: Path, chance: random.Random) -> Change:
    """Give a file another name."""
    file = choose_file(site, chance)
    name = chance.choice([f'{file.name}.old', f'x{file.name}', 'iter_9.pth'])
    file.rename(file.with_name(name))
    return Change(f'renamed {file.relative_to(site)} to {name}')


def touch(site: Path, chance: random.Random) -> Change:
    """Give a file a time in the past or in the future."""
    file = choose_file(site, chance)
    days = chance.choice([-3000, -1, 0, 3000])
    when = file.stat().st_mtime + days * DAY
    os.utime(file, (when, when))
    return Change(f'{file.relative_to(site)} is {days} days older or newer')


def list_stages(site: Path) -> list[Path]:
    """Return the folders of the stages."""
    return sorted(p for p in (site / 'work').iterdir() if p.is_dir())


def delete_folder(site: Path, chance: random.Random) -> Change:
    """Delete the folder of a stage or one in it."""
    stage = chance.choice(list_stages(site))
    folder = chance.choice(
        [stage, *(p for p in stage.iterdir() if p.is_dir())]
    )
    shutil.rmtree(folder)
    return Change(f'deleted {folder.relative_to(site)}/')


def swap_folders(site: Path, chance: random.Random) -> Change:
    """Exchange the folders of two stages."""
    one, other = chance.sample(list_stages(site), 2)
    exchange(one, other)
    return Change(f'swapped {one.relative_to(site)}/ and {other.name}/')


def take_from_other_seed(site: Path, chance: random.Random) -> Change:
    """Put a file or a folder of a run with another seed in its place."""
    other = site / 'other_seed'
    files = [
        file
        for file in list_results(site)
        if (other / file.relative_to(site / 'work')).is_file()
    ]
    places = chance.choice([files, list_stages(site)])
    place = chance.choice(places)
    source = other / place.relative_to(site / 'work')
    if place.is_dir():
        shutil.rmtree(place)
        shutil.copytree(source, place)
    else:
        shutil.copy2(source, place)
    return Change(f'{place.relative_to(site)} of a run with another seed')


def jump_clock(site: Path, chance: random.Random) -> Change:
    """Let results look as if the clock has jumped back since."""
    folders = [p for p in (site / 'work').rglob('2[0-9]*_*') if p.is_dir()]
    folder = chance.choice(folders)
    later = f'2099{folder.name[4:]}'
    for file in folder.rglob('2*'):
        file.rename(file.with_name(file.name.replace(folder.name, later)))
    folder.rename(folder.with_name(later))
    gone = chance.choice(['', 'finished', 'results.bbox.json'])
    if gone:
        (folder.parent / gone).unlink(missing_ok=True)
    return Change(
        f'{folder.relative_to(site)} from 2099, without {gone or "nothing"}'
    )


# Text at the end of a config, and the variant that it makes.
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
    """Edit a config of the experiment."""
    variant = chance.choice(list(EDITS))
    apply_edit(site, variant)
    return Change(f'edited {EDITS[variant]}', variant and f'edit {variant}')


def apply_edit(site: Path, variant: str) -> None:
    """Append a line to a config."""
    stage, line = EDITS[variant]
    with (site / 'experiment' / f'{stage}.py').open('a') as config:
        base = line.split('[')[0].split(' =')[0]
        known = (
            f'{base} = _base_.{base}\n' if '[' in line.split(' =')[0] else ''
        )
        config.write(f'\n{known if stage != "teacher" else ""}{line}\n')


DATA = ('labeled', 'val', 'unlabeled')


def edit_data(site: Path, chance: random.Random) -> Change:
    """Take an object or an image away from a COCO file, or add one."""
    name = chance.choice(DATA)
    what = 'images' if name == 'unlabeled' else 'annotations'
    apply_data(site, name)
    return Change(f'one of {what} less in {name}.json', f'data {name}')


def apply_data(site: Path, name: str) -> None:
    """Take the last object or image away from a COCO file."""
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
    """Add an unlabeled image."""
    apply_image(site)
    return Change('another unlabeled image', 'image')


def apply_image(site: Path) -> None:
    """Add an image that is like the last one, but for one pixel."""
    file = site / 'data/unlabeled.json'
    content = json.loads(file.read_text())
    last = content['images'][-1]
    folder = site / 'data/unlabeled'
    pixels = np.array(Image.open(folder / last['file_name']))
    pixels[0, 0] = 99
    Image.fromarray(pixels).save(folder / 'new.png')
    content['images'].append(dict(last, id=999, file_name='new.png'))
    file.write_text(json.dumps(content))


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
    """Change the options of the command."""
    name = chance.choice([key for key in OPTIONS if key != 'processes'])
    return Change(f'option: {name}', f'option {name}', tuple(OPTIONS[name]))


def change_processes(site: Path, chance: random.Random) -> Change:
    """Train with another number of processes."""
    return Change(
        'option: processes', 'option processes', tuple(OPTIONS['processes'])
    )


def apply_variant(site: Path, variant: str) -> None:
    """Change the inputs as a mutation did, for a fresh run."""
    kind, _, name = variant.partition(' ')
    if kind == 'edit':
        apply_edit(site, name)
    elif kind == 'data':
        apply_data(site, name)
    elif kind == 'image':
        apply_image(site)


Mutation = Callable[[Path, random.Random], Change]
# Mutation -> how often it is chosen.
MUTATIONS: dict[Mutation, float] = {
    delete: 3,
    truncate: 3,
    change_bytes: 3,
    append_bytes: 1,
    swap: 3,
    rename: 2,
    touch: 1,
    delete_folder: 2,
    swap_folders: 2,
    take_from_other_seed: 3,
    jump_clock: 2,
    edit_config: 2,
    edit_data: 2,
    add_image: 1,
    change_option: 2,
    change_processes: 0.1,
}
