"""Images as the backbone of a real detector sees them."""

import cv2
import numpy as np
import pytest
import torch
from builders import toy_detector_cfg
from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from real_detectors import Subject, make_config

from projects.data_distillation.pseudo_labels.review.appearance import (
    find_appearance,
    measure_distances,
)
from projects.data_distillation.pseudo_labels.review.features import (
    BackboneDescription,
    choose_description,
    describe_colors,
)


@pytest.mark.slow
def test_a_backbone_knows_a_scene_again():
    cfg = make_config(Subject('gfl/gfl_r50_fpn_1x_coco'))
    detector = MODELS.build(cfg.model)
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (2, 6, 8, 3)).astype(np.uint8)
    one, other = (cv2.resize(scene, (96, 64)) for scene in small)
    again = cv2.GaussianBlur(one, (3, 3), 0)
    detector.train()

    describe, by_what = choose_description(detector)
    vectors = [describe(pixels) for pixels in (one, again, other)]

    assert by_what == "the teacher's backbone"
    assert len({len(vector) for vector in vectors}) == 1
    gaps = [np.linalg.norm(vectors[0] - other) for other in vectors[1:]]
    assert gaps[0] < gaps[1]


class ThreeLevels(BaseDetector):
    """Has features whose numbers grow a hundredfold from level to level."""

    def extract_feat(self, batch_inputs):
        return tuple(
            100**n * torch.cat([batch_inputs, batch_inputs**2], 1)
            for n in range(3)
        )

    loss = predict = _forward = None


def test_each_level_of_a_backbone_counts_alike():
    detector = ThreeLevels(dict(type='DetDataPreprocessor'))
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (6, 8, 3)).astype(np.uint8)

    levels = np.split(BackboneDescription(detector)(pixels), 3)

    assert np.allclose([np.linalg.norm(level) for level in levels], 1)
    assert np.allclose(levels, levels[0])


def test_without_features_colors_describe():
    for detector in (None, MODELS.build(toy_detector_cfg())):
        describe, by_what = choose_description(detector)
        assert describe is describe_colors
        assert by_what.startswith('colors')


def test_images_that_cannot_be_read_are_near_to_none(tmp_path):
    (tmp_path / 'torn.jpg').write_bytes(b'torn')
    unread = find_appearance([str(tmp_path / 'torn.jpg')], describe_colors)

    found = measure_distances(np.eye(2, 5), unread.vectors)

    assert found.tolist() == [1, 1]


class NeedsLargeImages(BaseDetector):
    """Fails on small images, as the convolutions of SSD do."""

    def extract_feat(self, batch_inputs):
        return torch.nn.functional.conv2d(
            batch_inputs, torch.ones(1, 3, 99, 99)
        )

    loss = predict = _forward = None


def test_colors_describe_if_the_features_need_a_large_image():
    detector = NeedsLargeImages(dict(type='DetDataPreprocessor'))

    describe, by_what = choose_description(detector)

    assert describe is describe_colors
    assert by_what.startswith('colors')
