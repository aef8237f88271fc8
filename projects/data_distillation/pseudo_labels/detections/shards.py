"""Shards: Parquet files of detections, with one row per image.

A shard is written under another name, flushed to disk and renamed, so it is
either whole or not there. It says which images it holds and what made them.
Later damage (by a failing disk or a copy that was cut off) is found by the
checksums of its pages.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ...files.atomic import replacing
from ...text import format_error
from .content import find_content_error, is_provenance
from .image_contents import (
    Content,
    ShardIndex,
    decode_contents,
    encode_contents,
)

SCHEMA = pa.schema(
    [
        ('file_name', pa.string()),  # relative to the image folder
        ('image_id', pa.int64()),  # null for an image of a folder
        ('width', pa.int32()),  # of the decoded image, in pixels
        ('height', pa.int32()),
        ('unreadable', pa.string()),  # the reason; null if it was read
        # One element per detection, by descending score:
        ('bboxes_xyxy', pa.list_(pa.list_(pa.float32(), 4))),
        ('scores', pa.list_(pa.float32())),
        ('labels', pa.list_(pa.int32())),
        ('num_views', pa.list_(pa.int32())),
        (
            'corner_spread',
            pa.list_(pa.float32()),
        ),  # see `merging.boxes.corner_spread`
    ]
)
# What a store has besides, if the detections have masks: one element per
# detection, see `inference.view_masks.MaskMerger.merge`. A detection without a
# mask has an empty one.
MASK_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ('masks', pa.list_(pa.large_binary())),  # `counts` of COCO's RLE
        ('mask_areas', pa.list_(pa.int32())),
        ('mask_agreement', pa.list_(pa.float32())),
    ]
)
# What a store has besides, if it keeps the boxes of each view. The columns are
# those of `inference.view_boxes.ViewBoxes`; an image that could not be read
# has empty lists.
VIEW_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ('view_bboxes_xyxy', pa.list_(pa.list_(pa.float32(), 4))),
        ('view_scores', pa.list_(pa.float32())),
        ('view_labels', pa.list_(pa.int32())),
        ('view_counts', pa.list_(pa.int32())),
        ('view_run_index', pa.list_(pa.int32())),
    ]
)
# What a shard may have.
SCHEMAS = {
    (has_masks, has_views): pa.schema(
        [
            *(MASK_SCHEMA if has_masks else SCHEMA),
            *(list(VIEW_SCHEMA)[len(SCHEMA) :] if has_views else ()),
        ]
    )
    for has_masks in (False, True)
    for has_views in (False, True)
}
PROVENANCE = b'data_distillation'


class ShardError(ValueError):
    """A file is not a whole shard; the message says why."""


def write_shard(path: Path, rows: Sequence[dict], provenance: dict) -> None:
    """Write a shard.

    Args:
        path: The file. Missing folders are made.
        rows: One dict per image, at least one, with the columns of `SCHEMA`,
            or all of them with those of `MASK_SCHEMA`, of `VIEW_SCHEMA` or of
            both; `sha256` and `state` may tell the content of the image file,
            see `Content`.
        provenance: The provenance of the detections, a dict that JSON can
            hold.

    Raises:
        OSError: If the file cannot be written. Then nothing is left of it.
        TypeError: If JSON cannot hold the provenance.
    """
    with replacing(path) as file:
        write_rows(file, rows, provenance)


def write_rows(
    file: BinaryIO | pa.NativeFile, rows: Sequence[dict], provenance: dict
) -> None:
    """Write the content of a shard to an open file.

    Args:
        file: The file, opened for writing.
        rows: One dict per image, see `write_shard`; there may be none.
        provenance: The provenance of the detections, a dict that JSON can
            hold.

    Raises:
        TypeError: If JSON cannot hold the provenance.
        OSError: If the file cannot be written.
    """
    has_masks = any('masks' in row for row in rows)
    has_views = any('view_counts' in row for row in rows)
    table = pa.Table.from_pylist(rows, SCHEMAS[has_masks, has_views])
    contents = [Content(row.get('sha256'), row.get('state')) for row in rows]
    write_table(file, table, provenance, contents)


def write_table(
    file: BinaryIO | pa.NativeFile,
    table: pa.Table,
    provenance: dict,
    contents: Sequence[Content],
) -> None:
    """Write a table as the content of a shard.

    Args:
        file: The file, opened for writing.
        table: A table with the columns of one of `SCHEMAS`.
        provenance: The provenance of the detections.
        contents: What is known of the image file of each row.

    Raises:
        TypeError: If JSON cannot hold the provenance.
        OSError: If the file cannot be written.
    """
    metadata = {
        PROVENANCE: json.dumps(provenance),
        **encode_contents(contents),
    }
    table = table.replace_schema_metadata(metadata)
    pq.write_table(table, file, write_page_checksum=True)


def read_shard(
    path: Path, schema: pa.Schema = SCHEMA
) -> tuple[pa.Table, dict]:
    """Read a shard.

    Args:
        path: The file.
        schema: The columns to read, `SCHEMA` or `VIEW_SCHEMA`.

    Returns:
        A table with these columns, with those of `MASK_SCHEMA` too if `SCHEMA`
        is asked for and the shard has them; and the provenance of the
        detections.

    Raises:
        ShardError: If the file is missing, cut off, damaged, empty, not a
            shard, lacks the boxes of the views that `VIEW_SCHEMA` asks for, or
            its values do not fit together, see `find_content_error`.
    """
    with naming_damage():
        file = open_shard(path)
        if schema is SCHEMA and 'masks' in file.schema_arrow.names:
            schema = MASK_SCHEMA
        # Other threads read other shards at the same time.
        table = file.read(schema.names, use_threads=False)
    provenance = decode_provenance(file.schema_arrow)
    if not table.schema.equals(schema):
        raise ShardError('it has no boxes of views: annotate with keep_views')
    if error := find_content_error(table):
        raise ShardError(f'not written by this program: {error}')
    return table.replace_schema_metadata(None), provenance


def open_shard(path: Path) -> pq.ParquetFile:
    """Open a shard whose pages are checked when they are read.

    Args:
        path: The file.

    Returns:
        The file; its rows are not read yet.

    Raises:
        OSError, ValueError: If it is missing, damaged or no Parquet file.
        ValueError: If it says that it has more images than bytes. Each has a
            name of its own, and equal rows would fill the memory.
    """
    file = pq.ParquetFile(path, page_checksum_verification=True)
    num_rows, num_bytes = file.metadata.num_rows, path.stat().st_size
    if num_rows > num_bytes:
        raise ValueError(f'{num_rows:,} images in {num_bytes:,} bytes')
    return file


def read_provenance(path: Path) -> dict:
    """Return what made the detections of a shard, without reading its rows.

    Args:
        path: The file.

    Returns:
        The provenance, see `detections/provenance.py`.

    Raises:
        ShardError: If the file is missing, damaged or not a shard. Damage to
            the rows is not noticed.
    """
    with naming_damage():
        schema = pq.read_schema(path)
    return decode_provenance(schema)


def read_index(path: Path) -> ShardIndex:
    """Read which images a shard has, without their detections.

    Args:
        path: The file.

    Returns:
        The names of its images and the content of their files, in the order
        of the rows, and the provenance.

    Raises:
        ShardError: If the file is missing, damaged or not a shard. Damage to
            other columns is not noticed.
    """
    with naming_damage():
        file = open_shard(path)
        names = file.read(['file_name'], use_threads=False)['file_name']
    schema = file.schema_arrow
    return ShardIndex(
        decode_provenance(schema),
        names.to_pylist(),
        decode_contents(schema, len(names)),
    )


def copy_rows(
    source: Path,
    target: Path,
    images: Mapping[str, tuple[int, int | None]],
    provenance: dict,
) -> None:
    """Copy the detections of some images to another shard, by other names.

    Its rows have the order of `images`. What is known of the content of the
    image files, and boxes of views, are copied too.

    Args:
        source: The shard with the detections.
        target: The shard to write. A file that is there is replaced.
        images: The new name of each image: the number of its row in the
            source, and its id; None if it has none.
        provenance: The provenance of the new shard.

    Raises:
        ShardError: If the source is missing, damaged or not a shard.
        IndexError: If the source has no row of such a number.
        OSError: If the target cannot be written.
    """
    with naming_damage():
        file = open_shard(source)
        table = file.read(use_threads=False)
    decode_provenance(file.schema_arrow)
    known = decode_contents(file.schema_arrow, len(table))
    rows = [row for row, _ in images.values()]
    table = table.take(pa.array(rows, pa.int64()))
    columns = dict(
        file_name=list(images), image_id=[one for _, one in images.values()]
    )
    for key, values in columns.items():
        column = SCHEMA.get_field_index(key)
        array = pa.array(values, SCHEMA.field(key).type)
        table = table.set_column(column, key, array)
    with replacing(target) as opened:
        write_table(opened, table, provenance, [known[row] for row in rows])


def count_rows(path: Path) -> tuple[int, int]:
    """Count the images of a shard, and those that could not be read.

    This reads one column. The statistics in the file would tell too, but those
    of a damaged file can end the process.

    Args:
        path: The file.

    Returns:
        The number of images, and the number of those that were unreadable.

    Raises:
        ShardError: If the file is missing, damaged or not a shard. Damage to
            other columns is not noticed.
    """
    with naming_damage():
        file = open_shard(path)
        reasons = file.read(['unreadable'], use_threads=False)['unreadable']
    decode_provenance(file.schema_arrow)
    return len(reasons), len(reasons) - reasons.null_count


def count_bytes(path: Path) -> tuple[int, int]:
    """Count the bytes of a shard, and those that hold the boxes of views.

    Args:
        path: The file. It must have been read before: what a damaged file
            says of its columns can end the process.

    Returns:
        The size of the file, and the compressed size of the columns that only
        `VIEW_SCHEMA` has, both in bytes.

    Raises:
        ShardError: If the file is missing, damaged or no Parquet file.
    """
    with naming_damage():
        metadata = pq.read_metadata(path)
        groups = map(metadata.row_group, range(metadata.num_row_groups))
        of_views = sum(
            column.total_compressed_size
            for group in groups
            for column in map(group.column, range(group.num_columns))
            if column.path_in_schema.startswith('view_')
        )
    return path.stat().st_size, of_views


@contextmanager
def naming_damage() -> Iterator[None]:
    """Raise a `ShardError` for any error that a damaged file causes.

    Yields:
        Nothing.

    Raises:
        ShardError: If a decoder raises an error, with its first line.
    """
    try:
        yield
    except MemoryError:
        # A lack of memory says nothing about the file.
        raise
    except Exception as error:
        raise ShardError(f'damaged: {format_error(error)}') from error


def decode_provenance(schema: pa.Schema) -> dict:
    """Return what made the detections of a shard.

    Args:
        schema: The schema of the file.

    Returns:
        The provenance, see `detections/provenance.py`.

    Raises:
        ShardError: If the file has other columns, or does not say what made
            it.
    """
    if not any(schema.equals(known) for known in SCHEMAS.values()):
        raise ShardError('not written by this program: other columns')
    try:
        provenance = json.loads((schema.metadata or {})[PROVENANCE])
    except (KeyError, ValueError, RecursionError):
        provenance = None
    if not is_provenance(provenance):
        raise ShardError('not written by this program: it does not say how')
    return provenance
