"""How far an annotation is: counted from what is on disk."""

import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import stored_row

from projects.data_distillation.pseudo_labels.annotation.progress import (
    NUM_MEASURED,
    Progress,
    find_nearest_existing,
    measure_size_on_disk,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    DetectionStore,
)

BOX = ([1.0, 2.0, 3.0, 4.0], 0.5, 1)


def write(folder, *names: str, **changes) -> DetectionStore:
    store = DetectionStore(folder, {})
    store.add(*(stored_row(name, BOX, **changes) for name in names))
    store.flush()
    return store


def test_own_images_and_those_of_others_are_counted(tmp_path):
    write(tmp_path, 'done before')
    mine = DetectionStore(tmp_path, {}, images_per_shard=2)
    progress = Progress(mine, 10, 1, 9, 2, known=mine.list_shards())

    batch = [stored_row('a', BOX), stored_row('b', unreadable='torn')]
    mine.add(*batch)
    progress.add(batch)
    mine.flush()
    write(tmp_path, 'c', 'd')
    write(tmp_path, 'e', unreadable='empty')
    (tmp_path / 'torn.parquet').write_bytes(b'torn')
    pq.write_table(pa.table(dict(x=[1])), tmp_path / 'foreign.parquet')

    for _ in range(2):
        line = progress.format_next_line()
        assert line.startswith('6 of 10 images (60%), ')
        assert line.endswith(' left, 2 unreadable')


def test_time_left_is_that_of_all_processes(tmp_path):
    store = DetectionStore(tmp_path, {})
    progress = Progress(
        store, 1000, num_done=900, num_pending=100, num_processes=1, known=[]
    )
    progress._begin -= 60  # A minute ago.

    progress.add([stored_row('a', BOX)] * 4)
    assert '904 of 1,000 images (90%), 0.067 images/s, 0:24:0' in (
        progress.format_next_line()
    )
    write(tmp_path, *'abcdefgh')
    # 12 in a minute: 88 take 7 minutes and 20 seconds.
    assert ', 0.20 images/s, 0:07:2' in progress.format_next_line()


def test_expectation_is_measured_without_the_first_batch(tmp_path):
    store = DetectionStore(tmp_path / 'not there yet', {})
    progress = Progress(
        store, 930, num_done=30, num_pending=100, num_processes=2, known=[]
    )

    progress._last_batch -= 1000
    progress.add([stored_row('first', BOX)])
    for _ in range(NUM_MEASURED):
        assert not progress.is_measured
        progress._last_batch -= 3  # As if the batch had taken 3 s.
        progress.add([stored_row(f'{n}', BOX) for n in range(3)])

    assert progress.is_measured
    # Two processes: 2 images a second.
    assert re.match(
        r'measured on 9 images: 2\.00 images/s with 2 process.es., '
        r'0:00:50 and \d+ MB of detections for 100 images; '
        r'[\d,]+ MB are free in ',
        progress.describe_expectation(),
    )


def test_one_batch_alone_is_measured(tmp_path):
    progress = Progress(DetectionStore(tmp_path, {}), 4, 0, 4, 1, [])
    progress._last_batch -= 2
    progress.add([stored_row('a'), stored_row('b')])

    assert progress.describe_expectation().startswith(
        'measured on 2 images: 1.00 '
    )


def test_batches_with_the_most_views_are_measured(tmp_path):
    progress = Progress(DetectionStore(tmp_path, {}), 4, 0, 4, 1, [])
    for share, seconds in ((1 / 6, 60), (1 / 6, 50), (1, 20), (1 / 6, 50)):
        if share == 1:
            found = progress.describe_expectation()
        progress._last_batch -= seconds
        progress.add([stored_row('a')], share)

    # 50 s for one of six views: 300 s for all.
    assert found.startswith('measured on 1 image (1 of 6 views): 0.0033 ')
    assert progress.describe_expectation().startswith(
        'measured on 1 image: 0.05 '
    )


def test_nothing_to_do_has_no_rate(tmp_path):
    progress = Progress(DetectionStore(tmp_path, {}), 4, 4, 0, 1, [])

    assert progress.describe_expectation() == 'nothing is left to do'
    assert progress.format_next_line().startswith('4 of 4 images (100%)')


def test_images_that_others_did_too_are_not_more_than_all(tmp_path):
    store = DetectionStore(tmp_path, {})
    progress = Progress(store, 2, 0, 2, 1, [])
    progress.add([stored_row('a'), stored_row('b')])
    write(tmp_path, 'a')

    line = progress.format_next_line()

    assert line.startswith('2 of 2 images (100%), ')
    assert ', 0:00:00 left' in line


def test_a_disk_that_is_too_small_is_named(tmp_path):
    progress = Progress(DetectionStore(tmp_path, {}), 1, 0, 10**15, 1, [])
    progress.add([stored_row('a', *[BOX] * 1000)])

    assert progress.describe_expectation().endswith(': NOT ENOUGH')


def test_lines_come_at_intervals(tmp_path):
    progress = Progress(DetectionStore(tmp_path, {}), 4, 0, 4, 1, [])

    assert not progress.is_due
    progress._last_line -= 301
    assert progress.is_due
    progress.format_next_line()
    assert not progress.is_due


def test_size_on_disk_is_that_of_a_shard(tmp_path):
    random = np.random.default_rng(0)
    rows = [
        stored_row(f'{n}', *((box, 0.5, 1) for box in boxes.tolist()))
        for n, boxes in enumerate(random.random((200, 30, 4)))
    ]
    store = DetectionStore(tmp_path, dict(views=1))
    store.add(*rows)
    store.flush()
    (shard,) = store.written

    assert measure_size_on_disk(rows) == pytest.approx(
        shard.stat().st_size, rel=0.1
    )
    # What every shard has once is not counted for each image.
    assert measure_size_on_disk([]) == 0


def test_nearest_folder_that_exists(tmp_path):
    assert find_nearest_existing(tmp_path / 'a' / 'b') == tmp_path
    assert shutil.disk_usage(find_nearest_existing(tmp_path / 'a')).free


def test_no_time_is_left_to_say_before_an_image_counts(tmp_path):
    progress = Progress(
        DetectionStore(tmp_path, {}), 100_000, 0, 100_000, 1, []
    )
    # As in a dry run before a batch with all views.
    progress.add([stored_row('a')], share=1 / 6)

    assert progress.format_next_line() == (
        '0 of 100,000 images (0%), 0 images/s, 0 unreadable'
    )
