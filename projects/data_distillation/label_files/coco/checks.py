"""The checks of COCO files.

A check is a generator of problems. tools/check_coco.py runs all checks and
lists every problem. Code that reads a file for a purpose runs the checks in
`reading.py` and refuses the file with the first problem.
"""

import posixpath
from collections.abc import Container, Iterable, Iterator, Sequence

from ...text import format_value
from ..segmentations.equality import pair_objects
from .box_checks import check_boxes, check_finite
from .class_checks import (
    check_any_object,
    check_categories,
    find_equal_categories,
    with_categories,
)
from .entry_checks import (
    check_areas,
    check_class_names,
    check_deleted,
    check_ignored,
    check_lists,
    check_objects,
    check_rotated,
    check_values,
)
from .problems import Problem
from .schema import (
    SCHEMA,
    find_name_error,
    is_finite,
)
from .tables import CocoFile, Table


def find_repeats(values: Iterable) -> Iterator[tuple[int, int]]:
    """Find the values that occur again.

    Args:
        values: Any hashable values; None is skipped.

    Yields:
        The index at which the value first occurs, and the index at which it
        occurs again, by the second; n - 1 pairs for a value that occurs n
        times. 1 and 1.0 are one value.
    """
    first: dict = {}
    for index, value in enumerate(values):
        # `setdefault` returns the index of the first equal value.
        if value is not None and first.setdefault(value, index) != index:
            yield first[value], index


def check_repeated_ids(
    file: CocoFile, names: Iterable[str] = tuple(SCHEMA)
) -> Iterator[Problem]:
    """Find ids that occur again in the same list, and repeated entries.

    Args:
        file: The file.
        names: The lists to check.

    Yields:
        A problem for each entry whose id an earlier one has, list by list.
    """
    for table in map(file.table, names):
        for first, index in find_repeats(table.column('id')):
            yield make_repeat_problem(file, table, first, index)


def make_repeat_problem(
    file: CocoFile, table: Table, first: int, index: int
) -> Problem:
    """Make the problem of an id that an earlier entry has.

    Args:
        file: The file.
        table: The list with both entries.
        first: The index of the earlier entry.
        index: The index of the later entry.

    Returns:
        A problem of the later entry. It can be mended for annotations, and for
        equal entries; equal categories need a name.
    """
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

    Args:
        entry: An entry.
        other: Another entry.

    Returns:
        Whether they are; False if both are nested too deeply.
    """
    known = dict(segmentation=None)
    try:
        return entry | known == other | known
    except RecursionError:  # They are nested nearly too deeply to be read.
        return False


def check_zero_ids(file: CocoFile) -> Iterator[Problem]:
    """Find annotations of id 0, which COCOeval takes for 'no match'.

    Args:
        file: The file.

    Yields:
        A problem for each, in the file's order.
    """
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
    """Find file names and category names that occur more than once.

    Args:
        file: The file.

    Yields:
        A problem for each later entry, first of images and then of categories;
        none for one that repeats the earlier entry as a whole.
    """
    names = normalize_names(file)
    yield from check_names(file, file.images, 'file_name', names)
    names = file.categories.column('name')
    equal = find_equal_categories(file)
    yield from check_names(file, file.categories, 'name', names, equal)


def normalize_names(file: CocoFile) -> list[str | None]:
    """Write the name of each image in its shortest form.

    Args:
        file: The file.

    Returns:
        One name for each entry, such as `b.jpg` for `./b.jpg` and
        `a/../b.jpg`, in the same case; None where there is no name.
    """
    return [
        name and posixpath.normpath(name)  # None stays None.
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
        A problem for each name that occurs again, unless the whole entry does.
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
    """Find names that are not names of files inside the image folder.

    Args:
        file: The file.

    Yields:
        A problem for each, in the file's order.
    """
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
        A problem for each, list by list, also for a number that the list has
        as a text. Of a list without a right id no other id is unknown, since
        that is a problem by itself.
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
            # Without any, the list itself is wrong: see `check_lists`.
            elif known:
                yield make_unknown_problem(file, table, index, value)


def make_type_problem(
    file: CocoFile, table: Table, index: int, value: object
) -> Problem:
    """Make the problem of an id that is a string where it is defined.

    Args:
        file: The file.
        table: The list that defines the id.
        index: The index of the annotation that refers to it.
        value: The id in the annotation, a number.

    Returns:
        A problem of the annotation.
    """
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
    """Make the problem of an id that is not defined.

    Args:
        file: The file.
        table: The list that should define the id.
        index: The index of the annotation that refers to it.
        value: The id in the annotation, of any type.

    Returns:
        A problem of the annotation.
    """
    return file.make_problem(
        f'unknown {table.singular}',
        file.annotations,
        index,
        f'{table.singular}_id {format_value(value)} is not in `{table.name}`',
        f'add the {table.singular}, or remove the annotation',
        is_fixable=True,
    )


def check_repeated_objects(file: CocoFile) -> Iterator[Problem]:
    """Find objects that occur again: same image, class, box and `iscrowd`.

    An `iscrowd` that is missing or wrong counts as 0. Objects without a right
    image, class or box of finite numbers are passed over.

    Args:
        file: The file.

    Yields:
        A problem for each later object, in the file's order; it can be mended
        if both have the same mask, or none. Those whose ids are the same are a
        problem of their ids.
    """
    annotations = file.annotations
    columns = map(
        annotations.column, ('image_id', 'category_id', 'bbox', 'iscrowd')
    )
    keys = [
        # 5 and 5.0 are one key, as they are one box.
        (image_id, category_id, *bbox, bool(iscrowd))
        if None not in (image_id, category_id) and is_finite(bbox)
        else None
        for image_id, category_id, bbox, iscrowd in zip(*columns, strict=True)
    ]
    ids, images = map(annotations.column, ('id', 'image_id'))
    for first, index, is_fixable in pair_objects(keys, annotations.entries):
        # Those with one id are repeated entries: see `check_repeated_ids`.
        if ids[first] is None or ids[first] != ids[index]:
            yield file.make_problem(
                'repeated object',
                annotations,
                index,
                f'image {images[index]} has the same box of the same class '
                f'in {annotations.describe_place(first)}',
                'remove one'
                + (', if both have the same mask' * (not is_fixable)),
                is_fixable,
            )


FILE_CHECKS = (
    check_lists,
    check_objects,
    check_values,
    check_repeated_ids,
    check_zero_ids,
    check_repeated_names,
    check_file_names,
    check_references,
    check_class_names,
    check_repeated_objects,
    check_any_object,
    check_areas,
    check_ignored,
    check_deleted,
    check_rotated,
    check_finite,
    check_boxes,
)


def check_file(file: CocoFile) -> Iterator[Problem]:
    """Find all problems of one file.

    Args:
        file: The file.

    Yields:
        The problems: first that of categories in another form, then check by
        check, in the order of `FILE_CHECKS`.
    """
    yield from check_categories(file)
    # What is wrong in one way is named once.
    file = with_categories(file)
    for check in FILE_CHECKS:
        yield from check(file)
