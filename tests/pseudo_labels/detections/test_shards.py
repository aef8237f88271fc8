"""A shard says how large it is, and what is wrong with it."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import stored_row

from projects.data_distillation.pseudo_labels.detections.shards import (
    PROVENANCE,
    SCHEMA,
    VIEW_SCHEMA,
    ShardError,
    count_bytes,
    count_rows,
    naming_damage,
    read_index,
    read_provenance,
    read_shard,
    write_shard,
)


def test_shard_tells_of_no_contents_if_none_is_known(tmp_path):
    file = tmp_path / 'shard.parquet'

    write_shard(file, [stored_row('a'), stored_row('b')], {})
    unknown = pq.read_schema(file).metadata
    write_shard(file, [stored_row('a'), stored_row('b', sha256='1')], {})

    assert unknown.keys() == {PROVENANCE}
    contents = read_index(file).contents
    assert [one.digest for one in contents] == [None, '1']


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


LISTS = [name for name in SCHEMA.names[5:] if name != 'bboxes_xyxy']


def replace_column(table: pa.Table, name: str, values: list) -> pa.Table:
    column = table.schema.get_field_index(name)
    return table.set_column(
        column, name, pa.array(values, SCHEMA.field(name).type)
    )


@pytest.mark.parametrize(
    ('name', 'values', 'error'),
    [
        ('file_name', [None, 'b'], '`file_name` is empty'),
        ('width', [None, 5], '`width` is empty'),
        ('height', [5, 0], '`height` is below 1'),
        ('width', [-5, 5], '`width` is below 1'),
        ('labels', [[0, -1], [0, 1]], '`labels` has a number below 0'),
        *(
            (name, values, f'`{name}` {error}')
            for name in LISTS
            for values, error in (
                ([None, [1, 1]], 'lacks a value'),
                ([[1, None], [1, 1]], 'lacks a value'),
                ([[1], [1, 1]], 'has other numbers of values'),
                # As many in all, but not in each row.
                ([[1], [1, 1, 1]], 'has other numbers of values'),
            )
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused(
    tmp_path, name, values, error
):
    """The boxes of one image would get the scores of another."""
    boxes = ([0, 0, 5, 5], 0.9, 0), ([0, 0, 5, 5], 0.8, 1)
    rows = [stored_row(one, *boxes) for one in 'ab']
    good = pa.Table.from_pylist(rows, SCHEMA.with_metadata({PROVENANCE: '{}'}))
    file = tmp_path / 'a.parquet'
    pq.write_table(good, file, compression='zstd', row_group_size=1)
    assert read_shard(file)[0].num_rows == 2
    pq.write_table(replace_column(good, name, values), file)

    with pytest.raises(ShardError, match=f'not written by this .*{error}'):
        read_shard(file)


@pytest.mark.parametrize('masks', [[b'x'], [None, b'x'], None])
def test_masks_and_views_must_fit_too(tmp_path, masks):
    boxes = ([0, 0, 5, 5], 0.9, 0), ([0, 0, 5, 5], 0.8, 1)
    given = dict(mask_areas=[1, 1], mask_agreement=[1.0, 1.0])
    file = tmp_path / 'a.parquet'
    write_shard(file, [stored_row('a', *boxes, masks=masks, **given)], {})
    with pytest.raises(ShardError, match='`masks` '):
        read_shard(file)

    views = dict(
        view_bboxes_xyxy=[[1, 2, 3, 4]],
        view_scores=[0.5, 0.5],
        view_labels=[0],
        view_counts=[1, 0, 0],
        view_run_index=[0],
    )
    write_shard(file, [stored_row('a', *boxes, **views)], {})
    with pytest.raises(ShardError, match='`view_scores` has other numbers'):
        read_shard(file, VIEW_SCHEMA)


@pytest.mark.parametrize(
    'made_by',
    [
        '[]',
        '{"a":' * 100_000,
        '{"classes": 5}',
        '{"classes": [1]}',
        '{"image_folder": []}',
    ],
    ids=['list', 'too deep', 'number', 'numbers', 'no folder'],
)
def test_provenance_of_another_kind_is_refused(tmp_path, made_by):
    schema = SCHEMA.with_metadata({PROVENANCE: made_by})
    file = tmp_path / 'a.parquet'
    pq.write_table(pa.Table.from_pylist([stored_row('a')], schema), file)

    for read in (read_shard, read_provenance, count_rows):
        with pytest.raises(ShardError, match='does not say how'):
            read(file)


def test_shard_without_images_is_refused(tmp_path):
    file = tmp_path / 'a.parquet'
    write_shard(file, [], {})

    with pytest.raises(ShardError, match='it has no images'):
        read_shard(file)


@pytest.mark.slow
def test_file_of_equal_rows_does_not_fill_the_memory(tmp_path):
    file = tmp_path / 'a.parquet'
    num = 1_000_000
    row = pa.Table.from_pylist([stored_row('a')], SCHEMA)
    table = row.take(pa.array(np.zeros(num, int)))
    pq.write_table(table.replace_schema_metadata({PROVENANCE: b'{}'}), file)

    size = file.stat().st_size
    assert size < num / 10
    words = f'1,000,000 images in {size:,} bytes'
    for read in (read_shard, count_rows):
        with pytest.raises(ShardError, match=words):
            read(file)
