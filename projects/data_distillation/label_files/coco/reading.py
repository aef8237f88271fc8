"""Reads COCO files, each for a purpose that says what must be in it.

Each purpose yields only the problems that make a file useless for it: a box
that reaches outside its image does not keep a file from being loaded, and
images without labels need no annotations. The checks run one after the other,
and only as far as problems are asked for: to get the first problem costs no
more than the checks before it.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .box_checks import check_finite
from .checks import (
    check_file_names,
    check_references,
    check_repeated_ids,
)
from .class_checks import check_categories
from .entry_checks import check_lists, check_objects, check_values
from .problems import Problem
from .schema import ID, SCHEMA, Rule, Schema
from .tables import CocoFile, read_file

Categories = list[dict]
# Of an image of which a person has checked only some objects, the crowd with
# this key covers the rest. Other readers do not know it.
UNCHECKED = 'unchecked'
# The keys of the entries that are needed for every purpose.
KEYS = dict(
    images=('id', 'file_name'),
    annotations=('image_id', 'category_id'),
    categories=('id', 'name'),
)
Check = Callable[[CocoFile], Iterator[Problem]]


class CocoError(ValueError):
    """A COCO file cannot be used; the message says what to correct."""


def read_coco(path: str | Path, *required: str) -> dict:
    """Read a COCO file.

    Args:
        path: The path of the file.
        required: The lists that the file must hold and that must not be empty,
            such as `'images'`; see `check_required`.

    Returns:
        The object in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is not a JSON object in UTF-8, cannot be read,
            or breaks one of the rules of `check_required`.
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
            one of the two lists, an empty one, or breaks one of the rules of
            `check_required`.
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
        path: The path of the file. It may have no annotations, or annotations
            of images and categories that it lacks.

    Returns:
        The content of the file; `annotations` is empty if it has none.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object in UTF-8, breaks a rule of
            `check_required`, or an annotation lacks its image, class or box.
    """

    def check(file: CocoFile) -> Iterator[Problem]:
        """Require images and categories, and whole annotations."""
        yield from check_required(file, ('images', 'categories'))
        yield from check_annotated(file, (*KEYS['annotations'], 'bbox'))

    return dict(annotations=[]) | read_checked(path, check)


def read_unlabeled(path: str | Path) -> dict:
    """Read a COCO file of images whose annotations are only kept or left out.

    Args:
        path: The path of the file. It may have no annotations.

    Returns:
        The content of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object in UTF-8, its images break a
            rule of `check_required`, or an annotation lacks its image.
    """

    def check(file: CocoFile) -> Iterator[Problem]:
        """Require images, and the images of annotations."""
        yield from check_required(file, ['images'])
        yield from check_annotated(file, ['image_id'])

    return read_checked(path, check)


def read_truth(path: str | Path, may_be_empty: bool = False) -> dict:
    """Read a COCO file of true objects, with which others are compared.

    Args:
        path: The path of the file.
        may_be_empty: Whether `annotations` may be an empty list.

    Returns:
        The content.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is no JSON object in UTF-8, breaks a rule of
            `check_required`, or a box is not finite numbers.
    """

    def check(file: CocoFile) -> Iterator[Problem]:
        """Require the lists, and whole annotations."""
        is_empty = may_be_empty and not file.content.get('annotations')
        lists = ('images', 'categories', 'annotations')
        yield from check_required(file, lists[:2] if is_empty else lists)
        yield from check_entries(file, dict(annotations=['bbox']))
        yield from check_finite(file)

    return read_checked(path, check)


def read_trainable(path: str | Path) -> dict:
    """Read a COCO file that CocoDataset can load; see `check_trainable`.

    Args:
        path: The path of the file.

    Returns:
        The content of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it cannot be read, or `check_trainable` finds a problem.
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
        CocoError: If it is no JSON object in UTF-8, or `check_convertible`
            finds a problem.
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
        CocoError: If it is no JSON object in UTF-8, or `check_splittable`
            finds a problem, such as a list that is missing or empty.
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


def find_origin(content: dict) -> dict:
    """Return how a file of pseudo labels was made.

    Args:
        content: The content of any COCO file; only `info` is read.

    Returns:
        `info.data_distillation`; an empty dict if the file does not have it.
    """
    info = content.get('info')
    origin = info.get('data_distillation') if isinstance(info, dict) else None
    return origin if isinstance(origin, dict) else {}


def check_entries(
    file: CocoFile, keys: Mapping[str, Sequence[str]]
) -> Iterator[Problem]:
    """Check that entries are objects with right values of these keys.

    Args:
        file: The file.
        keys: List -> keys.

    Yields:
        The problems: first the entries that are no objects, then the values.
    """
    yield from check_objects(file, keys)
    yield from check_values(file, keys)


def check_annotated(file: CocoFile, keys: Sequence[str]) -> Iterator[Problem]:
    """Check the annotations of a file that may have none.

    Args:
        file: The file.
        keys: The keys that each annotation needs.

    Yields:
        The problems; none if the file has no `annotations`.
    """
    if 'annotations' in file.content:
        yield from check_lists(file, ['annotations'])
        yield from check_entries(file, dict(annotations=keys))


def check_required(
    file: CocoFile, required: Sequence[str]
) -> Iterator[Problem]:
    """Check lists that are needed and must not be empty.

    Args:
        file: The file.
        required: The names of the lists, such as `'images'`. Of their entries
            the keys in `KEYS` are checked. File names must stay inside the
            image folder, and ids of images and categories must occur once:
            those of the same id would have the same annotations. If
            annotations and categories are required, annotations must be of
            categories of the file.

    Yields:
        The problems, check by check.
    """
    # Before `check_lists`, which would say less of them.
    if 'categories' in required:
        yield from check_categories(file)
    yield from check_lists(file, required, may_be_empty=())
    yield from check_entries(file, {name: KEYS[name] for name in required})
    if 'images' in required:
        yield from check_file_names(file)
    once = [name for name in ('images', 'categories') if name in required]
    yield from check_repeated_ids(file, once)
    if {'annotations', 'categories'} <= set(required):
        yield from check_references(file, ['categories'])


def check_trainable(file: CocoFile) -> Iterator[Problem]:
    """Check all that CocoDataset reads; there may be no annotation.

    Args:
        file: The file.

    Yields:
        The problems, check by check.
    """
    yield from check_required(file, ('images', 'categories'))
    yield from check_lists(file, ['annotations'])
    keys = dict(
        images=('width', 'height'),
        annotations=('id', 'image_id', 'category_id', 'bbox', 'area'),
    )
    yield from check_entries(file, keys)
    # The rule of `bbox` lets NaN and infinity pass.
    yield from check_finite(file)
    yield from check_repeated_ids(file, ['annotations'])


def check_convertible(file: CocoFile) -> Iterator[Problem]:
    """Check what other formats can hold; `annotations` may be missing.

    Boxes need not be finite: those that are not are left out and counted.

    Args:
        file: The file.

    Yields:
        The problems, check by check.
    """
    yield from check_required(file, ('images', 'categories'))
    yield from check_entries(file, dict(images=('width', 'height')))
    yield from check_annotated(file, (*KEYS['annotations'], 'bbox'))
    yield from check_references(file, ['categories'])


# Splits copy and compare ids and do nothing else with them: strings are as
# good as numbers, though training refuses them.
ANY_ID = Rule(
    lambda value: isinstance(value, (int, float, str)), 'a number or a string'
)
SPLIT_SCHEMA: Schema = {
    name: {
        # By the function: the id of annotations has a rule of its own.
        key: ANY_ID if rule.holds is ID.holds else rule
        for key, rule in rules.items()
    }
    for name, rules in SCHEMA.items()
}


def check_splittable(file: CocoFile) -> Iterator[Problem]:
    """Check what splits need of a file with the rules of `SPLIT_SCHEMA`.

    No list may be empty.

    Args:
        file: The file, read with the rules of `SPLIT_SCHEMA`.

    Yields:
        The problems, check by check.
    """
    yield from check_categories(file)
    yield from check_lists(file, may_be_empty=())
    yield from check_entries(file, KEYS)
    yield from check_file_names(file)
    yield from check_repeated_ids(file, ['images'])
    yield from check_references(file, ['categories'])
