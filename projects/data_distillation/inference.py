"""Makes a trained detector fast, without a word about views or labels."""

import copy
import functools
import logging
from collections.abc import Callable, Sequence

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.logging import print_log
from torch import Tensor, nn

MODES = ('exact', 'fast')
# The parts of MMDetection's detectors that turn an image into features.
EXTRACTORS = ('backbone', 'neck')
# What autocast computes in on each kind of device. CPUs have bf16 in hardware
# (AVX-512, AMX) where they have anything; on GPUs fp16 rounds eight times
# finer.
HALF = {'cpu': torch.bfloat16, 'cuda': torch.float16}


def prepare(detector: nn.Module, mode: str, compiled: bool) -> None:
    """Rearrange a detector for inference, in place; its weights are loaded.

    Args:
        detector: Any MMDetection detector, in evaluation mode.
        mode: `'exact'` computes in fp32 all that the detector did, but for
            masks; boxes differ by rounding only. `'fast'` computes
            convolutions and linear layers in half precision; priors, boxes
            and scores stay fp32.
        compiled: Compile the backbone with `torch.compile`.
    """
    drop_masks(detector)
    fuse_norms(detector)
    detector.to(memory_format=torch.channels_last)
    if compiled:
        # Sizes differ from view to view: one program for all of them.
        detector.backbone.forward = torch.compile(
            detector.backbone.forward, dynamic=True
        )
    if mode == 'fast':
        halve(detector)


def drop_masks(detector: nn.Module) -> None:
    """Take the mask head away: only boxes are wanted.

    Args:
        detector: Is changed; without a mask head nothing is done.
    """
    roi_head = getattr(detector, 'roi_head', None)
    if getattr(roi_head, 'with_mask', False):
        roi_head.mask_head = None


@torch.no_grad()
def fuse_norms(detector: nn.Module) -> None:
    """Fold the batch norms of backbone and neck into their convolutions.

    mmcv finds the pairs by the order in which modules were registered. Where
    that is not the order in which they run, the features change: then they
    are left as they were, and the log says so. Heads are left alone: some
    share a convolution among several norms.

    Args:
        detector: In evaluation mode; is changed. Without these parts nothing
            is done.
    """
    parts = {
        name: getattr(detector, name)
        for name in EXTRACTORS
        if getattr(detector, name, None) is not None
    }
    if not parts:
        return
    before = features_of_noise(detector)
    for name, part in parts.items():
        setattr(detector, name, fuse_conv_bn(copy.deepcopy(part)))
    if not are_close(before, features_of_noise(detector)):
        for name, part in parts.items():
            setattr(detector, name, part)
        print_log(
            'batch norms were not folded into the convolutions: the features '
            f'of {type(detector).__name__} would change',
            'current',
            logging.WARNING,
        )


def features_of_noise(detector: nn.Module) -> list[Tensor]:
    """Return the features of a fixed random image of 128x128 pixels."""
    noise = torch.randn(
        1, 3, 128, 128, generator=torch.Generator().manual_seed(0)
    )
    device = next(detector.parameters()).device
    return list(detector.extract_feat(noise.to(device)))


def are_close(some: list[Tensor], others: list[Tensor]) -> bool:
    """Whether features differ by no more than rounding explains."""
    return all(
        (one - other).abs().max() <= 1e-3 * one.abs().max()
        for one, other in zip(some, others, strict=True)
    )


def halve(detector: nn.Module) -> None:
    """Let convolutions and linear layers compute in half precision.

    Backbone and neck run under autocast as a whole. Of the heads only the
    layers do, one by one: heads compute priors and boxes between them, which
    half precision would move by pixels.

    Args:
        detector: Is changed.
    """
    device = next(detector.parameters()).device.type
    for name, part in detector.named_children():
        if name in EXTRACTORS:
            part.forward = in_half_precision(part.forward, device)
            continue
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.forward = in_half_precision(layer.forward, device)


def in_half_precision(forward: Callable, device: str) -> Callable:
    """Run a function under autocast, and return what it returns as fp32.

    Args:
        forward: Takes and returns tensors.
        device: Their kind of device, a key of `HALF`.
    """

    @functools.wraps(forward)
    def half_forward(*args: object, **kwargs) -> Tensor | Sequence:
        with torch.autocast(device, HALF[device]):
            return to_fp32(forward(*args, **kwargs))

    return half_forward


def to_fp32(features: Tensor | Sequence) -> Tensor | Sequence:
    """Return a tensor, or each of a sequence of them, as fp32."""
    if isinstance(features, Tensor):
        return features.float()
    return tuple(to_fp32(feature) for feature in features)
