"""What a YOLO folder holds, whatever tool has written it.

Ultralytics has `data.yaml`. Label Studio writes `classes.txt` and
`notes.json`, darknet and CVAT `obj.names` with lists of images, and all of
them name paths of the machine on which they ran.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...files.decoding import glob_shown
from ...files.encoding import decode_text
from .folder_reading import list_tails, read_all_lines
from .labels import FormatError

YAML_FILES = ('data.yaml', 'data.yml', 'dataset.yaml')
NAME_FILES = ('classes.txt', 'obj.names', '*.names', 'notes.json')
# The folders in which they may be.
NAME_FOLDERS = ('.', 'labels', 'data')
# What a split is called, in the order in which the names are looked for.
SPLIT_NAMES = dict(
    train=('train', 'training'),
    val=('val', 'valid', 'validation'),
    test=('test', 'testing'),
)
# Where the images of a split may be.
SPLIT_PLACES = (
    '{}.txt', '{}/images', 'images/{}', 'obj_{}_data', 'data/{}.txt', '{}'
)  # fmt: skip


def find_yaml(source: Path) -> Path | None:
    """Find the `data.yaml` of a source.

    Args:
        source: The file, or the folder of the set.

    Returns:
        The file, which need not exist if it is `source`; of a folder, the
        first of `YAML_FILES`, or None without one.
    """
    if not source.is_dir():
        return source
    files = (source / name for name in YAML_FILES)
    return next((file for file in files if file.is_file()), None)


def describe_folder(folder: Path, split: str) -> dict:
    """Make what `data.yaml` would hold for a folder that has none.

    Args:
        folder: The folder.
        split: The split to look for, a key of `SPLIT_NAMES`. If the folder has
            no splits at all, all images are those of `train`.

    Returns:
        `names` (see `read_names`), and for each split that is found its
        folder, or the list of its images, as a text relative to `folder`.

    Raises:
        FormatError: If the names of the classes, or the split, are missing, or
            the file of the names is broken.
        OSError: If that file cannot be read.
    """
    content: dict = dict(names=read_names(folder))
    for name in SPLIT_NAMES:
        places = list(list_places(name))
        found = [p for p in places if (folder / p).exists()]
        if found:
            content[name] = found[0]
    if not content.keys() & SPLIT_NAMES.keys():
        is_apart = (folder / 'images').is_dir()
        content['train'] = 'images' if is_apart else '.'
    if split not in content:
        raise FormatError(
            f'{folder} has no images of the split {split}: looked for '
            f'{", ".join(list_places(split))}'
        )
    return content


def list_places(split: str) -> Iterator[str]:
    """List where the images of a split may be.

    Args:
        split: A key of `SPLIT_NAMES`.

    Yields:
        Paths relative to the folder, with `/`, the likeliest first.
    """
    for name in SPLIT_NAMES[split]:
        for place in SPLIT_PLACES:
            yield place.format(name)


def read_names(folder: Path) -> list[str]:
    """Read the names of the classes of a folder without `data.yaml`.

    Args:
        folder: The folder of the set. The first file that fits counts, in the
            order of `NAME_FOLDERS` and then of `NAME_FILES`.

    Returns:
        The names, by the number of their class. They are not checked: there
        may be none, or one may occur twice.

    Raises:
        FormatError: If there is no file with the names, or it is broken.
        OSError: If it cannot be read.
    """
    for place in NAME_FOLDERS:
        for pattern in NAME_FILES:
            for file in glob_shown(folder / place, pattern):
                if file.suffix == '.json':
                    return read_notes(file)
                return read_classes(file)
    raise FormatError(
        f'{folder} has neither {", ".join(YAML_FILES)} nor the names of the '
        f'classes: looked for {", ".join(NAME_FILES)} in '
        f'{", ".join(NAME_FOLDERS)}'
    )


def read_classes(file: Path) -> list[str]:
    """Read the names of the classes from a list, one a line.

    Args:
        file: The file.

    Returns:
        The names, by the number of their class; without empty lines at the
        end. Empty if there is no other line.

    Raises:
        FormatError: If another line is empty, or it is not in UTF-8.
        OSError: If it cannot be read.
    """
    lines = read_all_lines(file)
    while lines and not lines[-1]:
        lines.pop()
    if '' in lines:
        # Without it, all later classes would have other numbers.
        raise FormatError(
            f'{file}: line {lines.index("") + 1} is empty, and the numbers of '
            'the classes are those of their lines: write a name there, or '
            'remove the line if no class has its number'
        )
    return lines


def read_notes(file: Path) -> list[str]:
    """Read the names of the classes from `notes.json` of Label Studio.

    Args:
        file: The file.

    Returns:
        The names, by the number of their class; as the file has them, of any
        type.

    Raises:
        FormatError: If it is no such file, or does not number its categories
            from 0.
        OSError: If it cannot be read.
    """
    try:
        content = json.loads(decode_text(file.read_bytes()))
        names = {c['id']: c['name'] for c in content['categories']}
    # RecursionError: lists nested too deeply.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f'{file} cannot be read: {error!r}') from None
    if names.keys() != set(range(len(names))):
        raise FormatError(
            f'{file}: `categories` must be numbered from 0, got {names}'
        )
    return [names[number] for number in range(len(names))]


def find_tail(
    name: str, folders: Sequence[Path], fewest: int = 1
) -> Path | None:
    """Find what a path of another machine leads to here.

    Args:
        name: The path, with `/` or a backslash.
        folders: The folders in which it may be, the likeliest first.
        fewest: The least number of parts that is left of a longer path.

    Returns:
        The first path that exists, file or folder, the longest tail first and
        for each tail folder by folder; None if none does.
    """
    for tail in list_tails(name, fewest):
        for folder in folders:
            # An empty tail would be the folder itself.
            if tail and os.path.exists(folder / tail):
                return folder / tail
    return None


def rename_split(entry: str, split: str) -> Iterator[str]:
    """Yield a path with the other names of a split, such as `valid`.

    Args:
        entry: The path, with `/` or a backslash.
        split: A key of `SPLIT_NAMES`.

    Yields:
        The path with `/` and each other name; nothing if no part is a name.
    """
    parts = entry.replace('\\', '/').split('/')
    for name in SPLIT_NAMES[split]:
        for other in SPLIT_NAMES[split]:
            if name != other and name in parts:
                renamed = [other if part == name else part for part in parts]
                yield '/'.join(renamed)
