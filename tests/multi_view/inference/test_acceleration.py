"""Compiled backbones find what others find; the rest: test_detectors.py."""

import pytest
import torch
from mmcv.cnn import ConvAWS2d
from torch import nn

from projects.data_distillation.multi_view.inference.acceleration import (
    check_fits,
    halve_heads,
    halve_precision,
    prepare_detector,
)


class Features(nn.Module):
    """As much of a detector as is rearranged: a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        )

    def extract_feat(self, images):
        return (self.backbone(images),)


def test_part_that_cannot_be_changed_stays_as_it_was():
    detector = Features().eval()
    detector.backbone[1] = nn.BatchNorm2d(4, affine=False).eval()
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        expected = detector.extract_feat(image)[0]
        prepare_detector(detector, 'exact', compiled=False)

        torch.testing.assert_close(detector.extract_feat(image)[0], expected)
    assert isinstance(detector.backbone[1], nn.BatchNorm2d)


def test_neck_that_cannot_be_changed_stays_as_it_was():
    class WithNeck(Features):
        def extract_feat(self, images):
            (features,) = super().extract_feat(images)
            # As in MMDetection, a neck is used if there is one.
            return (self.neck(features) if self.neck else features,)

    detector = WithNeck()
    norm = nn.BatchNorm2d(9, affine=False)
    detector.neck = nn.Sequential(nn.Conv2d(4, 9, 1), norm)
    detector.eval()
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        expected = detector.extract_feat(image)[0]
        prepare_detector(detector, 'exact', compiled=False)

        torch.testing.assert_close(detector.extract_feat(image)[0], expected)
    assert isinstance(detector.neck[1], nn.BatchNorm2d)


def test_rounded_weights_give_what_autocast_gives():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        ConvAWS2d(8, 4, 3),
        nn.Conv2d(4, 4, 1),
    )
    part = nn.Sequential(*layers).eval()
    image = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16):
            expected = part(image).float()
        found = halve_precision(part)(image)

    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    # Its weights are standardized before they are rounded.
    kinds = [layer.weight.dtype for layer in (part[0], part[2], part[3])]
    assert kinds == [torch.bfloat16, torch.float32, torch.bfloat16]


def test_layers_of_heads_compute_in_half_precision():
    torch.manual_seed(0)
    detector = Features().eval()
    detector.bbox_head = nn.Sequential(nn.Conv2d(4, 2, 1))
    features = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        exact = detector.bbox_head(features)
        with torch.autocast('cpu', torch.bfloat16):
            expected = detector.bbox_head(features).float()

        halve_heads(detector)
        found = detector.bbox_head(features)

    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert not torch.equal(found, exact)


def test_fast_mode_is_refused_on_other_kinds_of_devices():
    detector = Features().eval().to('meta')

    with pytest.raises(
        ValueError, match=r"\('cpu', 'cuda'\), got 'meta': use"
    ):
        prepare_detector(detector, 'fast', compiled=False)

    check_fits(detector, 'exact', compiled=False)


def test_compiling_is_refused_without_a_backbone():
    with pytest.raises(
        ValueError, match='compile_backbone=True .* got Linear'
    ):
        prepare_detector(nn.Linear(2, 3), 'exact', compiled=True)


@pytest.mark.slow
def test_compiled_backbone_makes_the_same_features_of_every_size():
    torch.manual_seed(0)
    detector = Features().eval()
    images = [torch.randn(2, 3, side, 20) for side in (12, 16, 24)]
    with torch.no_grad():
        expected = [detector.extract_feat(image)[0] for image in images]
        torch._dynamo.utils.counters.clear()

        prepare_detector(detector, 'exact', compiled=True)
        found = [detector.extract_feat(image)[0] for image in images]

    torch.testing.assert_close(found, expected)
    counters = torch._dynamo.utils.counters
    # One program for all sizes.
    assert counters['stats']['unique_graphs'] == 1
