"""What of a test pipeline views can have, and what they cannot."""

import pytest

from projects.data_distillation.base_configs.view_support import (
    find_unmade,
    find_unmovable,
)

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackDetInputs')
ANNOTATIONS = dict(type='LoadAnnotations', with_bbox=True)
RESIZE = dict(type='mmdet.Resize', scale=(100, 80), keep_ratio=True)
PAD = dict(type='Pad', size_divisor=32)
NORMALIZE = dict(type='mmcv.Normalize', mean=[0], std=[1])


@pytest.mark.parametrize(
    ('steps', 'unmade', 'unmovable'),
    [
        ([RESIZE, ANNOTATIONS], [], []),
        ([RESIZE, dict(type='RandomFlip', prob=0.0), PAD], [], []),
        ([RESIZE, NORMALIZE, PAD], ['Normalize'], []),
        ([dict(type='Color'), RESIZE], ['Color'], []),
        ([RESIZE, dict(type='own.Sharpen')], ['Sharpen'], ['Sharpen']),
        (
            [RESIZE, dict(type='RandomFlip', prob=1.0)],
            ['RandomFlip'],
            ['RandomFlip'],
        ),
        ([PAD, RESIZE], ['Pad'], ['Pad']),
        ([RESIZE, dict(RESIZE)], ['Resize'], ['Resize']),
        ([RESIZE, PAD, PAD], ['Pad'], ['Pad']),
        (
            [RESIZE, dict(type='RandomApply', transforms=[NORMALIZE])],
            ['RandomApply'],
            ['RandomApply'],
        ),
        ([dict(RESIZE, interpolation='nearest')], ['Resize'], []),
        ([dict(RESIZE, backend='pillow')], ['Resize'], []),
    ],
)
def test_transforms_that_no_view_has(steps, unmade, unmovable):
    pipeline = [LOAD, *steps, PACK]

    found = [step['type'].split('.')[-1] for step in find_unmade(pipeline)]
    assert found == unmade
    assert find_unmovable(pipeline) == unmovable


@pytest.mark.parametrize(
    ('load', 'is_plain'),
    [
        (dict(to_float32=True, backend_args=None, color_type='color'), True),
        (dict(imdecode_backend='cv2'), True),
        (dict(imdecode_backend='tifffile'), False),
        (dict(color_type='grayscale'), False),
        (dict(color_type='color_ignore_orientation'), False),
        (dict(type='LoadMultiChannelImageFromFiles'), False),
    ],
)
def test_images_that_are_loaded_otherwise(load, is_plain):
    pipeline = [{**LOAD, **load}, RESIZE, PACK]

    assert find_unmade(pipeline) == ([] if is_plain else pipeline[:1])
    assert find_unmovable(pipeline) == []
    assert find_unmade([]) == []
