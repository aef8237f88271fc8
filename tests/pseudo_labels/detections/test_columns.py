"""Columns of detections, and which row of an image counts."""

import itertools

import pyarrow as pa
import pytest
from builders import stored_row

from projects.data_distillation.pseudo_labels.detections.columns import (
    choose_rows,
)
from projects.data_distillation.pseudo_labels.detections.shards import SCHEMA

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
