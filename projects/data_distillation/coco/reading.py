"""COCO files: reading with checks, counting, and writing pseudo labels."""

import json
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..text import format_value
from .schema import SCHEMA, repeated

Categories = list[dict]


# What is read of the entries of a list, whatever it is read for.
KEYS = dict(
    images=('id', 'file_name'),
    annotations=('image_id', 'category_id'),
    categories=('id', 'name'),
)


class CocoError(ValueError):
    """A COCO file that cannot be used; the message says what to mend."""


def read_coco(path: str | Path, *required: str) -> dict:
    """Read a COCO file.

    Args:
        path: The file.
        required: The lists it must hold and that must not be empty, such as
            `'images'`. Of their entries the ids and names are checked; ids of
            categories must occur once, and file names must not lead outside
            of the image folder.

    Returns:
        The file's content.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it is no JSON object or lacks a required list, or an
            entry is broken.
    """
    check_is_file(path)
    try:
        content = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise CocoError(f'{path} is not valid JSON: {error}') from None
    except RecursionError:
        raise CocoError(f'{path} is nested too deeply') from None
    if not isinstance(content, dict):
        raise CocoError(
            f'{path} must hold a COCO object, got a {type(content).__name__}'
        )
    check_lists(content, path, required)
    for name in required:
        check_entries(content, path, name, KEYS[name])
    if 'images' in required:
        check_file_names(content['images'], path)
    if 'categories' in required:
        check_unique_ids(content['categories'], path)
    if 'annotations' in required and 'categories' in required:
        check_category_ids(content, path)
    return content


def check_is_file(path: str | Path) -> None:
    """Check that an annotation file is there.

    Raises:
        FileNotFoundError: If it is not.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'annotation file not found: {path}')


def check_lists(
    content: dict, source: str | Path, required: Iterable[str]
) -> None:
    """Check that a COCO object holds lists that are not empty.

    Raises:
        CocoError: With the name of the first list that is missing or empty.
    """
    for key in required:
        if not isinstance(content.get(key), list) or not content[key]:
            state = 'is empty' if key in content else 'is missing'
            raise CocoError(
                f'{source}: `{key}` {state}, a non-empty list is needed'
            )


def check_file_names(images: Iterable[dict], source: str | Path) -> None:
    """Check that no image of a COCO file is outside of the image folder.

    Args:
        images: The entries of `images`, see `check_entries`.
        source: The file, for the message.

    Raises:
        CocoError: With the first entry whose `file_name` is none to open, see
            `name_error`.
    """
    for index, image in enumerate(images):
        name = image['file_name']
        if error := name_error(name):
            raise CocoError(
                f'{source}: `file_name` {name!r} of images[{index}] {error}: '
                'it must be a valid name, relative to the image folder'
            )


def name_error(name: str) -> str:
    r"""Say why a file name of a COCO file must not be opened.

    A name is relative and leads out of the folder on no system: `/a.jpg`,
    `C:a.jpg`, `..\a.jpg` and `a/../../b.jpg` do. `a/../b.jpg` does not. Links
    inside of the folder may point anywhere.

    Args:
        name: The file name, with `/` or `\`.

    Returns:
        What is wrong with it; `''` if nothing is.
    """
    if '\0' in name:
        return 'holds a null byte'
    if re.search('[\ud800-\udfff]', name):
        return 'is not valid Unicode'
    path = name.replace('\\', '/')
    top = posixpath.normpath(path).split('/')[0]
    if path.startswith('/') or re.match('[A-Za-z]:', path) or top == '..':
        return 'leads outside the folder of the images'
    return ''


def check_entries(
    content: dict, source: str | Path, name: str, keys: Iterable[str]
) -> None:
    """Check that the entries of a list are objects that have some values.

    Args:
        content: Of a COCO file, with that list.
        source: The file, for the message.
        name: The list's.
        keys: Those of `SCHEMA[name]` to look at.

    Raises:
        CocoError: With the first entry that is none, or that lacks a value or
            has one that breaks its rule.
    """
    for index, entry in enumerate(content[name]):
        if not isinstance(entry, dict):
            raise CocoError(
                f'{source}: {name}[{index}] must be an object, got '
                f'{format_value(entry)}'
            )
    for key in keys:
        rule = SCHEMA[name][key]
        for index, entry in enumerate(content[name]):
            if not rule.holds(entry.get(key)):
                raise CocoError(
                    f'{source}: `{key}` of {name}[{index}] must be '
                    f'{rule.needed}, got {format_value(entry.get(key))}. '
                    'tools/check_coco.py lists all that is wrong'
                )


def check_unique_ids(categories: Iterable[dict], source: str | Path) -> None:
    """Check that no two categories have one id, and so the same instances.

    Raises:
        CocoError: With the ids that occur more than once.
    """
    twice = repeated(category['id'] for category in categories)
    if twice:
        raise CocoError(
            f'{source}: `id` of `categories` must occur once, more often does '
            f'{format_value(twice)}. Leave the others out'
        )


def check_category_ids(content: dict, source: str | Path) -> None:
    """Check that all annotations are of categories of the file.

    Raises:
        CocoError: With how many are not, and of which.
    """
    known = {category['id'] for category in content['categories']}
    ids = Counter(a['category_id'] for a in content['annotations'])
    unknown = sorted(ids.keys() - known, key=str)
    if unknown:
        raise CocoError(
            f'{source}: {sum(ids[i] for i in unknown)} annotations have a '
            f'category_id that `categories` lacks: {format_value(unknown)}'
        )


def origin_of(content: dict) -> dict:
    """Return how a file of pseudo labels came to be.

    Args:
        content: Of any COCO file, at least its `info`.

    Returns:
        `info.data_distillation`; empty if there is none.
    """
    info = content.get('info')
    origin = info.get('data_distillation') if isinstance(info, dict) else None
    return origin if isinstance(origin, dict) else {}


def check_classes(
    classes: Sequence[str], categories: Categories, source: str | Path
) -> None:
    """Check that a config's classes are a file's categories, in their order.

    CocoDataset numbers the labels by the order in the file, whatever the
    order in the config: a difference would swap classes without a word.

    Args:
        classes: `metainfo.classes` of the config, or a checkpoint's classes.
        categories: The file's categories.
        source: The file, for the message.

    Raises:
        CocoError: If the names or their order differ.
    """
    names = [category['name'] for category in categories]
    if list(classes) == names:
        return
    missing = [name for name in classes if name not in names]
    extra = [name for name in names if name not in classes]
    if missing or extra:
        what = f'classes not in the file: {missing}, in the file only: {extra}'
    else:
        what = f'the order differs, the file has {names}'
    raise CocoError(
        f'the classes must be the categories of {source}, in its order, got '
        f'{list(classes)}: {what}'
    )


def count_instances(
    annotations: Iterable[dict], categories: Categories
) -> np.ndarray:
    """Count the annotations of each category, crowds left out.

    Args:
        annotations: COCO annotations.
        categories: The categories, whose order is that of the counts.

    Returns:
        Shape (number of categories,), int64.
    """
    ids = Counter(
        annotation['category_id']
        for annotation in annotations
        if not annotation.get('iscrowd', 0)
    )
    return np.array([ids[c['id']] for c in categories], np.int64)


def image_paths(
    file_names: Iterable[str], img_prefix: str | Path
) -> dict[str, str]:
    """Map the real path of each image, links resolved, to its file name."""
    return {
        os.path.realpath(os.path.join(img_prefix, name)): name
        for name in file_names
    }


def check_disjoint(
    unlabeled: Mapping[str, str], file_names: Iterable[str], known: dict
) -> None:
    """Check that unlabeled images are not in a labeled or validation set.

    Args:
        unlabeled: The unlabeled images, see `image_paths`.
        file_names: Those of the other set.
        known: The other set, `dict(ann_file=..., img_prefix=...)`.

    Raises:
        CocoError: With the number of shared images and the first of them.
    """
    others = image_paths(file_names, known['img_prefix'])
    shared = sorted(unlabeled[path] for path in unlabeled.keys() & others)
    if shared:
        raise CocoError(
            f'{len(shared)} of {len(unlabeled)} unlabeled images are in '
            f'{known["ann_file"]} too: {", ".join(shared[:5])}'
            f'{", ..." if len(shared) > 5 else ""}. Take them out of the '
            'unlabeled images: a student must not be trained on pseudo labels '
            'of images that are labeled or that it is validated on'
        )
