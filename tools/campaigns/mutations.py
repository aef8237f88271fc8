"""Random changes of a finished work folder.

`MUTATIONS` has these and the changes of the inputs (`input_mutations.py`).
Each takes the folder of the campaign's site and a source of random numbers,
changes something, and says what.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from input_mutations import (
    Change,
    add_image,
    change_option,
    change_processes,
    edit_config,
    edit_data,
    exchange_image,
    touch_images,
)

DAY = 24 * 3600


def list_results(site: Path) -> list[Path]:
    """List all files of the work folder.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.

    Returns:
        The paths of the files, in the order of their names.
    """
    work = site / 'work'
    return sorted(p for p in work.rglob('*') if p.is_file())


def choose_file(site: Path, chance: random.Random) -> Path:
    """Choose a file of the work folder.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        The path of the file. Files that decide something are chosen five times
        as often as logs.
    """
    files = list_results(site)
    weights = [1 if is_log(file) else 5 for file in files]
    return chance.choices(files, weights)[0]


def is_log(file: Path) -> bool:
    """Return whether a file is there to be read by people.

    Args:
        file: The path of the file.
    """
    return file.suffix == '.log' or 'vis_data' in file.parts


def delete(site: Path, chance: random.Random) -> Change:
    """Delete a file.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the file cannot be deleted.
    """
    file = choose_file(site, chance)
    file.unlink()
    return Change(f'deleted {file.relative_to(site)}')


def truncate(site: Path, chance: random.Random) -> Change:
    """Cut a file short, perhaps to nothing.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the file cannot be written.
    """
    file = choose_file(site, chance)
    size = file.stat().st_size
    length = chance.choice([0, chance.randrange(max(1, size))])
    os.truncate(file, length)
    return Change(f'cut {file.relative_to(site)} to {length} of {size} bytes')


def change_bytes(site: Path, chance: random.Random) -> Change:
    """Change some bytes of a file in one place.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the file cannot be written.
    """
    file = choose_file(site, chance)
    content = bytearray(file.read_bytes())
    place = chance.randrange(max(1, len(content)))
    length = chance.choice([1, 20])
    content[place : place + length] = chance.randbytes(length)
    file.write_bytes(content)
    return Change(f'{length} other bytes in {file.relative_to(site)}')


def append_bytes(site: Path, chance: random.Random) -> Change:
    """Append bytes to a file.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the file cannot be written.
    """
    file = choose_file(site, chance)
    with file.open('ab') as opened:
        opened.write(chance.choice([b'\n', b'\0' * 100, chance.randbytes(9)]))
    return Change(f'appended to {file.relative_to(site)}')


def swap(site: Path, chance: random.Random) -> Change:
    """Exchange two files of one kind.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If a file cannot be renamed.
    """
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
    """Exchange two files or folders.

    Args:
        one: The path of one, beside which there must be no `aside`.
        other: The path of the other one. Neither is in the other.

    Raises:
        OSError: If one cannot be renamed.
    """
    aside = one.with_name('aside')
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def rename(site: Path, chance: random.Random) -> Change:
    """Give a file another name.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the file cannot be renamed.
    """
    file = choose_file(site, chance)
    name = chance.choice([f'{file.name}.old', f'x{file.name}', 'iter_9.pth'])
    file.rename(file.with_name(name))
    return Change(f'renamed {file.relative_to(site)} to {name}')


def touch(site: Path, chance: random.Random) -> Change:
    """Give a file a time in the past or in the future.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the time of the file cannot be set.
    """
    file = choose_file(site, chance)
    days = chance.choice([-3000, -1, 0, 3000])
    when = file.stat().st_mtime + days * DAY
    os.utime(file, (when, when))
    return Change(f'{file.relative_to(site)} is {days} days older or newer')


def list_stages(site: Path) -> list[Path]:
    """List the folders of the stages.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.

    Returns:
        The folders in the work folder, in the order of their names.

    Raises:
        OSError: If the work folder cannot be listed.
    """
    return sorted(p for p in (site / 'work').iterdir() if p.is_dir())


def delete_folder(site: Path, chance: random.Random) -> Change:
    """Delete the folder of a stage or one in it.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the folder cannot be listed or removed.
    """
    stage = chance.choice(list_stages(site))
    folder = chance.choice(
        [stage, *(p for p in stage.iterdir() if p.is_dir())]
    )
    shutil.rmtree(folder)
    return Change(f'deleted {folder.relative_to(site)}/')


def swap_folders(site: Path, chance: random.Random) -> Change:
    """Exchange the folders of two stages.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If a folder cannot be listed or renamed.
    """
    one, other = chance.sample(list_stages(site), 2)
    exchange(one, other)
    return Change(f'swapped {one.relative_to(site)}/ and {other.name}/')


def take_from_other_seed(site: Path, chance: random.Random) -> Change:
    """Put a file or a folder of a run with another seed in its place.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If the file or the folder cannot be removed or copied.
    """
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
    """Let results look as if the clock has jumped back since.

    Args:
        site: The folder that holds `experiment/`, `data/`, `work/` and
            `other_seed/`.
        chance: The source of random numbers.

    Returns:
        What was changed.

    Raises:
        OSError: If a file or a folder cannot be renamed or deleted.
    """
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
    exchange_image: 3,
    touch_images: 0.5,
    change_option: 2,
    change_processes: 0.1,
}
