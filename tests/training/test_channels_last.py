"""Training with channels last is the same training, rearranged in memory."""

from types import SimpleNamespace

import pytest
import torch
from builders import ROOT
from mmcv.ops import DeformConv2d
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from projects.data_distillation import ChannelsLastHook

SIZE = 64


@pytest.fixture
def detector() -> torch.nn.Module:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / 'configs/digits/teacher.py')
    return MODELS.build(cfg.model)


@pytest.fixture
def batch() -> dict:
    generator = torch.Generator().manual_seed(1)
    instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10.0, 40.0, 50.0]]),
        labels=torch.tensor([3]),
    )
    shape = (SIZE, SIZE)
    sample = DetDataSample(
        metainfo=dict(
            img_shape=shape, pad_shape=shape, batch_input_shape=shape
        ),
        gt_instances=instances,
        ignored_instances=InstanceData(bboxes=torch.zeros(0, 4)),
    )
    inputs = torch.randn(1, 3, SIZE, SIZE, generator=generator)
    return dict(batch_inputs=inputs, batch_data_samples=[sample])


def arrange(model: torch.nn.Module) -> None:
    ChannelsLastHook().before_train(SimpleNamespace(model=model))


def is_channels_last(weight: torch.Tensor) -> bool:
    return weight.is_contiguous(memory_format=torch.channels_last)


def train_once(detector: torch.nn.Module, batch: dict) -> torch.Tensor:
    """The gradients of all weights, put together."""
    detector.zero_grad()
    detector.parse_losses(detector.loss(**batch))[0].backward()
    weights = detector.parameters()
    return torch.cat([w.grad.flatten() for w in weights if w.grad is not None])


def test_weights_are_rearranged_and_features_are_not(detector, batch):
    arrange(detector)

    weights = [w for w in detector.parameters() if w.dim() == 4]
    assert len(weights) > 20
    assert all(map(is_channels_last, weights))
    features = detector.extract_feat(batch['batch_inputs'])
    assert all(feature.is_contiguous() for feature in features)


def test_gradients_are_those_of_a_usual_training(detector, batch):
    expected = train_once(detector, batch)

    arrange(detector)
    found = train_once(detector, batch)

    assert torch.linalg.norm(expected) > 0
    error = torch.linalg.norm(found - expected)
    assert error < 1e-4 * torch.linalg.norm(expected)


def test_model_of_several_processes_stays_as_it_is(detector):
    wrapped = torch.nn.DataParallel(detector)

    arrange(wrapped)

    assert not all(map(is_channels_last, detector.parameters()))
    assert 'extract_feat' not in vars(detector)


def test_deformable_convolutions_stay_as_they_are(detector, caplog):
    detector.backbone.offsets = DeformConv2d(3, 4, 3)
    before = detector.extract_feat
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)

    arrange(detector)

    logger.removeHandler(caplog.handler)

    weights = [w for w in detector.parameters() if w.dim() == 4]
    # Weights of 1 x 1 or of one channel are in both orders.
    assert not any(
        is_channels_last(weight) and not weight.is_contiguous()
        for weight in weights
    )
    assert detector.extract_feat == before
    assert 'ChannelsLastHook does nothing' in caplog.text
