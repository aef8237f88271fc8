"""The runs of compressed masks, as pycocotools writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from projects.data_distillation.label_files.segmentations.facts import (
    count_pixels,
    read_counts,
)

RUNS = st.lists(st.integers(0, 10**5), min_size=1, max_size=12)


@given(RUNS)
def test_runs_are_read_as_pycocotools_has_written_them(runs):
    size = [1, sum(runs)]
    rle = coco_mask.frPyObjects(dict(size=size, counts=runs), *size)

    assert list(read_counts(rle['counts'].decode())) == runs
    assert count_pixels(rle) == sum(runs)


@pytest.mark.parametrize(
    ('text', 'runs'),
    [
        ('', []),
        ('3', [3]),
        ('3/', [3, -1]),  # No character of a mask.
        ('3P', [3, -1]),  # Ends within a number.
        ('O', [-1]),  # A negative number.
        ('P' * 9, [-1]),  # A number that no mask has.
    ],
)
def test_broken_text_ends_with_no_length(text, runs):
    assert list(read_counts(text)) == runs
