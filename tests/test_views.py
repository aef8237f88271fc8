"""Views: sizes, pixels and the way back."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.image import imrescale

from projects.data_distillation import View
from projects.data_distillation.views import resize

IMAGE = np.random.default_rng(0).integers(0, 256, (77, 101, 3), np.uint8)


@pytest.mark.parametrize('scale', [(200, 50), (50, 200), (101, 77), (99, 300)])
def test_size_is_that_of_mmcv(scale):
    expected = imrescale(IMAGE, tuple(scale)).shape[:2]

    assert View(scale=scale).size_hw((77, 101)) == expected


@pytest.mark.parametrize('size_hw', [(50, 66), (154, 202), (77, 101)])
def test_resizing_is_within_one_gray_level_of_opencv(size_hw):
    image = torch.from_numpy(IMAGE).permute(2, 0, 1)

    resized = resize(image, size_hw).permute(1, 2, 0).numpy()

    expected = cv2.resize(IMAGE, size_hw[::-1])
    difference = np.abs(resized.astype(int) - expected)
    assert resized.dtype == np.uint8
    assert difference.max() <= 1


@pytest.mark.parametrize('size_hw', [(96, 96), (112, 112), (160, 160)])
def test_resizing_does_not_depend_on_the_number_of_threads(size_hw):
    random = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 128, 128), generator=random).byte()
    num_threads = torch.get_num_threads()
    resized = []
    for n in (1, 2):
        torch.set_num_threads(n)
        resized.append(resize(image, size_hw))
    torch.set_num_threads(num_threads)

    assert torch.equal(*resized)


def test_resizing_rounds_half_up():
    image = torch.tensor([[0, 1], [254, 255]]).byte().repeat(3, 1, 1)

    resized = resize(image, (2, 1))

    assert resized[0].tolist() == [[1], [255]]


@pytest.mark.parametrize('flip', [None, 'horizontal'])
def test_inverse_undoes_the_flip_of_a_drawn_box(flip):
    image = torch.zeros(3, 77, 101, dtype=torch.uint8)
    image[:, 10:20, 5:36] = 255
    view = View(scale=(101, 77), flip=flip)

    ys, xs = torch.nonzero(view.apply(image)[0], as_tuple=True)
    seen = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    (original,) = view.invert(seen[None].float(), (77, 101)).tolist()

    assert original == [5, 10, 36, 20]


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (dict(scale=(100, 50), flip='sideways'), "flip must .*'sideways'"),
        (dict(scale=(100, 0)), r'positive, got \(100, 0\)'),
        (dict(scale=(100,)), r'scale=\(longest side, shortest side\)'),
    ],
)
def test_bad_view_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        View(**arguments)


def test_tiny_image_keeps_a_pixel():
    assert View(scale=(100, 50)).size_hw((1, 1000)) == (1, 100)
