"""The checks that a COCO file must pass for what it is read for.

Each purpose yields only the problems that make a file useless for it: a box
that reaches outside its image does not keep a file from being loaded, and
images without labels need no annotations. The checks run one after the other,
and only as far as problems are asked for: to get the first problem costs no
more than the checks before it.
"""

from collections.abc import Iterator, Mapping, Sequence

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
from .tables import CocoFile

# The keys of the entries that are needed for every purpose.
KEYS = dict(
    images=('id', 'file_name'),
    annotations=('image_id', 'category_id'),
    categories=('id', 'name'),
)


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


def check_required(
    file: CocoFile, required: Sequence[str]
) -> Iterator[Problem]:
    """Check lists that are needed and must not be empty.

    Args:
        file: The file.
        required: The names of the lists, such as `'images'`. Of their entries
            the keys in `KEYS` are checked. File names must stay inside the
            image folder, and ids of categories must occur once: categories of
            the same id would have the same instances. If annotations and
            categories are required, annotations must be of categories of the
            file.

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
    if 'categories' in required:
        yield from check_repeated_ids(file, ['categories'])
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
    if 'annotations' in file.content:
        yield from check_lists(file, ['annotations'])
    keys = dict(
        images=('width', 'height'),
        annotations=('image_id', 'category_id', 'bbox'),
    )
    yield from check_entries(file, keys)
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
    yield from check_references(file, ['categories'])
