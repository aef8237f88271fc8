"""Checks the values of a shard that another program may have written.

The columns may be right and the values not: then the boxes of one image would
get the scores of another.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

# The columns that every row has. An image of a folder has no id, and one that
# was read has no reason why it was not.
NEVER_EMPTY = ('file_name', 'width', 'height')
MAY_BE_EMPTY = ('image_id', 'unreadable')
# The columns whose lists have lengths of their own.
OWN_LENGTHS = ('view_counts', 'view_run_index')


def is_provenance(value: object) -> bool:
    """Return whether a value is a provenance, as far as readers rely on it.

    Args:
        value: What JSON may hold.

    Returns:
        True for a dictionary whose `classes`, if it has them, are a list of
        strings and whose `image_folder` is a string.
    """
    if not isinstance(value, dict):
        return False
    classes = value.get('classes', [])
    has_names = isinstance(classes, list) and all(
        isinstance(name, str) for name in classes
    )
    return has_names and isinstance(value.get('image_folder', ''), str)


def find_content_error(table: pa.Table) -> str:
    """Find what is wrong with the values of a shard.

    Args:
        table: A table with the columns of one of `shards.SCHEMAS`, or with
            some of them.

    Returns:
        What is wrong with the first such column; empty if nothing is. Scores
        and boxes that are no numbers are not looked for.
    """
    if not len(table):
        return 'it has no images'
    names = set(table.column_names)
    for name in NEVER_EMPTY:
        if name in names and table[name].null_count:
            return f'`{name}` is empty in a row'
    for name in ('width', 'height'):
        if name in names and pc.min(table[name]).as_py() < 1:
            return f'`{name}` is below 1 in a row'
    lists = [
        name
        for name in table.column_names
        if name not in (*NEVER_EMPTY, *MAY_BE_EMPTY)
    ]
    return find_list_error(table, lists)


def find_list_error(table: pa.Table, names: Sequence[str]) -> str:
    """Find what is wrong with the lists of a shard.

    Args:
        table: The table, with at least one row.
        names: The columns of lists. The lists of a row must be of one length;
            those of columns whose names begin with `view_` may have another
            one, and those of `OWN_LENGTHS` any.

    Returns:
        What is wrong with the first such column: a value that is missing, a
        label below 0, or other lengths than those of the first column of its
        kind. Empty if nothing is.
    """
    # Where the list of each row begins: without a copy, unlike the lengths.
    starts: dict[bool, pa.Array] = {}
    for name in names:
        lists = as_one(table[name])
        if lists.null_count or lists.values.null_count:
            return f'`{name}` lacks a value in a row'
        is_label = name.endswith('labels') and len(lists.values)
        if is_label and pc.min(lists.values).as_py() < 0:
            return f'`{name}` has a number below 0'
        if name in OWN_LENGTHS:
            continue
        found = lists.offsets
        if not starts.setdefault(name.startswith('view_'), found).equals(
            found
        ):
            return f'`{name}` has other numbers of values than the boxes'
    return ''


def as_one(column: pa.ChunkedArray) -> pa.ListArray:
    """Return a column of lists as one array, whose lists begin at 0.

    Args:
        column: The column, as it was read, with at least one row.

    Returns:
        The array, of one chunk; without a copy if the column has only one.
    """
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks)
