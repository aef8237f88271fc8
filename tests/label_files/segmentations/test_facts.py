"""The runs of compressed masks, as pycocotools writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from projects.data_distillation.label_files.segmentations.facts import (
    Facts,
    count_pixels,
    read_counts,
)

TRIANGLE = [0, 0, 4, 0, 0, 3.5]
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


@pytest.mark.parametrize(
    ('polygons', 'facts'),
    [
        ([[1, 2, 3, 4]], Facts('short', '2')),
        ([[1, 2], TRIANGLE], Facts('short', '1', is_fixable=True)),
        (TRIANGLE, Facts('not nested', is_fixable=True)),
        ([TRIANGLE[:-1], [1, 2]], Facts('odd', '5')),
        ([[5, 1, 5, 9, 5, 7]], Facts('empty')),
        ([[]], Facts('empty')),
        # On a line, and between the centers of pixels.
        ([[10.0, 5, 20, 10, 30, 15]], Facts('empty')),
        ([[10.0, 5, 30, 15, 30, 15.01]], Facts('empty')),
        ([[-10.0, 5, -30, 15, -30, 15.01]], Facts('empty')),
        ([TRIANGLE, [10.0, 5, 20, 5, 30, 5]], Facts(bounds=(0, 0, 30, 5))),
        ([[0.0, 1, 9, 1, 9, 1.5, 0, 1.5]], Facts(bounds=(0, 1, 9, 1.5))),
        ([[-9.0, 5, -1, 5, -1, 5.5]], Facts(bounds=(-9, 5, -1, 5.5))),
        ([TRIANGLE, []], Facts('short', '0', is_fixable=True)),
        ([TRIANGLE], Facts(bounds=(0, 0, 4, 3.5))),
        ([[0, 0, 4, 0, 0, 3]], Facts(bounds=(0, 0, 4, 3), is_whole=True)),
        ('a', Facts('wrong', 'is str')),
    ],
)
def test_first_fault_of_polygons_is_named(polygons, facts):
    assert Facts.of(polygons) == facts
