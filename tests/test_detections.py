"""The detection store: whole shards, one order, one provenance."""

import pytest

from projects.data_distillation import DetectionStore


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

    assert writer.file_names() == {'a', 'b'}
    writer.flush()
    writer.flush()
    assert writer.file_names() == {'a', 'b', 'c'}
    assert len(list(tmp_path.iterdir())) == 2


def test_images_of_a_batch_are_in_one_shard(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'), row('b'), row('c'))
    writer.add(row('d'))

    assert writer.file_names() == {'a', 'b', 'c'}


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


def test_image_that_was_read_at_the_second_try_counts_as_read(tmp_path):
    for reason in ('broken', None, 'broken'):
        writer = store(tmp_path)
        writer.add(dict(row('a'), unreadable=reason))
        writer.add(dict(row('b'), unreadable='broken'))

    assert writer.file_names() == {'a', 'b'}
    assert writer.file_names(only_readable=True) == {'a'}
    assert writer.read()['unreadable'].to_pylist() == [None, 'broken']


def test_only_the_wanted_images_are_read(tmp_path):
    writer = store(tmp_path)
    writer.add(row('a'))
    writer.add(row('b'))

    table = writer.read({'b', 'never seen'})

    assert table['file_name'].to_pylist() == ['b']


def test_empty_store_is_an_empty_table(tmp_path):
    assert store(tmp_path / 'absent').read().num_rows == 0
    assert store(tmp_path / 'absent').file_names() == set()


def test_half_written_file_is_not_a_shard(tmp_path):
    (tmp_path / '.half.parquet').write_bytes(b'half')

    assert store(tmp_path).file_names() == set()


def test_other_provenance_is_refused_but_not_another_place(tmp_path):
    writer = store(tmp_path, checkpoint='a.pth')
    writer.add(row('a'))
    writer.flush()

    assert store(tmp_path, checkpoint='b.pth').file_names() == {'a'}
    with pytest.raises(ValueError, match=r"differs in \['views'\]"):
        store(tmp_path, views=2, checkpoint='a.pth')
    assert DetectionStore(tmp_path).provenance['checkpoint'] == 'a.pth'
