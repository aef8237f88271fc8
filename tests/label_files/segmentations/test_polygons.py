"""One polygon with the pixels of any segmentation, against pycocotools."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from projects.data_distillation.label_files.segmentations.polygons import (
    as_one_polygon,
    is_equal,
    measure_area,
)

HEIGHT, WIDTH = 60, 90
SIZE_WH = WIDTH, HEIGHT


def pixels_of(segmentation) -> np.ndarray:
    """Draw as pycocotools does: the union of polygons, or the runs."""
    if isinstance(segmentation, list):
        rles = coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH)
        return coco_mask.decode(coco_mask.merge(rles))
    return coco_mask.decode(segmentation)


def encode(mask: np.ndarray, compressed: bool = True) -> dict:
    if compressed:
        rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
        return dict(size=rle['size'], counts=rle['counts'].decode())
    flat = np.concatenate([[0], mask.T.ravel(), [-1]])
    ends = np.flatnonzero(np.diff(flat))
    counts = np.diff(ends, prepend=0).tolist()
    return dict(size=[HEIGHT, WIDTH], counts=counts)


def draw_mask(kind: str, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    if kind == 'noise':
        mask[20:40, 60:] = random.random((20, 30)) < 0.4
        return mask
    for _ in range(4):
        center = random.integers(0, (WIDTH, HEIGHT)).tolist()
        axes = random.integers(2, 20, 2).tolist()
        angle = float(random.integers(180))
        thick = 2 if kind == 'rings' else -1
        cv2.ellipse(mask, center, axes, angle, 0, 360, 1, thick)
    return mask


@pytest.mark.parametrize('compressed', [True, False])
@pytest.mark.parametrize('kind', ['blobs', 'rings', 'noise'])
@pytest.mark.parametrize('seed', range(5))
def test_masks_keep_each_pixel(kind, seed, compressed):
    mask = draw_mask(kind, seed)

    polygon = as_one_polygon(encode(mask, compressed), SIZE_WH)

    assert np.array_equal(pixels_of([polygon]), mask)
    assert measure_area(polygon, SIZE_WH) == mask.sum()
    assert np.array_equal(polygon, np.round(polygon, 3))


def draw_polygons(seed: int, margin: float) -> list[list[float]]:
    """Draw polygons, some of which overlap each other or themselves."""
    random = np.random.default_rng(seed)
    low, high = -margin, np.array(SIZE_WH) + margin
    return [
        np.clip(
            random.uniform(low, high, 2)
            + random.uniform(-20, 20, (random.integers(3, 9), 2)),
            low,
            high,
        )
        .round(3)
        .ravel()
        .tolist()
        for _ in range(random.integers(1, 5))
    ]


@pytest.mark.parametrize('seed', range(30))
def test_polygons_keep_each_pixel(seed):
    polygons = draw_polygons(seed, margin=0)

    polygon = as_one_polygon(polygons, SIZE_WH)

    assert np.array_equal(pixels_of([polygon]), pixels_of(polygons))


@pytest.mark.parametrize('seed', range(30))
def test_polygons_are_clipped_to_the_image(seed):
    polygons = draw_polygons(seed, margin=15)

    points = np.array(as_one_polygon(polygons, SIZE_WH)).reshape(-1, 2)

    assert (points >= 0).all()
    assert (points <= SIZE_WH).all()
    found, expected = pixels_of([points.ravel()]), pixels_of(polygons)
    # pycocotools rounds the middle of a line otherwise if it is cut.
    assert (found != expected).sum() <= 15


def test_parts_that_lie_apart_keep_their_points():
    parts = [[1.5, 1, 9, 1, 9, 9.25], [20, 20, 30, 20, 30, 30, 20, 30.125]]

    polygon = as_one_polygon(parts, SIZE_WH)

    points = np.array(polygon).reshape(-1, 2).tolist()
    every = [p for part in parts for p in np.reshape(part, (-1, 2)).tolist()]
    assert all(point in points for point in every)
    assert len(points) == len(every) + 2


def test_parts_that_overlap_leave_no_hole():
    parts = [[5, 5, 25, 5, 25, 25, 5, 25], [15, 15, 40, 15, 40, 40, 15, 40]]

    polygon = as_one_polygon(parts, SIZE_WH)

    assert np.array_equal(pixels_of([polygon]), pixels_of(parts))
    assert measure_area(polygon, SIZE_WH) == 400 + 625 - 100


@pytest.mark.parametrize(
    'nothing',
    [
        [[-30, 5, -5, 5, -5, 20]],
        [[5, 5.01, 20, 5.02, 40, 5.03]],
        encode(np.zeros((HEIGHT, WIDTH), np.uint8)),
    ],
    ids=['outside', 'thin', 'empty'],
)
def test_no_pixel_is_no_polygon(nothing):
    assert as_one_polygon(nothing, SIZE_WH) == []


def test_masks_of_equal_area_differ_in_place():
    one, other = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    one[3, 4] = other[4, 3] = 1
    masks = [encode(one), encode(other)]

    assert is_equal(masks[0], masks[0])
    assert not is_equal(*masks)
