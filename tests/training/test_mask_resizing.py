"""Masks that a training resizes stay where their images stay."""

import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from projects.data_distillation.training import mask_resizing

# Around (40, 30), on 100 x 80 pixels.
ANGLES = np.linspace(0, 2 * np.pi, 80, endpoint=False)
SHAPE = np.stack([40 + 12 * np.cos(ANGLES), 30 + 9 * np.sin(ANGLES)], 1)
POLYGONS = PolygonMasks([[SHAPE.ravel()]], 80, 100)
RATIOS = (0.55, 0.75, 0.9, 1.0, 1.12, 1.25, 1.7)


def bitmaps() -> BitmapMasks:
    masks = POLYGONS.to_bitmap().masks.astype(np.uint8)
    return BitmapMasks(masks, 80, 100)


def center_of(masks: BitmapMasks) -> np.ndarray:
    """x and y of the middle of the first mask."""
    rows, columns = np.nonzero(masks.masks[0])
    return np.array([columns.mean(), rows.mean()]) + 0.5


@pytest.mark.parametrize('name', ['resize', 'rescale'])
def test_masks_do_not_move(name):
    offsets, stock = [], []
    for ratio in RATIOS:
        size = round(80 * ratio), round(100 * ratio)
        given = size if name == 'resize' else ratio
        center = center_of(bitmaps()) * (size[1] / 100, size[0] / 80)

        resized = getattr(bitmaps(), name)(given)

        assert resized.masks.shape[1:] == (resized.height, resized.width)
        offsets.append(center_of(resized) - center)
        moved = mask_resizing.STOCK_RESIZE(bitmaps(), size)
        stock.append(center_of(moved) - center)
    assert np.abs(offsets).max() < 0.2
    assert np.abs(np.mean(offsets, 0)).max() < 0.06
    # Why it is needed.
    assert np.mean(stock, 0).min() > 0.3


def test_masks_of_a_pipeline_are_those_of_its_polygons():
    step = TRANSFORMS.build(
        dict(type='mmdet.Resize', scale=(113, 113), keep_ratio=True)
    )
    image = np.zeros((80, 100, 3), np.uint8)

    resized = [
        step.transform(dict(img=image, gt_masks=masks))['gt_masks']
        for masks in (bitmaps(), POLYGONS)
    ]

    found, exact = resized[0].masks[0], resized[1].to_bitmap().masks[0]
    moved = mask_resizing.STOCK_RESIZE(bitmaps(), exact.shape).masks[0]
    ious = [
        (one & exact).sum() / (one | exact).sum() for one in (found, moved)
    ]
    assert ious[0] > 0.96 > ious[1]


def test_no_mask_and_other_ways_are_as_before():
    nothing = BitmapMasks(np.zeros((0, 80, 100), np.uint8), 80, 100)
    assert nothing.resize((40, 50)).masks.shape == (0, 40, 50)

    smooth = bitmaps().resize((40, 50), 'bilinear')

    stock = mask_resizing.STOCK_RESIZE(bitmaps(), (40, 50), 'bilinear')
    assert (smooth.masks == stock.masks).all()
    same = bitmaps().resize((80, 100))
    assert (same.masks == bitmaps().masks).all()
