"""Columns of detections, and which row of an image counts."""

import itertools

import pyarrow as pa
import pytest
from builders import stored_row

from projects.data_distillation.pseudo_labels.detections.columns import (
    choose_rows,
    collect_stored_masks,
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
