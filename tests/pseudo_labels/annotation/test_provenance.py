"""What the provenance of detections says about their configs."""

import pytest

from projects.data_distillation.pseudo_labels.annotation.provenance import (
    find_names,
    reads_only_polygons,
)

POLYGONS = dict(type='LoadAnnotations', with_mask=True, poly2mask=False)
RESIZE = dict(type='Resize')


@pytest.mark.parametrize(
    'part',
    [
        dict(dataset=dict(pipeline=[RESIZE, POLYGONS])),
        dict(dataset=dict(datasets=[{}, dict(pipeline=(POLYGONS,))])),
    ],
)
def test_transform_that_reads_only_polygons_is_found(part):
    assert reads_only_polygons(part) is True


@pytest.mark.parametrize(
    'part',
    [
        None,
        [],
        'poly2mask',
        dict(pipeline=[RESIZE, dict(POLYGONS, poly2mask=True)]),
        dict(pipeline=[dict(POLYGONS, with_mask=False)]),
        dict(pipeline=[dict(type='LoadAnnotations', with_mask=True)]),
    ],
)
def test_no_other_transform_is_taken_for_one(part):
    assert reads_only_polygons(part) is False


def test_names_are_those_that_the_teacher_says():
    names = dict(classes=['cat'], class_map=dict(cat='pet'))
    assert find_names(names) == dict(class_names=[['cat'], dict(cat='pet')])
    assert find_names(dict(classes=['cat'])) == dict(
        class_names=[['cat'], None]
    )
    assert find_names(dict(model='faster')) == {}
