"""Checks of each entry of a COCO file alone: its values, by their rules."""

from collections.abc import Iterable, Iterator, Mapping

from ...text import format_value
from .class_checks import SURE_NAME_KEYS, find_class_name, find_ids
from .problems import Problem
from .schema import (
    ID,
    SCHEMA,
    advise_on_format,
    as_id,
    as_number,
    is_number,
    is_text,
)
from .tables import NO_OBJECT, CocoFile, Table


def check_lists(
    file: CocoFile,
    names: Iterable[str] = tuple(SCHEMA),
    may_be_empty: Iterable[str] = ('annotations',),
) -> Iterator[Problem]:
    """Find lists that are missing, empty, or no lists.

    Args:
        file: The file.
        names: The lists to check.
        may_be_empty: Those of them that need no entry.

    Yields:
        At most one problem for each list, in the order of `names`; `null` is a
        missing list.
    """
    for name in names:
        values = file.content.get(name)
        if isinstance(values, list) and (values or name in may_be_empty):
            continue
        state = 'is empty' if values == [] else 'is not a list'
        advice = 'write a list with at least one entry'
        if name == 'categories':
            advice = 'write a list of objects such as {"id": 1, "name": "cat"}'
        if name == 'annotations':
            advice = 'images without labels are for UnlabeledDataset'
        if 'images' not in file.content:
            advice = advise_on_format(file.content)
        yield file.make_file_problem(
            f'list {name}',
            f'`{name}` {state if values is not None else "is missing"}',
            advice,
        )


def check_objects(
    file: CocoFile, names: Iterable[str] = tuple(SCHEMA)
) -> Iterator[Problem]:
    """Find entries of these lists that are not objects.

    Args:
        file: The file.
        names: The lists to check.

    Yields:
        A problem for each, list by list and in the file's order.
    """
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
        keys: List -> the keys whose values are checked; each must have a rule
            in the file's schema.

    Yields:
        The problems, list by list and key by key; none of entries that are no
        objects, see `check_objects`.
    """
    for name, wanted in keys.items():
        table = file.table(name)
        for key in wanted:
            for index, value in enumerate(table.column(key)):
                # `check_objects` names what is no object.
                if value is None and table.entries[index] is not NO_OBJECT:
                    yield make_value_problem(file, table, index, key)


def make_value_problem(
    file: CocoFile, table: Table, index: int, key: str
) -> Problem:
    """Make the problem of a value that is missing or breaks its rule.

    Args:
        file: The file.
        table: The list with the entry.
        index: The index of the entry in the list.
        key: The key of the value.

    Returns:
        The problem; it can be mended if `advise_on` or, for a missing value,
        the rule says so. `null` is a missing value.
    """
    value, rule = table.entries[index].get(key), table.rules[key]
    if value is None:
        what, advice = f'`{key}` is missing', rule.if_missing
        if key == 'category_id':
            return make_class_problem(file, index)
        return file.make_problem(
            f'missing {key}', table, index, what, advice, rule.is_fixable
        )
    what = f'`{key}` must be {rule.needed}, got {format_value(value)}'
    advice = advise_on(file, table, key, value)
    is_clear = not advice.startswith((CORRECT, UNCLEAR))
    return file.make_problem(
        f'wrong {key}', table, index, what, advice, is_clear
    )


def make_class_problem(file: CocoFile, index: int) -> Problem:
    """Make the problem of an annotation without the id of its class.

    Args:
        file: The file.
        index: The index of the annotation.

    Returns:
        The problem; it can be mended if the annotation has the name of one
        category instead.
    """
    name = find_class_name(file.annotations.entries[index])
    ids = [] if name is None else find_ids(file, name)
    if name is None:
        advice = 'add it'
    elif len(ids) == 1:
        advice = f'write {format_value(ids[0])}, the id of its class {name!r}'
    else:
        advice = (
            f'add it: {len(ids)} categories have the name of its class, '
            f'{format_value(name)}'
        )
    return file.make_problem(
        'missing category_id',
        file.annotations,
        index,
        '`category_id` is missing',
        advice,
        len(ids) == 1,
    )


CORRECT = 'correct it'
UNCLEAR = 'write what it means'


def advise_on(file: CocoFile, table: Table, key: str, value: object) -> str:
    """Say what the user can do about a value that breaks its rule.

    Args:
        file: The file.
        table: The list with the entry.
        key: The key of the value.
        value: The value, of any type.

    Returns:
        The advice, in words that an error can end with; it begins with
        `CORRECT` or `UNCLEAR` if `mending` cannot do it.
    """
    rule = table.rules[key]
    # An id as a text may be meant as a name; a measure cannot.
    if rule.holds is not ID.holds:
        number = as_number(value)
        is_quoted = number is not None and rule.holds(number)
        if key == 'bbox' and isinstance(value, list):
            numbers = [as_number(v) if is_text(v) else v for v in value]
            is_quoted = rule.holds(numbers)
        return 'write it without quotes' if is_quoted else CORRECT
    named = file.named.get(key, {}) if table is file.annotations else {}
    if is_text(value) and value in named:
        return advise_on_name(named[value])
    if as_id(value) is not None:
        return f'write the integer {as_id(value)}'
    target = file.images if key == 'image_id' else file.categories
    if is_text(value) and (key == 'id' or value in target.text_ids):
        return 'write a number instead of the text, wherever it occurs'
    return CORRECT


def advise_on_name(ids: list) -> str:
    """Say what the user can do about a name where an id must be.

    Args:
        ids: The ids that it may mean, see `CocoFile.named`.

    Returns:
        The advice, in words that an error can end with.
    """
    if len(ids) == 1:
        return f'write the id of this name, {format_value(ids[0])}'
    return (
        f'{UNCLEAR}: {ids[0]} if it is the id, or {format_value(ids[1])} if '
        'it is the name'
    )


def check_areas(file: CocoFile) -> Iterator[Problem]:
    """Find areas that are 0 or less although the box is not empty.

    Args:
        file: The file.

    Yields:
        A problem for each, in the file's order.
    """
    annotations = file.annotations
    columns = annotations.column('area'), annotations.column('bbox')
    for index, (area, bbox_xywh) in enumerate(zip(*columns, strict=True)):
        if area is None or not bbox_xywh:
            continue
        # A box without width or height is dropped for that, whatever its area.
        if area <= 0 < min(bbox_xywh[2:]):
            yield file.make_problem(
                'area not positive',
                annotations,
                index,
                f'area {area} is not positive, so CocoDataset drops the box',
                'write w * h',
                is_fixable=True,
            )


def check_ignored(file: CocoFile) -> Iterator[Problem]:
    """Find annotations that CocoDataset leaves out because of `ignore`.

    Args:
        file: The file.

    Yields:
        A problem for each, in the file's order.
    """
    for index, value in enumerate(file.annotations.values('ignore')):
        if value:
            yield file.make_problem(
                'ignore',
                file.annotations,
                index,
                f'`ignore` is {format_value(value)}, so CocoDataset drops the '
                'box',
                'remove `ignore`; if the box is a region to leave out, write '
                'iscrowd 1',
            )


def is_deleted(entry: dict) -> bool:
    """Return whether its tool has marked an entry as deleted.

    Args:
        entry: The entry, of any list.

    Returns:
        True if `deleted` is `true` or 1; False for any other value.
    """
    return entry.get('deleted') == 1  # As `True` is.


def check_deleted(file: CocoFile) -> Iterator[Problem]:
    """Find entries that their tool has marked as deleted.

    Args:
        file: The file.

    Yields:
        A problem for each, images first, in the file's order.
    """
    for table in (file.images, file.annotations):
        for index, entry in enumerate(table.entries):
            if is_deleted(entry):
                yield file.make_problem(
                    'deleted',
                    table,
                    index,
                    '`deleted` is set, and it would be trained on all the '
                    'same',
                    'remove it, or `deleted` if it is there after all',
                    is_fixable=True,
                )


def check_rotated(file: CocoFile) -> Iterator[Problem]:
    """Find boxes that are turned, as CVAT and Datumaro write them.

    Args:
        file: The file.

    Yields:
        A problem for each, in the file's order.
    """
    for index, degrees in find_rotations(file).items():
        yield file.make_problem(
            'rotated',
            file.annotations,
            index,
            f'the box is to be turned by {degrees:g} degrees '
            '(`attributes.rotation`), which nothing here does',
            'write the upright box around it',
            is_fixable=True,
        )


def find_rotations(file: CocoFile) -> dict[int, float]:
    """Find by how much boxes are to be turned around their center.

    Args:
        file: The file.

    Returns:
        Index of an annotation -> degrees, in either direction. Boxes that look
        the same afterwards (multiples of 180) are left out, and those that are
        missing, wrong or not finite.
    """
    bboxes = file.annotations.column('bbox')
    found: dict[int, float] = {}
    for index, attributes in enumerate(file.annotations.values('attributes')):
        turn = read_rotation(attributes)
        is_finite = all(map(is_number, bboxes[index] or [None]))
        if turn and is_finite:
            found[index] = turn
    return found


def read_rotation(attributes: object) -> float:
    """Read by how much a box is to be turned around its center.

    Args:
        attributes: The `attributes` of an annotation, as CVAT writes them, of
            any type.

    Returns:
        Degrees, in either direction; 0 if the box looks the same afterwards
        (multiples of 180), or nothing is said.
    """
    turn = isinstance(attributes, dict) and attributes.get('rotation')
    return turn if is_number(turn) and turn % 180 else 0


def check_class_names(file: CocoFile) -> Iterator[Problem]:
    """Find annotations that have the name of another class than the id says.

    Args:
        file: The file.

    Yields:
        A problem for each name that only other categories have, key by key.
        Names that no category has are none.
    """
    columns = map(file.categories.column, ('id', 'name'))
    names = dict(zip(*columns, strict=True))
    known = set(names.values())
    ids = file.annotations.column('category_id')
    for key in SURE_NAME_KEYS:
        found = enumerate(zip(ids, file.annotations.values(key), strict=True))
        for index, (i, name) in found:
            # Ids that are wrong are a problem of their own.
            of_id = names.get(i) if i is not None else None
            if of_id and is_text(name) and name != of_id and name in known:
                yield file.make_problem(
                    'name of another class',
                    file.annotations,
                    index,
                    f'category_id {i} is {format_value(of_id)}, but {key} is '
                    f'{format_value(name)}',
                    f'training reads only the id: correct it, or remove {key}',
                )
