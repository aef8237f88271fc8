"""Shards: Parquet files of detections, with one row per image.

A shard is written under another name, flushed to disk and renamed, so it is
either whole or not there. It says which images it holds and what made them.
Later damage (by a failing disk or a copy that was cut off) is found by the
checksums of its pages.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..files.atomic import replacing
from ..text import format_error

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
        ),  # see `mergers.corner_spread`
    ]
)
PROVENANCE = b'data_distillation'


class ShardError(ValueError):
    """A file is not a whole shard; the message says why."""


def write_shard(path: Path, rows: Sequence[dict], provenance: dict) -> None:
    """Write a shard.

    Args:
        path: The file. Missing folders are made.
        rows: One dict per image, with the columns of `SCHEMA`.
        provenance: The provenance of the detections, a dict that JSON can
            hold.

    Raises:
        OSError: If the file cannot be written. Then nothing is left of it.
    """
    with replacing(path) as file:
        write_rows(file, rows, provenance)


def write_rows(
    file: BinaryIO | pa.NativeFile, rows: Sequence[dict], provenance: dict
) -> None:
    """Write the content of a shard to an open file.

    Args:
        file: The file, opened for writing.
        rows: One dict per image, with the columns of `SCHEMA`.
        provenance: The provenance of the detections, a dict that JSON can
            hold.
    """
    metadata = {PROVENANCE: json.dumps(provenance).encode()}
    table = pa.Table.from_pylist(rows, SCHEMA.with_metadata(metadata))
    pq.write_table(table, file, write_page_checksum=True)


def read_shard(path: Path) -> tuple[pa.Table, dict]:
    """Read a shard.

    Args:
        path: The file.

    Returns:
        A table with the columns of `SCHEMA`, and what made the detections.

    Raises:
        ShardError: If the file is cut off, damaged, empty, or not a shard.
    """
    with naming_damage():
        file = pq.ParquetFile(path, page_checksum_verification=True)
        # Other threads read other shards at the same time.
        table = file.read(use_threads=False)
    return table.replace_schema_metadata(None), decode_provenance(table.schema)


def read_provenance(path: Path) -> dict:
    """Return what made the detections of a shard, without reading its rows.

    Args:
        path: The file.

    Raises:
        ShardError: If the file is damaged or not a shard.
    """
    with naming_damage():
        schema = pq.read_schema(path)
    return decode_provenance(schema)


def count_rows(path: Path) -> tuple[int, int]:
    """Count the images of a shard, and those that could not be read.

    This reads only the last bytes of the file.

    Args:
        path: The file.

    Returns:
        The number of images, and the number of those that were unreadable.

    Raises:
        ShardError: If the file is damaged or not a shard.
    """
    with naming_damage():
        metadata = pq.read_metadata(path)
    decode_provenance(metadata.schema.to_arrow_schema())
    column = SCHEMA.get_field_index('unreadable')
    num_null = sum(
        metadata.row_group(i).column(column).statistics.null_count
        for i in range(metadata.num_row_groups)
    )
    return metadata.num_rows, metadata.num_rows - num_null


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
        raise
    except Exception as error:
        raise ShardError(f'damaged: {format_error(error)}') from error


def decode_provenance(schema: pa.Schema) -> dict:
    """Return what made the detections of a shard.

    Args:
        schema: The schema of the file.

    Raises:
        ShardError: If the file has other columns, or does not say what made
            it.
    """
    if not schema.equals(SCHEMA):
        raise ShardError('not written by this program: other columns')
    try:
        provenance = json.loads((schema.metadata or {})[PROVENANCE])
    except (KeyError, ValueError):
        provenance = None
    if not isinstance(provenance, dict):
        raise ShardError('not written by this program: it does not say how')
    return provenance
