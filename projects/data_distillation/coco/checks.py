"""Checks of COCO files: what would ruin a run later, all of it at once.

A check is a generator of problems. It reads columns, in which a value that is
missing or of a wrong type is None: nothing that one check reports can make
another one fail.
"""

import itertools
import posixpath
from collections.abc import Iterable, Iterator, Sequence

from ..text import format_value
from .box_checks import check_areas, check_boxes, check_finite, check_ignored
from .problems import NO_OBJECT, CocoFile, Problem, Table, column_of
from .reading import name_error
from .schema import ID, SCHEMA, Rule, is_text


def check_lists(file: CocoFile) -> Iterator[Problem]:
    """Find lists that are missing or empty; `annotations` may be empty."""
    for table in file.tables:
        values = file.content.get(table.name)
        if isinstance(values, list) and (values or table is file.annotations):
            continue
        state = 'is empty' if values == [] else 'is no list'
        yield file.problem_of_all(
            f'list {table.name}',
            f'`{table.name}` {state if values is not None else "is missing"}',
            'images without labels are for UnlabeledDataset'
            if table is file.annotations
            else 'add it',
        )


def check_objects(file: CocoFile) -> Iterator[Problem]:
    """Find entries that are no objects."""
    for table in file.tables:
        for index, entry in enumerate(table.entries):
            if entry is NO_OBJECT:
                value = format_value(file.content[table.name][index])
                what = f'{value} is no object'
                advice = 'remove it'
                yield file.problem('no object', table, index, what, advice)


def check_values(file: CocoFile) -> Iterator[Problem]:
    """Find values that are missing or that break the rule of their key."""
    for table in file.tables:
        for key, rule in SCHEMA[table.name].items():
            for index, value in enumerate(table.columns[key]):
                if value is None and table.entries[index] is not NO_OBJECT:
                    yield value_problem(file, table, index, key, rule)


def value_problem(
    file: CocoFile, table: Table, index: int, key: str, rule: Rule
) -> Problem:
    """Make the problem of a value that is missing or wrong."""
    value = table.entries[index].get(key)
    if value is None:
        kind, what, advice = f'missing {key}', 'is missing', rule.if_missing
    else:
        kind = f'wrong {key}'
        what = f'is {format_value(value)}, {rule.needed} is needed'
        is_quoted = rule is ID and isinstance(value, str)
        advice = 'write it without quotes' if is_quoted else 'correct it'
    return file.problem(kind, table, index, f'`{key}` {what}', advice)


def repeats(values: Iterable) -> Iterator[tuple[int, int]]:
    """Yield where a value first was, and where it is again; not for None."""
    first: dict = {}
    for index, value in enumerate(values):
        if value is not None and first.setdefault(value, index) != index:
            yield first[value], index


def check_ids(file: CocoFile) -> Iterator[Problem]:
    """Find ids that occur more than once in a list, and whole entries."""
    for table in file.tables:
        for first, index in repeats(table.columns['id']):
            yield repeat_problem(file, table, first, index)


def repeat_problem(
    file: CocoFile, table: Table, first: int, index: int
) -> Problem:
    """Make the problem of an id that an earlier entry has."""
    kind = f'repeated {table.singular}'
    places = f'{table.name}[{first}] and {table.name}[{index}]'
    fix = '' if table is file.categories else ' (--fix does)'
    if is_same(table.entries[first], table.entries[index]):
        what, advice = f'{places} are the same', f'remove one{fix}'
    else:
        kind += ' id'
        fix = fix if table is file.annotations else ''
        what = f'{places} both have this id'
        advice = f'give one an id of its own{fix}'
    return file.problem(kind, table, index, what, advice)


def is_same(entry: dict, other: dict) -> bool:
    """Whether two entries say the same; polygons may not have been read."""
    known = dict(segmentation=None)
    try:
        return entry | known == other | known
    except RecursionError:  # nested nearly too deeply to be read
        return False


def check_zero_ids(file: CocoFile) -> Iterator[Problem]:
    """Find annotations of id 0, which COCOeval takes for 'no match'."""
    for index, value in enumerate(file.annotations.columns['id']):
        if value == 0:
            yield file.problem(
                'annotation id 0',
                file.annotations,
                index,
                'COCOeval takes id 0 for "no match" and counts a miss',
                'give it another (--fix does)',
            )


def check_names(file: CocoFile) -> Iterator[Problem]:
    """Find file names and category names that occur more than once."""
    names = image_names(file)
    yield from repeated_names(file, file.images, 'file_name', names)
    names = file.categories.columns['name']
    yield from repeated_names(file, file.categories, 'name', names)


def image_names(file: CocoFile) -> list[str | None]:
    """List the file names, `a/../b.jpg` and `./b.jpg` as `b.jpg`."""
    return [
        name and posixpath.normpath(name)
        for name in file.images.columns['file_name']
    ]


def repeated_names(
    file: CocoFile, table: Table, key: str, names: Sequence[str | None]
) -> Iterator[Problem]:
    """Find names that an earlier entry has, but not entries as a whole."""
    for first, index in repeats(names):
        if is_same(table.entries[first], table.entries[index]):
            continue
        yield file.problem(
            f'repeated {table.singular} {key}',
            table,
            index,
            f'{key} {names[index]!r} is that of {table.place(first)} too',
            'make one entry of the two, and move the annotations to it',
        )


def check_folders(file: CocoFile) -> Iterator[Problem]:
    """Find file names that do not stay inside the folder of the images."""
    for index, name in enumerate(file.images.columns['file_name']):
        error = name_error(name or '')
        if error:
            yield file.problem(
                'file_name outside',
                file.images,
                index,
                f'file_name {name!r} {error}',
                'make it a valid name, relative to the image folder',
            )


def check_references(file: CocoFile) -> Iterator[Problem]:
    """Find annotations of images or categories that are not in the file."""
    for table in (file.images, file.categories):
        known = set(table.columns['id']) - {None}
        texts = {i for i in column_of(table.entries, 'id') if is_text(i)}
        column = file.annotations.columns[f'{table.singular}_id']
        for index, value in enumerate(column):
            if value is None or value in known:
                continue
            if str(value) in texts:
                yield other_type_problem(file, table, index, value)
            # Else the list itself is missing, which is said once.
            elif known:
                yield unknown_problem(file, table, index, value)


def other_type_problem(
    file: CocoFile, table: Table, index: int, value: int
) -> Problem:
    """Make the problem of an id that is a string where it is defined."""
    return file.problem(
        f'{table.singular} id of another type',
        file.annotations,
        index,
        f'{table.singular}_id {value} is an integer, but in '
        f"`{table.name}` that id is the string '{value}'",
        f'write it without quotes in `{table.name}`',
    )


def unknown_problem(
    file: CocoFile, table: Table, index: int, value: int
) -> Problem:
    """Make the problem of an id that is not defined."""
    return file.problem(
        f'unknown {table.singular}',
        file.annotations,
        index,
        f'{table.singular}_id {value} is not in `{table.name}`',
        f'add the {table.singular}, or remove the annotation (--fix does)',
    )


def categories_of(file: CocoFile) -> list[tuple]:
    """List id and name of the categories, in order."""
    columns = file.categories.columns
    return list(zip(columns['id'], columns['name'], strict=True))


def check_categories(files: Sequence[CocoFile]) -> Iterator[Problem]:
    """Find files whose categories are not those of the first one.

    CocoDataset numbers the labels by the order in the file: two files in
    different order swap classes without a word.
    """
    for file in files[1:]:
        what = difference(categories_of(files[0]), categories_of(file))
        if what:
            yield file.problem_of_all(
                'other categories',
                f'the categories are not those of {files[0].path}, {what}',
                'write the same ids and names in the same order',
            )


def difference(expected: list[tuple], found: list[tuple]) -> str:
    """Say how categories differ; `''` if they do not, or are none."""
    if expected == found or not expected or not found:
        return ''
    names = [name for _, name in expected], [name for _, name in found]
    if set(names[0]) != set(names[1]):
        more, less = (set(a) - set(b) for a, b in (names[::-1], names))
        extra, missing = (
            format_value(sorted(map(str, s))) for s in (more, less)
        )
        return f'missing: {missing}, only here: {extra}'
    if names[0] != names[1]:
        pairs = itertools.zip_longest(*names, fillvalue='nothing')
        number, pair = next(p for p in enumerate(pairs, 1) if len({*p[1]}) > 1)
        return f'number {number} is {pair[1]!r} instead of {pair[0]!r}'
    pairs = zip(expected, found, strict=True)
    (expected_id, name), (found_id, _) = next(p for p in pairs if p[0] != p[1])
    return f'{name!r} has id {found_id} instead of {expected_id}'


def check_shared_names(files: Sequence[CocoFile]) -> Iterator[Problem]:
    """Find file names that two files have, if their images are not given."""
    for first, second in itertools.combinations(files, 2):
        known = set(image_names(first)) - {None}
        for index, name in enumerate(image_names(second)):
            if name in known:
                yield second.problem(
                    f'names of {first.path}',
                    second.images,
                    index,
                    f'same file_name {name!r} in {first.path}',
                    'is it the same image? give --images to be sure',
                )


FILE_CHECKS = (
    check_lists,
    check_objects,
    check_values,
    check_ids,
    check_zero_ids,
    check_names,
    check_folders,
    check_references,
    check_areas,
    check_ignored,
    check_finite,
    check_boxes,
)


def check_file(file: CocoFile) -> Iterator[Problem]:
    """Yield all problems of a file by itself."""
    for check in FILE_CHECKS:
        yield from check(file)


def check_together(
    files: Sequence[CocoFile], has_images: bool
) -> Iterator[Problem]:
    """Yield the problems of files that are used together.

    Args:
        files: The first one is what the others are compared with.
        has_images: Whether the images are compared, so that nothing has to be
            concluded from their names.

    Yields:
        The problems.
    """
    yield from check_categories(files)
    if not has_images:
        yield from check_shared_names(files)
