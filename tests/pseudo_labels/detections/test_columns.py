"""Columns of detections, and which row of an image counts."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from builders import stored_row

from projects.data_distillation.pseudo_labels.detections.columns import (
    choose_rows,
    collect_stored,
    collect_stored_masks,
    flatten_table,
    keep_listed,
    keep_readable,
)
from projects.data_distillation.pseudo_labels.detections.shards import (
    MASK_SCHEMA,
    SCHEMA,
)

ROWS = [
    stored_row('a', unreadable='damaged'),
    stored_row('a', ([1, 1, 5, 5], 0.9, 0)),
    stored_row('b', unreadable='damaged'),
]


@pytest.mark.parametrize('order', itertools.permutations(range(3)))
def test_row_that_was_read_counts_wherever_it_is(order):
    table = pa.Table.from_pylist([ROWS[n] for n in order], SCHEMA)

    chosen = table.take(choose_rows(table))

    found = zip(*(chosen[k].to_pylist() for k in ('file_name', 'unreadable')))
    assert sorted(found, key=str) == [('a', None), ('b', 'damaged')]


def test_images_that_were_not_read_are_left_out():
    rows = [stored_row('c'), *ROWS]

    table = keep_readable(pa.Table.from_pylist(rows, SCHEMA))

    assert table['file_name'].to_pylist() == ['c', 'a']


def test_each_mask_has_the_size_of_its_image():
    box = ([1, 1, 5, 5], 0.9, 0)
    found = dict(mask_areas=[1, 1], mask_agreement=[1.0, 1.0])
    rows = [
        stored_row(
            'a', box, box, width=7, height=5, masks=[b'12', b'3'], **found
        ),
        stored_row('b', masks=[], mask_areas=[], mask_agreement=[]),
        stored_row(
            'c', box, box, width=4, height=9, masks=[b'', b'4'], **found
        ),
    ]

    masks = collect_stored_masks(pa.Table.from_pylist(rows, MASK_SCHEMA))

    assert masks.tolist() == [
        dict(size=[5, 7], counts=b'12'),
        dict(size=[5, 7], counts=b'3'),
        dict(size=[9, 4], counts=b''),
        dict(size=[9, 4], counts=b'4'),
    ]


def test_stored_boxes_are_those_of_coco_files():
    rows = [
        stored_row('a', ([1, 2, 5, 8], 0.9, 1), ([-4, 0, 6, 999], 0.5, 0)),
        stored_row('b'),
        stored_row('c', ([1.126, 2, 5, 8], 0.75, 1)),
    ]
    table = pa.Table.from_pylist(rows, SCHEMA)

    found = collect_stored(table, np.array([7, 8, 3]))

    assert found.image_index.tolist() == [7, 7, 3]
    assert found.labels.tolist() == [1, 0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.75])
    assert found.bbox_xywh.tolist() == [
        [1, 2, 4, 6], [0, 0, 6, 100], [1.13, 2, 3.87, 6]
    ]  # fmt: skip
    assert found.masks is None
    assert flatten_table(table).has_mask.tolist() == [True] * 3


def test_detection_has_a_mask_if_it_has_pixels():
    box = ([1, 1, 5, 5], 0.9, 0)
    masks = dict(masks=[b'12', b''], mask_areas=[3, 0])
    one = stored_row('a', box, box, **masks, mask_agreement=[1.0, 0.0])

    table = pa.Table.from_pylist([one], MASK_SCHEMA)

    assert flatten_table(table).has_mask.tolist() == [True, False]


def test_images_that_left_their_file_are_left_out():
    table = pa.table(dict(file_name=['a', 'b', 'c']))

    for listed, left in ((['c', 'a', 'd'], ['a', 'c']), (['d'], [*'abc'])):
        coco = dict(images=[dict(file_name=name) for name in listed])
        assert keep_listed(table, coco)['file_name'].to_pylist() == left
