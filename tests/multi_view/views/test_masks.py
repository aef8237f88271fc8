"""Patches of masks, against what libraries do with whole images."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch.nn.functional import interpolate

from projects.data_distillation.multi_view.views.masks import (
    MaskPatch,
    cut_masks,
    encode_rle,
    find_extents,
    resize_mask,
)


def random_mask(size_hw, seed, share=0.5):
    """Noise in a random rectangle, which often touches a border."""
    random = np.random.default_rng(seed)
    ends = [np.sort(random.integers(0, n + 1, 2)) for n in size_hw]
    mask = torch.zeros(size_hw, dtype=torch.bool)
    (top, bottom), (left, right) = ends
    noise = random.random((bottom - top, right - left)) < share
    mask[top:bottom, left:right] = torch.from_numpy(noise)
    return mask


def whole(mask, size_hw):
    full = torch.zeros(size_hw)
    height, width = mask.size_hw
    full[mask.top : mask.top + height, mask.left : mask.left + width] = (
        mask.probabilities()
    )
    return full


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8])
def test_patch_has_every_pixel_and_no_empty_border(dtype):
    masks = torch.stack([random_mask((13, 9), seed) for seed in range(40)])
    values = masks * torch.tensor(255) if dtype == torch.uint8 else masks

    patches = cut_masks(values.to(dtype))

    for mask, patch in zip(masks, patches):
        assert torch.equal(whole(patch, (13, 9)), mask.float())
        for edge in (0, -1) if mask.any() else ():
            assert patch.values[edge].any() and patch.values[:, edge].any()
        if not mask.any():
            assert patch.values.numel() == 0
        # The memory of all masks can be freed.
        storage = patch.values.untyped_storage()
        assert storage.nbytes() <= patch.values.numel()


def test_no_mask_has_no_extents():
    assert find_extents(torch.zeros(0, 4, 5)).shape == (0, 4)
    assert cut_masks(torch.zeros(0, 4, 5, dtype=torch.bool)) == []


@pytest.mark.parametrize('size_hw', [(1, 1), (7, 40), (33, 20), (64, 64)])
@pytest.mark.parametrize('new_hw', [(1, 1), (3, 90), (20, 33), (64, 128)])
def test_resized_patch_is_the_whole_image_resized(size_hw, new_hw):
    for seed in range(10):
        mask = random_mask(size_hw, seed)
        (patch,) = cut_masks(mask[None])

        found = resize_mask(patch, size_hw, new_hw)

        (expected,) = interpolate(
            mask[None, None].float(),
            new_hw,
            mode='bilinear',
            align_corners=False,
            antialias=True,
        )[0]
        assert found.values.dtype == torch.float32
        torch.testing.assert_close(
            whole(found, new_hw), expected, rtol=0, atol=2e-5
        )


def test_resizing_takes_no_more_than_the_rectangle():
    mask = MaskPatch(torch.ones(10, 10, dtype=torch.bool), 4000, 3000)

    found = resize_mask(mask, (8000, 9000), (4000, 4500))

    assert max(found.size_hw) < 12
    assert found.values.sum() == pytest.approx(25, abs=0.01)


@pytest.mark.parametrize(
    'size_hw', [(1, 1), (1, 7), (9, 1), (11, 8), (40, 60)]
)
@pytest.mark.parametrize('share', [0.2, 0.9, 1.0])
def test_encoding_is_that_of_pycocotools(size_hw, share):
    masks = torch.stack([random_mask(size_hw, s, share) for s in range(20)])
    for mask, patch in zip(masks, cut_masks(masks)):
        is_set = patch.values.numpy()

        counts = encode_rle(is_set, patch.left, patch.top, size_hw)

        expected = coco_mask.encode(np.asfortranarray(mask.byte().numpy()))
        assert counts == expected['counts']


@pytest.mark.parametrize(
    ('left', 'top'), [(10, 2), (2, 20), (11, 21)], ids=['right', 'below', '-']
)
def test_patch_outside_of_an_image_has_no_rectangle(left, top):
    mask = MaskPatch(torch.ones(3, 4, dtype=torch.bool), left, top)

    found = mask.cut((20, 10))

    assert (*found.size_hw, found.left, found.top) == (0, 0, 0, 0)


def test_patch_that_ends_at_the_border_of_an_image_stays():
    mask = MaskPatch(torch.ones(5, 4, dtype=torch.bool), 7, 16)

    found = mask.cut((20, 10))

    assert (*found.size_hw, found.left, found.top) == (4, 3, 7, 16)


def test_soft_patch_gives_probabilities():
    values = torch.tensor([[0, 51, 255]], dtype=torch.uint8)

    soft = MaskPatch(values, 0, 0).probabilities()

    torch.testing.assert_close(soft, torch.tensor([[0.0, 0.2, 1.0]]))
