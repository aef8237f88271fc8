"""A shard says how large it is, and what is wrong with it."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import stored_row

from projects.data_distillation.detections.shards import (
    PROVENANCE,
    SCHEMA,
    ShardError,
    count_bytes,
    count_rows,
    naming_damage,
    read_provenance,
    read_shard,
    write_shard,
)


@pytest.mark.parametrize('error', [AssertionError(), ValueError('a\nb')])
def test_any_error_of_a_decoder_is_named(error):
    with pytest.raises(ShardError, match='^damaged: .'), naming_damage():
        raise error


def test_lack_of_memory_is_no_damage():
    with pytest.raises(MemoryError, match='of one'), naming_damage():
        raise MemoryError('of one')


def test_boxes_of_views_are_counted_apart(tmp_path):
    num = 1000
    # Noise, which cannot be made much smaller.
    noise = np.random.default_rng(0).random((num, 4), np.float32)
    row = stored_row('a')
    kept = dict(
        row,
        view_bboxes_xyxy=noise.tolist(),
        view_scores=noise[:, 0],
        view_labels=[0] * num,
        view_counts=[num],
        view_run_index=[0],
    )
    sizes = []
    for name, one in (('plain', row), ('kept', kept)):
        file = tmp_path / f'{name}.parquet'
        write_shard(file, [one], {})
        total, of_views = count_bytes(file)
        assert total == file.stat().st_size
        sizes.append(of_views)

    assert sizes[0] == 0
    assert 5 * 4 * num < sizes[1] < 8 * 4 * num


def test_damage_anywhere_is_an_error_or_changes_nothing(tmp_path):
    file = tmp_path / 'a.parquet'
    boxes = [([n, n, n + 5, n + 9], 0.5 + n / 10, n % 2) for n in range(4)]
    rows = [stored_row(f'{n}', *boxes[n:]) for n in range(4)]
    write_shard(file, [*rows, stored_row('x', unreadable='broken')], {})
    whole, (table, made) = file.read_bytes(), read_shard(file)
    chance, outcomes = random.Random(0), set()

    for _ in range(150):
        content = bytearray(whole)
        # Half of them in the footer, which has no checksum.
        place = chance.choice([len(whole), 1500])
        at = len(whole) - 1 - chance.randrange(place)
        content[at : at + 4] = chance.randbytes(chance.choice([1, 4, 9]))
        file.write_bytes(content)
        for read, expected in (
            (read_shard, (table, made)),
            (count_rows, (5, 1)),
            (read_provenance, made),
        ):
            try:
                outcomes.add(read(file) == expected or read)
            except ShardError:
                outcomes.add(ShardError)

    # The provenance is text in the footer; any may be what it was.
    assert outcomes <= {True, ShardError, read_provenance}
    assert outcomes >= {True, ShardError}


def test_file_of_equal_rows_does_not_fill_the_memory(tmp_path):
    file = tmp_path / 'a.parquet'
    num = 1_000_000
    row = pa.Table.from_pylist([stored_row('a')], SCHEMA)
    table = row.take(pa.array(np.zeros(num, int)))
    pq.write_table(table.replace_schema_metadata({PROVENANCE: b'{}'}), file)

    assert file.stat().st_size < num / 10
    for read in (read_shard, count_rows):
        with pytest.raises(ShardError, match='1,000,000 images in'):
            read(file)
