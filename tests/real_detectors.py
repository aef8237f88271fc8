"""MMDetection's own detectors, smaller and with random weights.

Layers and heads are those of the real thing. They find objects in noise.
"""

from dataclasses import dataclass, field

import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

# A narrow ResNet-18. With random weights, deeper ones amplify rounding.
RESNET = {
    'backbone.depth': 18,
    'backbone.base_channels': 32,
    'neck.in_channels': [32, 64, 128, 256],
}
# Of two-stage detectors, the best 50 of the proposals.
TWO_STAGE = {
    'test_cfg.rpn.max_per_img': 50,
    'test_cfg.rcnn.max_per_img': 50,
    'test_cfg.rpn.nms_pre': 100,
}
META_KEYS = ('ori_shape', 'img_shape', 'scale_factor', 'border')


@dataclass(frozen=True)
class Subject:
    """A detector to test.

    Args:
        config: Its config in MMDetection.
        changes: What to change in the config's `model`.
        size_wh: What images are resized to: a multiple of 32 keeps most
            detectors from padding, SSD runs out of pixels below 300.
    """

    config: str
    changes: dict = field(default_factory=dict)
    size_wh: tuple[int, int] = (128, 96)


def make_config(subject: Subject) -> Config:
    """MMDetection's config, smaller and without a download."""
    cfg = Config.fromstring(
        f"_base_ = 'mmdet::{subject.config}.py'", file_format='.py'
    )
    simplify(cfg.model)
    for key, value in subject.changes.items():
        cfg.merge_from_dict({f'model.{key}': value})
    return cfg


def simplify(part: object) -> None:
    """Three classes, no pretrained weights, and no score that is too low.

    Scores of random weights say nothing: a threshold would leave no box.
    """
    new = dict(
        init_cfg=None,
        num_classes=3,
        num_things_classes=3,
        score_thr=0.0,
        filter_thr=0.0,
    )
    for value in part if isinstance(part, list | tuple) else []:
        simplify(value)
    for key in part if isinstance(part, dict) else []:
        if key in new:
            part[key] = new[key]
        simplify(part[key])


@torch.no_grad()
def make_detector(subject: Subject, seed: int = 0) -> nn.Module:
    """A detector whose scores and boxes differ from place to place.

    PyTorch's own weights shrink the signal from layer to layer until all
    scores are equal but for rounding, which would then choose the boxes.
    """
    torch.manual_seed(seed)
    detector = MODELS.build(make_config(subject).model).eval()
    detector.init_weights()
    norms = []
    for name, module in detector.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity='linear')
            if 'offset' in name:  # of a few pixels, in place of chaos
                module.weight *= 0.1
            elif module.bias is not None:  # "nothing is here", say heads'
                nn.init.zeros_(module.bias)
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            norms.append(module)
    measure_norms(detector, norms, subject.size_wh)
    return detector


def measure_norms(
    detector: nn.Module, norms: list[nn.Module], size_wh: tuple[int, int]
) -> None:
    """Let batch norms take mean and variance from noise and from gray.

    So the signal keeps its size, in padding too, and folding them wrongly
    shows.
    """
    for norm in norms:
        norm.train().momentum = 1.0
    noise = image_of(*size_wh, seed=2)
    images = [noise, torch.full_like(noise, 114)]
    resize = dict(type='Resize', scale=size_wh)
    data = [through_pipeline(image, [resize]) for image in images]
    detector.test_step(pseudo_collate(data))
    for norm in norms:
        # Where an image has shrunk to a pixel, little varies.
        norm.eval().running_var.clamp_(min=0.3)


def image_of(width: int, height: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = (3, height, width)
    return torch.randint(256, size, dtype=torch.uint8, generator=generator)


def through_pipeline(image: Tensor, transforms: list[dict]) -> dict:
    """What MMDetection's own test pipeline makes of an image."""
    pack = dict(type='PackDetInputs', meta_keys=META_KEYS)
    steps = [dict(type='LoadImageFromNDArray'), *transforms, pack]
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    height, width = image.shape[-2:]
    pixels = image.permute(1, 2, 0).numpy()
    return pipeline(dict(img=pixels, border=(0, height, 0, width)))


@torch.no_grad()
def run_plain(
    detector: nn.Module, image: Tensor, transforms: list[dict]
) -> InstanceData:
    """What the detector finds without this project."""
    data = pseudo_collate([through_pipeline(image, transforms)])
    return detector.test_step(data)[0].pred_instances
