"""Grounding DINO gets the encoding of points that its weights are for."""

import pytest
import torch
from mmdet.models.layers.transformer import MLP, coordinate_to_encoding
from torch import nn

from projects.data_distillation.multi_view.inference.point_encoding import (
    mend_point_encoding,
)


class Decoder(nn.Module):
    """The part of a decoder that encodes points."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ref_point_head = MLP(4 * width, 8, 8, 2)


@pytest.mark.parametrize('sides', [2, 4])
def test_longer_encoding_has_the_former_one(sides):
    points = torch.rand(2, 5, sides)
    detector = Decoder(width=16)
    detector.ref_point_head = MLP(sides * 16, 8, 8, 2)
    former = coordinate_to_encoding(points, num_feats=16)
    expected = detector.ref_point_head(former)
    longer = coordinate_to_encoding(points, num_feats=32)
    detector.language_model = nn.Identity()

    mend_point_encoding(detector)

    assert torch.allclose(detector.ref_point_head(longer), expected, atol=1e-6)
    assert torch.equal(detector.ref_point_head(former), expected)


def test_other_detectors_are_left_alone():
    detector = Decoder(width=16)

    mend_point_encoding(detector)

    with pytest.raises(RuntimeError, match='shapes'):
        detector.ref_point_head(torch.zeros(1, 5, 128))
