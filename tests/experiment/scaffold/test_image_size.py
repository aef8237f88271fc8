"""Sizes in the config of a detector, for images of another size."""

import pytest

from projects.data_distillation.experiment.scaffold.image_size import (
    resize_transform,
)


@pytest.mark.parametrize('factor', [0.3, 0.5, 0.8, 1.7])
@pytest.mark.parametrize('size', [96, 224, 352, 640])
def test_a_border_is_half_an_image_afterwards_too(size, factor):
    mosaic = dict(type='Mosaic', img_scale=(size, size))
    crop = dict(type='RandomAffine', border=(-size // 2, -size // 2))

    height, width = resize_transform(mosaic, factor)['img_scale']

    assert height == width == round(size * factor / 32) * 32
    border = resize_transform(crop, factor)['border']
    assert border == (-height // 2, -width // 2)


@pytest.mark.parametrize('zoom', [(0.8, 1.2), (0.5, 2.0), 1.5])
def test_factors_are_no_sizes(zoom):
    assert resize_transform(dict(type='A', scale=zoom), 0.5)['scale'] == zoom
