"""Checks of the classes of a COCO file, and of whether they have objects."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...text import format_value
from .problems import Problem
from .schema import as_id, is_id, is_text
from .tables import CocoFile

# A few images without objects are usual; if they are more, images that are
# not labeled yet may be among them.
NOTED_SHARE = 0.1
NO_OBJECT_AT_ALL = 'no object at all'
# Where an annotation has the name of its class.
SURE_NAME_KEYS = ('category_name', 'class_name')
# Where else, if it has no id. Beside an id, these may mean something else.
NAME_KEYS = (*SURE_NAME_KEYS, 'category', 'label')


def find_class_name(annotation: dict) -> str | None:
    """Find the name of the class in an annotation without `category_id`.

    Args:
        annotation: The annotation.

    Returns:
        The first name under `NAME_KEYS`; None without one, or with an id.
    """
    if annotation.get('category_id') is not None:
        return None
    return next(filter(is_text, map(annotation.get, NAME_KEYS)), None)


def find_ids(file: CocoFile, name: str) -> list:
    """Find the ids of the categories of a name.

    Args:
        file: The file.
        name: The name.

    Returns:
        The ids, as they are written, in order; empty if there are none.
    """
    categories = file.categories
    known = zip(
        categories.column('name'), categories.values('id'), strict=True
    )
    return [i for n, i in known if n == name and i is not None]


def read_item(key: str, value: object) -> dict:
    """Read a category of an object whose keys are the ids or the names.

    Args:
        key: The key.
        value: Its value, of any type.

    Returns:
        The category: an object or a name under a whole number, which becomes
        its `id`; or an object or an id under a name, which becomes its `name`.
        Empty if it is not clear what it is.
    """
    number = as_id(key)
    if isinstance(value, dict) and 'name' not in value and number is None:
        return dict(value, name=key)
    if isinstance(value, dict) and number is None:
        return value if value['name'] == key else {}
    if isinstance(value, dict):
        return (
            dict(value, id=number)
            if value.get('id') in (None, number, key)
            else {}
        )
    if is_text(value) and number is not None:
        return dict(id=number, name=value)
    return dict(id=value, name=key) if is_id(value) else {}


def read_categories(file: CocoFile) -> list[dict]:
    """Read categories that are not written as COCO has them.

    They may be names, or objects without ids, in a list, or values of an
    object with ids or names as keys. Without any, all annotations name them.

    Args:
        file: The file.

    Returns:
        Objects, each with a name of its own, and all or none with an id, in
        the file's order. Empty if they are as COCO has them, or not clear.
    """
    values = file.content.get('categories')
    if isinstance(values, dict) and values:
        entries = [read_item(key, value) for key, value in values.items()]
    elif isinstance(values, list) and values:
        if all(map(is_text, values)):
            entries = [dict(name=name) for name in values]
        else:
            entries = file.categories.entries
            entries = [] if any('id' in e for e in entries) else entries
    else:
        found = {find_class_name(e) for e in file.annotations.entries}
        # Sorted: other files of the same classes get the same ids.
        names = sorted(name for name in found if name is not None)
        entries = [] if None in found else [dict(name=n) for n in names]
    return entries if are_clear(entries) else []


def are_clear(entries: Sequence[dict]) -> bool:
    """Return whether each category has a name, and all or none an id.

    Args:
        entries: The categories.

    Returns:
        Whether all names and all ids are right, each only once.
    """
    names = [entry.get('name') for entry in entries]
    ids = [entry['id'] for entry in entries if 'id' in entry]
    return (
        all(map(is_text, names))
        and all(map(is_id, ids))
        and len(set(names)) == len(names)
        and len(set(ids)) == len(ids)
        and len(ids) in (0, len(entries))
    )


def number_categories(file: CocoFile, entries: Sequence[dict]) -> list[dict]:
    """Give ids to categories, by their order and what annotations refer to.

    Args:
        file: The file.
        entries: The result of `read_categories`.

    Returns:
        The categories with ids, from 1 if no annotation has one. Empty without
        categories, or if the ids of the annotations fit neither 0 nor 1 as the
        first id, or both.
    """
    if not entries or 'id' in entries[0]:
        return list(entries)
    names = {entry['name'] for entry in entries}
    values = file.annotations.values('category_id')
    used = {as_id(v) for v in values if not (is_text(v) and v in names)}
    used -= {None}
    fits = [
        first
        for first in (1, 0)  # 1 comes first: it is taken if no id is used.
        if used <= set(range(first, first + len(entries)))
    ]
    if not fits or (used and len(fits) > 1):
        return []
    return [dict(id=i, **e) for i, e in enumerate(entries, fits[0])]


def with_categories(file: CocoFile) -> CocoFile:
    """Write the categories of a file as COCO has them.

    Args:
        file: The file. It is not changed.

    Returns:
        The file with these categories; itself if they are so, or not clear.
    """
    categories = number_categories(file, read_categories(file))
    if not categories:
        return file
    return file.with_content(dict(file.content, categories=categories))


def check_categories(file: CocoFile) -> Iterator[Problem]:
    """Find categories that are not written as COCO has them.

    Args:
        file: The file.

    Yields:
        At most one problem.
    """
    entries = read_categories(file)
    if not entries:
        return
    categories = number_categories(file, entries)
    shown = categories or [dict(id='?', **entries[0])]
    advice = f'write {format_value(shown)}'
    if not categories:
        advice += (
            ' and so on: the `category_id` of the annotations may count from '
            '0 or from 1, or be of other classes'
        )
    problem = file.make_file_problem(
        'categories',
        '`categories` must be a list of objects with `id` and `name`',
        advice,
    )
    yield replace(problem, is_fixable=bool(categories))


def find_equal_categories(file: CocoFile) -> dict[int, int]:
    """Find categories that differ from an earlier one in nothing but the id.

    One whose id another one has too is not among them, unless the two are the
    same: the id may mean either. Nor is one nested too deeply to be compared.

    Args:
        file: The file.

    Returns:
        Index of a category -> index of the first one that is equal.
    """
    entries, ids = file.categories.entries, file.categories.column('id')
    first: dict[str, int] = {}
    equal: dict[int, int] = {}
    for index, name in enumerate(file.categories.column('name')):
        if name is None or ids[index] is None:
            continue
        text = write_without_id(entries[index])
        other = index if text is None else first.setdefault(text, index)
        if other != index:
            equal[index] = other
    others = {ids[i] for i in range(len(ids)) if i not in equal}
    return {
        index: other
        for index, other in equal.items()
        if ids[index] == ids[other] or ids[index] not in others
    }


def write_without_id(entry: dict) -> str | None:
    """Write a category so that those which differ only in the id are alike.

    Args:
        entry: The category.

    Returns:
        The text, in which the order of the keys does not matter; None if the
        category is nested nearly too deeply to be read.
    """
    try:
        return json.dumps(dict(entry, id=0), sort_keys=True)
    except RecursionError:
        return None


def count_objects(file: CocoFile) -> Counter:
    """Count the objects of each class that a model can learn from.

    Regions to leave out (`iscrowd` 1) and annotations with `ignore` are none.

    Args:
        file: The file.

    Returns:
        Id of a category -> number of its objects; 0 for any other id.
    """
    annotations = file.annotations
    columns = (
        annotations.column('category_id'),
        annotations.column('iscrowd'),
        annotations.values('ignore'),
    )
    return Counter(
        category_id
        for category_id, iscrowd, ignore in zip(*columns, strict=True)
        if category_id is not None and not iscrowd and not ignore
    )


def check_any_object(file: CocoFile) -> Iterator[Problem]:
    """Find a file with annotations of which none is an object.

    Args:
        file: The file.

    Yields:
        At most one problem; none if no annotation has a right `category_id`.
    """
    num_annotations = len(file.annotations.entries)
    # Categories that are no ids are a problem of their own.
    has_categories = any(
        i is not None for i in file.annotations.column('category_id')
    )
    if not has_categories or count_objects(file):
        return
    num_crowds = sum(map(bool, file.annotations.column('iscrowd')))
    others = '' if num_crowds == num_annotations else ', or have `ignore`'
    yield file.make_file_problem(
        NO_OBJECT_AT_ALL,
        f'none of {num_annotations:,} annotations is an object: {num_crowds:,}'
        f' have iscrowd 1, as regions to leave out have it{others}',
        'if they are objects (CVAT exports masks with iscrowd 1), write '
        'iscrowd 0 (--fix does, with --no-crowds)',
    )


def check_trainable_objects(file: CocoFile) -> Iterator[Problem]:
    """Find a file from which no detector can learn: it has no object.

    Args:
        file: The file.

    Yields:
        At most one problem.
    """
    yield from check_any_object(file)
    if not file.annotations.entries:
        yield file.make_file_problem(
            'no annotation',
            'has no annotation: there is nothing to learn or to validate by',
            'give the file with the labels',
        )


def describe_objects(file: CocoFile) -> Iterator[str]:
    """Describe what is no error, but may not be meant so.

    Args:
        file: The file.

    Yields:
        At most a sentence about the classes without objects, and one about the
        images without annotations.
    """
    file = with_categories(file)
    yield from describe_classes(file)
    yield from describe_bare_images(file)


def describe_classes(file: CocoFile) -> Iterator[str]:
    """Name the classes without objects, and those with nearly equal names.

    Without any object, no class is named for having none.

    Args:
        file: The file.

    Yields:
        At most one sentence, then at most one about names that differ only in
        case or in spaces around them.
    """
    counts = count_objects(file)
    columns = map(file.categories.column, ('id', 'name'))
    empty = [n for i, n in zip(*columns, strict=True) if not counts[i]]
    if empty and counts:
        yield (
            f'{file.path}: {len(empty)} of {len(file.categories.entries)} '
            f'classes have no object: {format_value(empty)}'
        )
    alike = find_alike_names(file)
    if alike:
        yield (
            f'{file.path}: {format_value(alike)} are several classes to a '
            'model, though only case or spaces differ. If they are one, give '
            'all objects the same `category_id`'
        )


def find_alike_names(file: CocoFile) -> list[str]:
    """Find names of classes that differ only in case or in spaces around.

    Args:
        file: The file.

    Returns:
        The first such names, at least two, in the file's order; empty if there
        are none.
    """
    names: dict[str, list[str]] = {}
    for name in file.categories.column('name'):
        if name is not None:
            same = names.setdefault(name.strip().casefold(), [])
            # Equal names are a problem, and not only worth a note.
            if name not in same:
                same.append(name)
    return next((same for same in names.values() if len(same) > 1), [])


def describe_bare_images(file: CocoFile) -> Iterator[str]:
    """Count the images without annotations, if more than `NOTED_SHARE` are so.

    Args:
        file: The file.

    Yields:
        At most one sentence; none if the file has no object.
    """
    image_ids = set(file.annotations.column('image_id'))
    num_images = len(file.images.entries)
    num_bare = sum(i not in image_ids for i in file.images.column('id'))
    if num_bare > NOTED_SHARE * num_images and count_objects(file):
        yield (
            f'{file.path}: {num_bare:,} of {num_images:,} images have no '
            'annotation: they count as images without objects. If they are '
            'not labeled yet, move them to the unlabeled images: '
            'tools/split_coco.py --annotated'
        )
