"""The detection store: whole shards, one order, one provenance."""

import logging
import os
import re
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mmengine.logging import MMLogger

from projects.data_distillation import DetectionStore
from projects.data_distillation.pseudo_labels.detections import columns
from projects.data_distillation.pseudo_labels.detections.columns import (
    flatten_table,
)
from projects.data_distillation.pseudo_labels.detections.shards import (
    SCHEMA,
    write_shard,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)


def row(name: str, image_id: int | None = None, num: int = 2) -> dict:
    return dict(
        file_name=name,
        image_id=image_id,
        width=40,
        height=30,
        unreadable=None,
        bboxes_xyxy=[[1.0, 2.0, 3.0, 4.5]] * num,
        scores=[0.5] * num,
        labels=[1] * num,
        num_views=[3] * num,
        corner_spread=[0.25] * num,
    )


def store(folder, views=1, **changes) -> DetectionStore:
    return DetectionStore(folder, dict(views=views, **changes), 2)


def test_rows_come_back_in_the_order_of_their_ids(tmp_path):
    rows = [row('c', 3), row('a', 10, num=0), row('b', 1), row('d', 2)]
    for one in rows:
        writer = store(tmp_path)
        writer.add(one)
        writer.flush()

    table = store(tmp_path).read()

    assert table.to_pylist() == [rows[2], rows[3], rows[0], rows[1]]


def test_rows_without_ids_come_back_by_name(tmp_path):
    writer = store(tmp_path)
    for name in 'cab':
        writer.add(row(name))
    writer.flush()

    assert store(tmp_path).read()['file_name'].to_pylist() == ['a', 'b', 'c']


def test_only_full_shards_are_written_before_flush(tmp_path):
    writer = store(tmp_path)
    for name in 'abc':
        writer.add(row(name))

    assert writer.list_images().keys() == {'a', 'b'}
    writer.flush()
    writer.flush()
    assert writer.list_images().keys() == {'a', 'b', 'c'}
    assert len(list(tmp_path.iterdir())) == 2


def test_images_of_a_batch_are_in_one_shard(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'), row('b'), row('c'))
    writer.add(row('d'))

    assert writer.list_images().keys() == {'a', 'b', 'c'}


def test_a_shard_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / 'file').write_text('not a folder')
    writer = store(tmp_path / 'file')
    for name in 'ab':
        writer.add(row(name))

    with pytest.raises(OSError, match='file'):
        writer.flush()


def test_image_in_two_shards_is_read_once(tmp_path):
    for _ in range(2):
        writer = store(tmp_path)
        writer.add(row('a'))
        writer.flush()

    assert store(tmp_path).read().num_rows == 1


def test_rows_are_counted_from_whole_shards(tmp_path):
    writer = store(tmp_path)
    for names in ('ab', 'ac'):
        writer.add(*map(row, names))
    writer.flush()
    (tmp_path / 'half.parquet').write_bytes(b'PAR1')

    assert store(tmp_path).count_rows() == 4
    assert len(store(tmp_path).list_images()) == 3


def test_image_that_was_read_at_the_second_try_counts_as_read(tmp_path):
    for reason in ('broken', None, 'broken'):
        writer = store(tmp_path)
        writer.add(dict(row('a'), unreadable=reason))
        writer.add(dict(row('b'), unreadable='broken'))
        writer.flush()

    assert writer.list_images() == dict(a=True, b=False)
    assert writer.read()['unreadable'].to_pylist() == [None, 'broken']


def test_only_the_wanted_images_are_read(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'))
    writer.add(row('b'))

    table = writer.read(dict(b=None))

    assert table['file_name'].to_pylist() == ['b']
    with pytest.raises(StoreError, match='1 of 2 images are not in .*again'):
        writer.read({'b': None, 'never seen': None})


def test_empty_store_is_an_empty_table(tmp_path):
    assert store(tmp_path / 'absent').read().num_rows == 0
    assert store(tmp_path / 'absent').list_images() == {}


def test_half_written_file_is_not_a_shard(tmp_path):
    (tmp_path / '.half.parquet').write_bytes(b'half')

    assert store(tmp_path).list_images() == {}


def test_other_provenance_is_refused_but_not_another_place(tmp_path):
    writer = store(tmp_path, checkpoint='a.pth')
    writer.add(row('a'))
    writer.flush()

    assert store(tmp_path, checkpoint='b.pth').list_images().keys() == {'a'}
    with pytest.raises(ValueError, match=r"differs in \['views'\]"):
        store(tmp_path, views=2, checkpoint='a.pth')
    assert DetectionStore(tmp_path).provenance['checkpoint'] == 'a.pth'


def test_store_without_a_provenance_is_not_written_to(tmp_path):
    writer = DetectionStore(tmp_path)
    writer.add(row('a'))

    with pytest.raises(StoreError, match='must be given a provenance'):
        writer.flush()

    assert list(tmp_path.iterdir()) == []


def test_ids_of_today_replace_those_of_the_store(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a', 1), row('b', 2), row('c', 3))

    table = writer.read(dict(c=5, a=7))

    columns = table.select(['file_name', 'image_id']).to_pydict()
    assert columns == dict(file_name=['c', 'a'], image_id=[5, 7])
    assert writer.read(dict(a=None))['image_id'].to_pylist() == [None]


def test_a_shard_is_written_when_it_took_long(tmp_path):
    writer = DetectionStore(tmp_path, {}, 100, seconds_per_shard=0)
    writer.add(row('a'))

    assert writer.list_images() == dict(a=True)


@pytest.mark.slow
def test_seconds_are_counted_from_the_last_shard(tmp_path):
    writer = DetectionStore(tmp_path, {}, 100, seconds_per_shard=0.5)
    time.sleep(0.5)
    writer.add(row('a'))
    writer.add(row('b'))

    assert writer.list_images() == dict(a=True)


def test_the_next_shard_says_that_the_last_one_was_not_written(tmp_path):
    (tmp_path / 'file').write_text('not a folder')
    writer = store(tmp_path / 'file')
    writer.add(row('a'), row('b'))

    with pytest.raises(OSError, match='of 2 images cannot be written'):
        writer.add(row('c'), row('d'))


def test_what_could_not_be_written_has_an_advice(tmp_path):
    (tmp_path / 'file').write_text('not a folder')
    writer = store(tmp_path / 'file')
    writer.add(row('a'))

    with pytest.raises(OSError, match='of 1 images cannot be .*run the same'):
        writer.flush()


def test_boxes_of_several_parts_are_clipped_to_their_images(monkeypatch):
    monkeypatch.setattr(columns, 'BOXES_AT_ONCE', 3)
    rows = [dict(row('a'), width=2), row('b')]

    found = flatten_table(pa.Table.from_pylist(rows, SCHEMA))

    assert found.bbox_xywh.tolist() == [
        *[[1.0, 2.0, 1.0, 2.5]] * 2,
        *[[1.0, 2.0, 2.0, 2.5]] * 2,
    ]


# --- the boxes of each view ------------------------------------------------


def view_row(name: str) -> dict:
    """A row with the boxes of one view."""
    return dict(
        row(name),
        view_bboxes_xyxy=[[1.0, 2.0, 3.0, 4.5]],
        view_scores=[0.5],
        view_labels=[1],
        view_counts=[1],
        view_run_index=[0],
    )


def test_boxes_of_views_are_read_when_they_are_written(tmp_path):
    writer = store(tmp_path)
    writer.add(view_row('a'), view_row('b'))

    (table,) = writer.iter_views()

    assert table.to_pylist() == [view_row('a'), view_row('b')]


def test_empty_store_has_no_boxes_of_views(tmp_path):
    with pytest.raises(StoreError, match='no detections'):
        list(store(tmp_path).iter_views())


def test_boxes_of_other_views_that_came_later_are_refused(tmp_path):
    writer = store(tmp_path)
    write_shard(tmp_path / 'late.parquet', [view_row('a')], dict(views=2))

    with pytest.raises(StoreError, match=r"late.parquet differs in \['views"):
        list(writer.iter_views())


# --- files that are no whole shards ----------------------------------------


def torn(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def without_end(whole: bytes) -> bytes:
    return whole[:-1]


def damaged(whole: bytes) -> bytes:
    # A bit of a page, which only its checksum shows.
    at = whole.index(b'in the name')
    return whole[:at] + b'I' + whole[at + 1 :]


def zeros(whole: bytes) -> bytes:
    return bytes(len(whole))


def foreign(whole: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(file_name=['a'])), sink)
    return sink.getvalue().to_pybytes()


def without_provenance(whole: bytes) -> bytes:
    table = pq.read_table(pa.BufferReader(whole))
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink)
    return sink.getvalue().to_pybytes()


SPOILT = [
    (torn, 'damaged: '),
    (without_end, 'damaged: '),
    (damaged, 'CRC checksum verification failed'),
    (zeros, 'damaged: '),
    (lambda whole: b'', 'damaged: .* 0 bytes'),
    (lambda whole: b'no Parquet at all', 'damaged: '),
    (foreign, 'other columns'),
    (without_provenance, 'does not say how'),
]


@pytest.mark.parametrize(('spoil', 'reason'), SPOILT)
def test_what_is_no_whole_shard_is_named_and_left_out(
    tmp_path, caplog, spoil, reason
):
    for name in ('whole', 'in the name'):
        writer = store(tmp_path)
        writer.add(row(name))
        writer.flush()
    (shard,) = writer.written
    whole = shard.read_bytes()
    shard.write_bytes(spoil(whole))
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)

    with caplog.at_level(logging.WARNING):
        reader = store(tmp_path)
        images = reader.list_images()
        with pytest.raises(StoreError, match='may be missing: 1 files in'):
            reader.read()
    logger.removeHandler(caplog.handler)

    assert images == dict(whole=True)
    # The images that are there can be had by name.
    table = reader.read(dict(whole=None))
    assert table['file_name'].to_pylist() == ['whole']
    # Once, although it was met three times.
    (record,) = caplog.records
    assert record.getMessage().startswith(f'{shard} is left out')
    assert re.search(reason, record.getMessage())
    # Others would wait for ever, once a call of this one to MMEngine's manager
    # of loggers has failed.
    assert record.thread == threading.get_ident()
    # Nothing is deleted: it may be mended, or somebody else's.
    assert shard.read_bytes() == spoil(whole)


def test_shard_of_another_teacher_that_came_later_is_refused(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'), row('b'))
    other = store(tmp_path / 'other', views=2)
    other.add(row('c'))
    other.flush()
    (shard,) = other.written
    os.link(shard, tmp_path / 'late.parquet')

    with pytest.raises(ValueError, match=r"late.parquet differs in \['views"):
        writer.list_images()
    with pytest.raises(ValueError, match=r"late.parquet differs in \['views"):
        writer.read()


def test_old_shard_without_checksums_is_read(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'))
    writer.flush()
    (shard,) = writer.written
    table = pq.read_table(shard)
    pq.write_table(table, shard, write_page_checksum=False)

    assert store(tmp_path).list_images() == dict(a=True)


# --- masks -------------------------------------------------------------------


def mask_row(name: str, num: int = 2) -> dict:
    # An RLE is any bytes here, also such as are no UTF-8.
    return dict(
        row(name, num=num),
        masks=[b'0P\\\xff'] * num,
        mask_areas=[7] * num,
        mask_agreement=[0.5] * num,
    )


@pytest.mark.parametrize('with_views', [False, True])
def test_masks_are_read_when_they_are_written(tmp_path, with_views):
    writer = store(tmp_path)
    rows = [mask_row('a'), mask_row('b', num=0), mask_row('c', num=1)]
    views = view_row('x') if with_views else {}
    of_views = {k: v for k, v in views.items() if k.startswith('view_')}
    for one in rows:
        writer.add(one | of_views)
    writer.flush()

    table = writer.read()

    assert table.to_pylist() == rows
    assert writer.list_images().keys() == {'a', 'b', 'c'}
    found = flatten_table(table)
    assert found.masks.to_pylist() == [b'0P\\\xff'] * 3
    chosen = found[found.image_index == 2]
    assert len(chosen.masks) == len(chosen.mask_agreement) == 1
    assert found[1:].mask_areas.tolist() == [7, 7]
    if with_views:
        tables = list(writer.iter_views())
        assert sum(len(one) for one in tables) == 3


def test_store_without_masks_has_none(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'), row('b'))

    found = flatten_table(writer.read())

    assert found.masks is found.mask_areas is found.mask_agreement is None
    assert found.has_mask.tolist() == [True] * 4


def test_tuples_of_a_provenance_are_no_difference(tmp_path):
    made_by = dict(views=[[dict(type='Resize', scale=(40, 30))]])
    first = DetectionStore(tmp_path, made_by)
    first.add(row('a'))
    first.flush()

    again = DetectionStore(tmp_path, made_by)

    assert again.list_images() == {'a': True}
    assert again.provenance == first.provenance
    assert again.provenance['views'][0][0]['scale'] == [40, 30]


def test_store_without_boxes_of_views_has_none_to_merge(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'))
    writer.flush()

    with pytest.raises(StoreError, match='cannot be used: .* keep_views'):
        next(store(tmp_path).iter_views())


def test_bytes_of_whole_shards_are_counted(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'))
    writer.flush()
    (shard,) = writer.list_shards()
    (tmp_path / 'broken.parquet').write_bytes(b'PAR1')
    found = store(tmp_path)
    found.list_images()

    assert found.count_bytes() == (shard.stat().st_size, 0)


def test_only_detections_of_the_same_teacher_judge_others(tmp_path):
    made_by = dict(views=[], merger=dict(type='NMSMerger'), image_folder='a')
    with pytest.raises(StoreError, match=r'validate.py first, see docs'):
        DetectionStore(tmp_path).check_same_teacher(made_by)
    judge = DetectionStore(tmp_path, made_by)

    judge.check_same_teacher(dict(made_by, image_folder='b'))
    with pytest.raises(StoreError, match=r"differs in \['views'\]\. Run"):
        judge.check_same_teacher(dict(made_by, views=[[]]))
    for key in ('class_names', 'data_preprocessor'):
        with pytest.raises(StoreError, match=key):
            judge.check_same_teacher({**made_by, key: 'other'})
