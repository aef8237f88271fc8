"""Boxes follow the pixels, and only pseudo-labeled images are augmented."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from mmengine.registry import init_default_scope

from projects.data_distillation.training import strong_augmentation

BOXES_XYXY = [[12, 30, 42, 70], [60, 10, 110, 44], [8, 90, 14, 95]]
# BGR: an object, a region to ignore, and an object that a patch can hide.
COLORS = [(0, 0, 255), (0, 255, 0), (255, 0, 0)]


def build(**arguments):
    init_default_scope('mmdet')
    return TRANSFORMS.build(dict(type='StrongAugmentation', **arguments))


def drawn(dtype=np.uint8) -> dict:
    """A sample as it is behind `LoadAnnotations` and `Resize`."""
    image = np.zeros((100, 130, 3), dtype)
    instances = []
    for label, (x1, y1, x2, y2) in enumerate(BOXES_XYXY):
        image[y1:y2, x1:x2] = COLORS[label]
        instances.append(
            dict(
                bbox=[x1, y1, x2, y2],
                bbox_label=label,
                ignore_flag=int(label == 1),
                mask=[[x1, y1, x2, y1, x2, y2, x1, y2]],
            )
        )
    sample = dict(img=image, img_shape=(100, 130), ori_shape=(100, 130))
    sample['instances'] = instances
    return LoadAnnotations(with_bbox=True)(sample)


def has_color(image, color) -> np.ndarray:
    """Whether each pixel has a color, as 0 or 1."""
    return (np.abs(image.astype(int) - color) < 90).all(-1).astype(np.uint8)


def place_of(image, color) -> list[int] | None:
    """The bounding box of a color's pixels."""
    mask = has_color(image, color)
    x, y, width, height = cv2.boundingRect(mask)
    return [x, y, x + width, y + height] if width else None


@pytest.fixture
def moving(monkeypatch):
    """The augmentation without changes of color, which would hide places."""
    monkeypatch.setattr(strong_augmentation, 'COLOR', ('ColorTransform',))
    return build()


@pytest.mark.slow
def test_boxes_labels_and_regions_follow_the_pixels(moving):
    np.random.seed(0)
    num_exact = num_lost = 0
    moved = set()
    for _ in range(150):
        result = moving(drawn())
        labels = result['gt_bboxes_labels'].tolist()
        assert (result['gt_ignore_flags'] == np.equal(labels, 1)).all()
        boxes = dict(zip(labels, result['gt_bboxes'].tensor))
        for label, color in enumerate(COLORS):
            place = place_of(result['img'], color)
            if label not in boxes:
                num_lost += 1
                x1, y1, x2, y2 = place or [0] * 4
                assert (x2 - x1) * (y2 - y1) < 0.5 * area_of(label)
            elif place is not None:
                outside = boxes[label] - torch.tensor(place)
                # The patches hide a side here and there.
                assert outside[:2].max() < 2 and outside[2:].min() > -2
                num_exact += bool(outside.abs().max() < 2)
                moved.add(tuple(place))

    assert num_exact > 150
    assert num_lost > 0
    assert len(moved) > 150


@pytest.mark.slow
@pytest.mark.parametrize('poly2mask', [True, False])
def test_masks_follow_the_pixels(moving, poly2mask):
    np.random.seed(0)
    load = LoadAnnotations(with_mask=True, poly2mask=poly2mask)
    moved = set()
    for _ in range(60):
        result = moving(load(drawn()))
        masks = result['gt_masks'].masks
        assert len(masks) == len(result['gt_bboxes_labels'])
        for label, mask in zip(result['gt_bboxes_labels'], masks, strict=True):
            visible = has_color(result['img'], COLORS[label])
            # Colors and masks are interpolated at the edges.
            kernel = np.ones((3, 3), np.uint8)
            assert not (cv2.erode(mask, kernel) > visible).any()
            assert not (visible > cv2.dilate(mask, kernel)).any()
            moved.add(mask.tobytes())

    assert len(moved) > 60


@pytest.mark.parametrize('count', [0, 3])
def test_images_without_objects_have_no_masks(count):
    sample = drawn()
    sample['instances'] = sample['instances'][:count]
    loaded = LoadAnnotations(with_mask=True, poly2mask=False)(sample)

    masks = build()(loaded)['gt_masks']

    assert masks.masks.shape[1:] == (100, 130)
    assert len(masks) <= count


def area_of(label: int) -> int:
    x1, y1, x2, y2 = BOXES_XYXY[label]
    return (x2 - x1) * (y2 - y1)


def test_without_geometry_boxes_stay(moving):
    np.random.seed(0)
    still = build(geometric=False)

    for _ in range(30):
        result = still(drawn())
        for label, box in zip(
            result['gt_bboxes_labels'], result['gt_bboxes'].tensor
        ):
            assert box.tolist() == BOXES_XYXY[label]


@pytest.mark.slow
def test_image_whose_boxes_are_all_gone_stays(moving):
    np.random.seed(0)
    counts = []
    for _ in range(100):
        sample = drawn()
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
            sample[key] = sample[key][2:]
        result = moving(sample)
        counts.append(len(result['gt_bboxes']))
        assert result['gt_bboxes'].tensor.shape == (counts[-1], 4)

    assert {*counts} == {0, 1}


@pytest.mark.parametrize('count', [0, 3])
def test_image_without_boxes_is_augmented_too(count):
    np.random.seed(0)
    sample = drawn()
    for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
        sample[key] = sample[key][:count]
    before = sample['img'].copy()

    result = build()(sample)

    assert len(result['gt_bboxes']) <= count
    assert (result['img'] != before).any()


def test_colors_change_much_and_stay_pixels():
    """Also behind PhotoMetricDistortion, whose pixels are any floats."""
    np.random.seed(0)
    strong = build(geometric=False)
    means = []
    for _ in range(60):
        sample = drawn(np.float32)
        sample['img'] = sample['img'] * 1.2 - 20
        image = strong(sample)['img']
        assert image.dtype == np.uint8
        means.append(image.mean())

    assert np.std(means) > 10


def test_floats_are_rounded_to_pixels(moving):
    np.random.seed(0)
    sample = drawn(np.float32)
    sample['img'] = sample['img'] * 1.2 - 20.4  # From -20.4 to 285.6.
    sample['img'][50] = 99.6

    image = build(geometric=False)(sample)['img']

    expected = drawn()['img']
    expected[50] = 100
    kept = (image != 128).any(-1)  # Not a patch.
    assert kept.mean() > 0.5 and kept[50].any()
    assert (image[kept] == expected[kept]).all()
