"""Resizing: OpenCV's pixels on every device."""

import cv2
import numpy as np
import pytest
import torch

from projects.data_distillation.multi_view.views.resizing import (
    resize_image,
    resize_in_fixed_point,
)

SIZES_HW = [
    ((77, 101), (50, 66)),
    ((77, 101), (154, 202)),
    ((480, 640), (240, 320)),
    ((480, 640), (400, 533)),
    ((33, 47), (100, 100)),
    ((1, 1000), (1, 100)),
    ((128, 128), (96, 96)),
    ((5, 3), (1, 1)),
    ((1, 1), (7, 9)),
]


@pytest.mark.parametrize('resizes', [resize_image, resize_in_fixed_point])
@pytest.mark.parametrize(('old_hw', 'new_hw'), SIZES_HW)
def test_pixels_are_those_of_opencv(resizes, old_hw, new_hw):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (*old_hw, 3), np.uint8)

    resized = resizes(torch.from_numpy(pixels).permute(2, 0, 1), new_hw)

    expected = cv2.resize(pixels, new_hw[::-1]).reshape(*new_hw, 3)
    assert resized.dtype == torch.uint8
    np.testing.assert_array_equal(resized.permute(1, 2, 0).numpy(), expected)


def test_image_of_that_size_is_not_copied():
    image = torch.zeros(3, 4, 5, dtype=torch.uint8)

    assert resize_image(image, (4, 5)) is image
