"""COCO files are read for a purpose, counted, and compared."""

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...files.copies import find_copies
from .problems import Problem
from .purposes import (
    KEYS,
    SPLIT_SCHEMA,
    check_convertible,
    check_entries,
    check_required,
    check_splittable,
    check_trainable,
)
from .schema import SCHEMA, Schema
from .tables import CocoFile, read_file

Categories = list[dict]
# Of an image of which a person has checked only some objects, the crowd with
# this key covers the rest. Other readers do not know it.
UNCHECKED = 'unchecked'
Check = Callable[[CocoFile], Iterator[Problem]]


class CocoError(ValueError):
    """A COCO file cannot be used; the message says what to correct."""


def read_coco(path: str | Path, *required: str) -> dict:
    """Read a COCO file.

    Args:
        path: The path of the file.
        required: The lists that the file must hold and that must not be empty,
            such as `'images'`; see `purposes.check_required`.

    Returns:
        The object in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is not a JSON object in UTF-8, lacks a required
            list, or has a broken entry in one.
    """
    return read_checked(
        path, functools.partial(check_required, required=required)
    )


def read_labeled(path: str | Path) -> dict:
    """Read the COCO file of the labeled images, or of categories alone.

    Args:
        path: The path of the file. If it has neither `images` nor
            `annotations`, nothing is labeled.

    Returns:
        The content of the file; both lists are empty if it has neither.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it is no JSON object in UTF-8, has no categories, only
            one of the two lists, an empty one, or a broken entry.
    """
    required = ('images', 'annotations', 'categories')

    def check(file: CocoFile) -> Iterator[Problem]:
        """Require the lists that a file with categories alone may lack."""
        has_none = not {'images', 'annotations'} & file.content.keys()
        return check_required(file, required[2:] if has_none else required)

    content = read_checked(path, check)
    return dict(images=[], annotations=[]) | content


def read_boxes(path: str | Path) -> dict:
    """Read a COCO file whose boxes are compared with others.

    Args:
        path: The path of the file. It may have no annotations.

    Returns:
        The content of the file; `annotations` is empty if it has none.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object in UTF-8, has no images or
            categories, or an annotation lacks its image, its class or a box.
    """

    def check(file: CocoFile) -> Iterator[Problem]:
        """Require images and categories, and whole annotations."""
        yield from check_required(file, ('images', 'categories'))
        if file.content.get('annotations'):
            keys = (*KEYS['annotations'], 'bbox')
            yield from check_entries(file, dict(annotations=keys))

    return dict(annotations=[]) | read_checked(path, check)


def read_truth(path: str | Path) -> dict:
    """Read a COCO file of true objects, with which others are compared.

    Args:
        path: The path of the file.

    Returns:
        The content of the file, which has an annotation at least.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object in UTF-8; has no images,
            annotations or categories; or an annotation lacks its image, its
            class or a box.
    """

    def check(file: CocoFile) -> Iterator[Problem]:
        """Require the three lists, and whole annotations."""
        yield from check_required(
            file, ('images', 'annotations', 'categories')
        )
        yield from check_entries(file, dict(annotations=['bbox']))

    return read_checked(path, check)


def read_trainable(path: str | Path) -> dict:
    """Read a COCO file that CocoDataset can load; see `check_trainable`.

    Args:
        path: The path of the file.

    Returns:
        The content of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If CocoDataset could not load the file.
    """
    return read_checked(path, check_trainable)


def read_convertible(path: str | Path) -> dict:
    """Read a COCO file for another format; see `check_convertible`.

    Args:
        path: The path of the file.

    Returns:
        The content of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it is no JSON object in UTF-8, a list is missing, or an
            entry is broken.
    """
    return read_checked(path, check_convertible)


def read_splittable(path: str | Path) -> dict:
    """Read a COCO file that can be split; see `check_splittable`.

    Args:
        path: The path of the file.

    Returns:
        The content of the file, with its polygons.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it is no JSON object in UTF-8, or images, annotations or
            categories are missing, empty or broken.
    """
    return read_checked(path, check_splittable, SPLIT_SCHEMA)


def read_checked(
    path: str | Path, check: Check, schema: Schema = SCHEMA
) -> dict:
    """Read a COCO file and refuse it with the first problem.

    Args:
        path: The path of the file.
        check: Yields the problems that make the file useless.
        schema: The rules that its values must follow.

    Returns:
        The object in the file, with its polygons.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it is no JSON object in UTF-8; otherwise with the first
            problem, if there is one.
    """
    check_is_file(path)
    file = read_file(path, polygons=True, schema=schema)
    if isinstance(file, Problem):
        raise CocoError(file.explain())
    # The first one only: checks are generators, and go no further.
    for problem in check(file):
        raise CocoError(problem.explain())
    return file.content


def check_is_file(path: str | Path) -> None:
    """Check that an annotation file exists.

    Args:
        path: The path of the file.

    Raises:
        FileNotFoundError: If it does not.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'annotation file not found: {path}')


def origin_of(content: dict) -> dict:
    """Return how a file of pseudo labels was made.

    Args:
        content: The content of any COCO file; only `info` is read.

    Returns:
        `info.data_distillation`; an empty dict if the file does not have it.
    """
    info = content.get('info')
    origin = info.get('data_distillation') if isinstance(info, dict) else None
    return origin if isinstance(origin, dict) else {}


def check_classes(
    classes: Sequence[str], categories: Categories, source: str | Path
) -> None:
    """Check that the classes are the categories of a file, in the same order.

    CocoDataset numbers the classes by the order in the file, whatever the
    order in the config is: other orders would swap classes without a message.

    Args:
        classes: `metainfo.classes` of the config, or the classes of a
            checkpoint.
        categories: The categories of the file.
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
    """Count the instances of each category that a training learns from.

    Crowds do not count, nor do annotations with `ignore`, which CocoDataset
    drops.

    Args:
        annotations: COCO annotations.
        categories: The categories.

    Returns:
        Shape (number of categories,), int64, in the order of `categories`.
    """
    ids = Counter(
        annotation['category_id']
        for annotation in annotations
        if not (annotation.get('iscrowd', 0) or annotation.get('ignore'))
    )
    return np.array([ids[c['id']] for c in categories], np.int64)


def find_unchecked(annotations: Iterable[dict]) -> set:
    """Find the images of which a person has checked only some objects.

    Args:
        annotations: COCO annotations. Such an image has one with the key
            `UNCHECKED`, a crowd of its size.

    Returns:
        The ids of these images.
    """
    return {one['image_id'] for one in annotations if one.get(UNCHECKED)}


def find_annotated(coco: dict) -> set:
    """Find the images with an annotation, be it a crowd.

    With `filter_empty_gt`, MMDetection trains on these alone.

    Args:
        coco: The content of a COCO file.

    Returns:
        The ids of these images; those that only annotations have are left out.
    """
    ids = {annotation['image_id'] for annotation in coco['annotations']}
    return ids & {image['id'] for image in coco['images']}


def resolve_paths(
    file_names: Iterable[str], img_prefix: str | Path
) -> dict[str, str]:
    """Map the real path of each image, with links resolved, to its file name.

    Args:
        file_names: The names, relative to `img_prefix`.
        img_prefix: The folder of the images.

    Returns:
        Real path -> file name; the last one of those that lead to one file.
    """
    # Of millions of images, few folders are different.
    real_folder = functools.lru_cache(10_000)(os.path.realpath)

    def resolve(path: str) -> str:
        """Return the real path of one image."""
        folder, name = os.path.split(path)
        # A link may lead elsewhere; any other name stays as it is.
        if name in ('', os.curdir, os.pardir) or os.path.islink(path):
            return os.path.realpath(path)
        return os.path.join(real_folder(folder), name)

    return {
        resolve(os.path.join(img_prefix, name)): name for name in file_names
    }


def check_disjoint(
    unlabeled: Mapping[str, str], file_names: Iterable[str], known: dict
) -> None:
    """Check that no unlabeled image is in a labeled or validation set.

    The contents of the files are compared: tools rename what they export.

    Args:
        unlabeled: Real path -> file name of the unlabeled images; see
            `resolve_paths`.
        file_names: The file names of the images in the other set.
        known: The other set, `dict(ann_file=..., img_prefix=...)`.

    Raises:
        CocoError: If one is. The message has the number of shared images and
            the first five names.
    """
    others = resolve_paths(file_names, known['img_prefix'])
    # By path, too: files that are missing or empty have no copies.
    paths = unlabeled.keys() & others | find_copies(unlabeled, others).keys()
    shared = sorted(unlabeled[path] for path in paths)
    if shared:
        raise CocoError(
            f'{len(shared)} of {len(unlabeled)} unlabeled images are in '
            f'{known["ann_file"]} too: {", ".join(shared[:5])}'
            f'{", ..." if len(shared) > 5 else ""}. Take them out of the '
            'unlabeled images: a student must not be trained on pseudo labels '
            'of images that are labeled or that validate it. If all are in '
            'one folder, init_experiment.py --unlabeled rest takes the others'
        )


def take_images(coco: dict, image_ids: set) -> dict:
    """Take some images and their annotations out of a file.

    Args:
        coco: The content of the file; it is not changed. It may have no
            annotations.
        image_ids: The ids of the images; unknown ones have no effect.

    Returns:
        A new object, with everything else of the file, in its order. Its
        entries are those of the file, not copies.
    """
    taken = dict(
        coco, images=[i for i in coco['images'] if i['id'] in image_ids]
    )
    if 'annotations' in coco:
        taken['annotations'] = [
            a for a in coco['annotations'] if a['image_id'] in image_ids
        ]
    return taken
