"""The checks of COCO files.

A check is a generator of problems. tools/check_coco.py runs all checks and
lists every problem. Code that reads a file for a purpose runs the checks in
`purposes.py` and refuses the file with the first problem.
"""

import posixpath
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from ..text import format_value
from .box_checks import check_areas, check_boxes, check_finite, check_ignored
from .class_checks import check_any_object, find_equal_categories
from .problems import Problem
from .schema import (
    ID,
    SCHEMA,
    as_id,
    as_number,
    find_name_error,
    is_number,
    is_text,
)
from .tables import NO_OBJECT, CocoFile, Table


def check_lists(
    file: CocoFile,
    names: Iterable[str] = tuple(SCHEMA),
    may_be_empty: Iterable[str] = ('annotations',),
) -> Iterator[Problem]:
    """Find lists that are missing or empty.

    Args:
        file: The file.
        names: The lists to check.
        may_be_empty: The lists of which no entry is needed.

    Yields:
        At most one problem for each list.
    """
    for name in names:
        values = file.content.get(name)
        if isinstance(values, list) and (values or name in may_be_empty):
            continue
        state = 'is empty' if values == [] else 'is not a list'
        yield file.make_file_problem(
            f'list {name}',
            f'`{name}` {state if values is not None else "is missing"}',
            'images without labels are for UnlabeledDataset'
            if name == 'annotations'
            else 'write a list with at least one entry',
        )


def check_objects(
    file: CocoFile, names: Iterable[str] = tuple(SCHEMA)
) -> Iterator[Problem]:
    """Find entries of these lists that are not objects."""
    for table in map(file.table, names):
        for index, entry in enumerate(table.entries):
            if entry is NO_OBJECT:
                value = format_value(file.content[table.name][index])
                what = f'must be an object, got {value}'
                yield file.make_problem(
                    'no object', table, index, what, 'remove it'
                )


def check_values(
    file: CocoFile, keys: Mapping[str, Iterable[str]] = SCHEMA
) -> Iterator[Problem]:
    """Find values that are missing or break the rule of their key.

    Args:
        file: The file.
        keys: List -> the keys whose values are checked.

    Yields:
        The problems, list by list and key by key.
    """
    for name, wanted in keys.items():
        table = file.table(name)
        for key in wanted:
            for index, value in enumerate(table.column(key)):
                if value is None and table.entries[index] is not NO_OBJECT:
                    yield make_value_problem(file, table, index, key)


def make_value_problem(
    file: CocoFile, table: Table, index: int, key: str
) -> Problem:
    """Make the problem of a value that is missing or breaks its rule."""
    value, rule = table.entries[index].get(key), table.rules[key]
    if value is None:
        what, advice = f'`{key}` is missing', rule.if_missing
        return file.make_problem(
            f'missing {key}', table, index, what, advice, rule.is_fixable
        )
    what = f'`{key}` must be {rule.needed}, got {format_value(value)}'
    advice = advise_on(file, table, key, value)
    return file.make_problem(
        f'wrong {key}', table, index, what, advice, advice != CORRECT
    )


CORRECT = 'correct it'


def advise_on(file: CocoFile, table: Table, key: str, value: object) -> str:
    """Return what the user can do about a value that breaks its rule.

    Returns:
        The advice; `CORRECT` if `mending` cannot do it.
    """
    rule = table.rules[key]
    if rule.holds is not ID.holds:
        number = as_number(value)
        is_quoted = number is not None and rule.holds(number)
        if key == 'bbox' and isinstance(value, list):
            numbers = [as_number(v) if is_text(v) else v for v in value]
            is_quoted = rule.holds(numbers)
        return 'write it without quotes' if is_quoted else CORRECT
    if as_id(value) is not None:
        return f'write the integer {as_id(value)}'
    target = file.images if key == 'image_id' else file.categories
    if is_text(value) and (key == 'id' or value in target.text_ids):
        return 'write a number instead of the text, wherever it occurs'
    return CORRECT


def find_repeats(values: Iterable) -> Iterator[tuple[int, int]]:
    """Find the values that occur again.

    Args:
        values: Any hashable values; None is skipped.

    Yields:
        The index at which the value first occurs, and the index at which it
        occurs again; a value that occurs n times yields n - 1 pairs.
    """
    first: dict = {}
    for index, value in enumerate(values):
        if value is not None and first.setdefault(value, index) != index:
            yield first[value], index


def check_repeated_ids(
    file: CocoFile, names: Iterable[str] = tuple(SCHEMA)
) -> Iterator[Problem]:
    """Find ids that occur again in the same list, and repeated entries."""
    for table in map(file.table, names):
        for first, index in find_repeats(table.column('id')):
            yield make_repeat_problem(file, table, first, index)


def make_repeat_problem(
    file: CocoFile, table: Table, first: int, index: int
) -> Problem:
    """Make the problem of an id that an earlier entry has."""
    kind = f'repeated {table.singular}'
    places = f'{table.name}[{first}] and {table.name}[{index}]'
    if is_same(table.entries[first], table.entries[index]):
        what, advice = f'{places} are the same', 'remove one'
        is_fixable = table is not file.categories or bool(
            file.categories.column('name')[index]
        )
    else:
        kind += ' id'
        what, advice = f'{places} have the same id', 'give one another id'
        is_fixable = table is file.annotations
    return file.make_problem(kind, table, index, what, advice, is_fixable)


def is_same(entry: dict, other: dict) -> bool:
    """Return whether two entries are equal but for their polygons.

    The polygons may not have been read.
    """
    known = dict(segmentation=None)
    try:
        return entry | known == other | known
    except RecursionError:  # They are nested nearly too deeply to be read.
        return False


def check_zero_ids(file: CocoFile) -> Iterator[Problem]:
    """Find annotations of id 0, which COCOeval takes for 'no match'."""
    for index, value in enumerate(file.annotations.column('id')):
        if value == 0:
            yield file.make_problem(
                'annotation id 0',
                file.annotations,
                index,
                'COCOeval takes id 0 for "no match" and counts a miss',
                'give it another id',
                is_fixable=True,
            )


def check_repeated_names(file: CocoFile) -> Iterator[Problem]:
    """Find file names and category names that occur more than once."""
    names = normalize_names(file)
    yield from check_names(file, file.images, 'file_name', names)
    names = file.categories.column('name')
    equal = find_equal_categories(file)
    yield from check_names(file, file.categories, 'name', names, equal)


def normalize_names(file: CocoFile) -> list[str | None]:
    """Return the name of each image; `a/../b.jpg` and `./b.jpg` as `b.jpg`."""
    return [
        name and posixpath.normpath(name)
        for name in file.images.column('file_name')
    ]


def check_names(
    file: CocoFile,
    table: Table,
    key: str,
    names: Sequence[str | None],
    fixable: Container[int] = (),
) -> Iterator[Problem]:
    """Find names that an earlier entry has, but no repeated entries.

    Args:
        file: The file.
        table: One of its tables.
        key: The key of the names.
        names: The name of each entry; None is skipped.
        fixable: The indices of the entries that `mending` makes one of.

    Yields:
        A problem for each name that occurs again.
    """
    for first, index in find_repeats(names):
        if is_same(table.entries[first], table.entries[index]):
            continue
        place = table.describe_place(first)
        yield file.make_problem(
            f'repeated {table.singular} {key}',
            table,
            index,
            f'{key} {names[index]!r} is that of {place} too',
            'make one entry of the two, and move the annotations to it',
            index in fixable,
        )


NAME_OUTSIDE = 'file_name outside'


def check_file_names(file: CocoFile) -> Iterator[Problem]:
    """Find names that are not names of files inside the image folder."""
    for index, name in enumerate(file.images.column('file_name')):
        error = find_name_error(name or '')
        if error:
            yield file.make_problem(
                NAME_OUTSIDE,
                file.images,
                index,
                f'`file_name` {name!r} {error}',
                'make it a valid name, relative to the image folder',
            )


def check_references(
    file: CocoFile, names: Iterable[str] = ('images', 'categories')
) -> Iterator[Problem]:
    """Find annotations of images or categories that the file does not have.

    Args:
        file: The file.
        names: The lists to look in.

    Yields:
        The problems; none for a list that has no right id, since that is a
        problem by itself.
    """
    for table in map(file.table, names):
        known = set(table.column('id')) - {None}
        texts = table.text_ids
        column = file.annotations.column(f'{table.singular}_id')
        for index, value in enumerate(column):
            if value is None or value in known:
                continue
            if str(value) in texts:
                yield make_type_problem(file, table, index, value)
            elif known:
                yield make_unknown_problem(file, table, index, value)


def make_type_problem(
    file: CocoFile, table: Table, index: int, value: object
) -> Problem:
    """Make the problem of an id that is a string where it is defined."""
    return file.make_problem(
        f'{table.singular} id of another type',
        file.annotations,
        index,
        f'{table.singular}_id {value} is a number, but in `{table.name}` that '
        f"id is the string '{value}'",
        f'write it without quotes in `{table.name}`',
        is_fixable=True,
    )


def make_unknown_problem(
    file: CocoFile, table: Table, index: int, value: object
) -> Problem:
    """Make the problem of an id that is not defined."""
    return file.make_problem(
        f'unknown {table.singular}',
        file.annotations,
        index,
        f'{table.singular}_id {format_value(value)} is not in `{table.name}`',
        f'add the {table.singular}, or remove the annotation',
        is_fixable=True,
    )


def check_repeated_objects(file: CocoFile) -> Iterator[Problem]:
    """Find objects that occur again: same image, class, box and `iscrowd`."""
    annotations = file.annotations
    columns = map(
        annotations.column, ('image_id', 'category_id', 'bbox', 'iscrowd')
    )
    keys = [
        (image_id, category_id, *bbox, bool(iscrowd))
        if None not in (image_id, category_id) and is_finite(bbox)
        else None
        for image_id, category_id, bbox, iscrowd in zip(*columns, strict=True)
    ]
    ids, images = map(annotations.column, ('id', 'image_id'))
    for first, index in find_repeats(keys):
        if ids[first] is None or ids[first] != ids[index]:
            yield file.make_problem(
                'repeated object',
                annotations,
                index,
                f'image {images[index]} has the same box of the same class '
                f'in {annotations.describe_place(first)}',
                'remove one',
                is_fixable=True,
            )


def is_finite(bbox: list | None) -> bool:
    """Return whether a bbox is there, and has finite numbers only."""
    return bbox is not None and all(map(is_number, bbox))


FILE_CHECKS = (
    check_lists,
    check_objects,
    check_values,
    check_repeated_ids,
    check_zero_ids,
    check_repeated_names,
    check_file_names,
    check_references,
    check_repeated_objects,
    check_any_object,
    check_areas,
    check_ignored,
    check_finite,
    check_boxes,
)


def check_file(file: CocoFile) -> Iterator[Problem]:
    """Yield all problems of one file."""
    for check in FILE_CHECKS:
        yield from check(file)
