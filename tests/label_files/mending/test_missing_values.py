"""Missing boxes, numbers in quotes, and categories of another file."""

import pytest

from projects.data_distillation.label_files.coco.tables import CocoFile
from projects.data_distillation.label_files.mending.categories import (
    take_categories,
)
from projects.data_distillation.label_files.mending.choices import Choices
from projects.data_distillation.label_files.mending.missing_boxes import (
    bound_segmentation,
    fill_bboxes,
)
from projects.data_distillation.label_files.mending.quoted_numbers import (
    mend_quotes,
)

TRIANGLE = [10, 20, 30, 20, 10, 50.5]
# 2 x 3 pixels, of which the last column is set.
COLUMN = dict(size=[2, 3], counts=[4, 2])


def file_of(*annotations: dict, categories=(), images=()) -> CocoFile:
    content = dict(
        images=list(images),
        annotations=list(annotations),
        categories=list(categories),
    )
    return CocoFile.of('a.json', content)


@pytest.mark.parametrize(
    ('segmentation', 'bbox_xywh'),
    [
        ([TRIANGLE], [10, 20, 20, 30.5]),
        (TRIANGLE, [10, 20, 20, 30.5]),
        ([TRIANGLE, [0, 25, 1, 26, 2, 25]], [0, 20, 30, 30.5]),
        (COLUMN, [2, 0, 1, 2]),
        ([], None),
        ([TRIANGLE[:-1]], None),
        ([[5, 5, 5, 9, 5, 7]], None),  # Without a width.
        (dict(COLUMN, counts=[6]), None),
        (dict(COLUMN, counts=[9]), None),
        ('a', None),
    ],
)
def test_box_is_around_polygons_and_masks(segmentation, bbox_xywh):
    assert bound_segmentation(segmentation) == bbox_xywh


def test_boxes_are_written_only_where_they_are_missing():
    there = dict(bbox=[1, 1, 2, 2], segmentation=[TRIANGLE])
    unknown = dict(bbox=[0.0, 0, 0, 0], segmentation=[])
    missing = dict(bbox=None, segmentation=[TRIANGLE])

    content, counts = fill_bboxes(file_of(there, unknown, missing))

    written = dict(missing, bbox=[10, 20, 20, 30.5])
    assert content['annotations'] == [there, unknown, written]
    assert counts == {'boxes written around polygons or masks': 1}


def test_numbers_in_quotes_are_counted():
    image = dict(id=1, width='40', height=30)
    wrong = dict(bbox=['1', 'x', 2, 2], area='two', iscrowd='7')

    content, counts = mend_quotes(
        file_of(dict(bbox=['1', 2, '3', 4], area='12'), wrong, images=[image])
    )

    assert content['images'] == [dict(id=1, width=40, height=30)]
    assert content['annotations'] == [dict(bbox=[1, 2, 3, 4], area=12), wrong]
    assert +counts == {'numbers written without quotes': 3}


def test_equal_categories_are_left_as_they_are():
    categories = [
        dict(id=3, name='b', supercategory='x'),
        dict(id=1, name='a'),
    ]
    file = file_of(categories=categories)
    like = file_of(categories=[dict(id=3, name='b'), dict(id=1, name='a')])

    content, counts = take_categories(file, Choices(like=like))

    assert content['categories'] == categories
    assert not counts
