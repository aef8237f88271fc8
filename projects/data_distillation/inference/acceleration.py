"""Makes a trained detector fast, without a word about views or labels."""

import copy
import functools
import logging
from collections.abc import Callable, Sequence

import torch
from mmcv.cnn import fuse_conv_bn
from mmdet.models import BaseDetector, SSDHead
from mmengine.logging import print_log
from torch import Tensor, nn

MODES = ('exact', 'fast')
# The parts of MMDetection's detectors that turn an image into features.
EXTRACTORS = ('backbone', 'neck')
# What autocast computes in on each kind of device. CPUs have bf16 in hardware
# (AVX-512, AMX) where they have anything; on GPUs fp16 rounds eight times
# finer.
HALF = {'cpu': torch.bfloat16, 'cuda': torch.float16}
# How far features may move, in parts of the largest: in fp32 by rounding; in
# half precision, which on noise adds up through a hundred layers, so that it
# does not overflow.
EXACT, ROUGH = 1e-3, 1.0
# Sides of the images to try a detector on; on the first, SSD runs out of
# pixels.
NOISE_SIDES = (128, 320)
# Without it no SSD of MMDetection 3.2 or later predicts anything, not even to
# validate (MMDetection issues 11063 and 11780).
if not hasattr(SSDHead, 'loss_cls'):
    SSDHead.loss_cls = None


def prepare(detector: BaseDetector, mode: str, compiled: bool) -> None:
    """Rearrange a detector for inference, in place; its weights are loaded.

    What changes backbone and neck is tried on an image of noise. Where it
    fails or moves the features, that part stays as it was, and the log says
    so.

    Args:
        detector: Any MMDetection detector, in evaluation mode.
        mode: `'exact'` computes in fp32, as PyTorch is set to (on GPUs TF32 in
            convolutions), all that the detector did, but for masks; boxes
            differ by rounding only. `'fast'` computes
            convolutions and linear layers in half precision; priors, boxes
            and scores stay fp32.
        compiled: Compile the backbone with `torch.compile`.
    """
    drop_masks(detector)
    rearrange(detector, mode)
    if compiled:
        # Sizes differ from view to view: one program for all of them.
        detector.backbone.forward = torch.compile(
            detector.backbone.forward, dynamic=True
        )
    if mode == 'fast':
        halve_heads(detector)


def drop_masks(detector: BaseDetector) -> None:
    """Take the mask head away: only boxes are wanted.

    Args:
        detector: Is changed; without a mask head nothing is done.
    """
    roi_head = getattr(detector, 'roi_head', None)
    if roi_head is not None and getattr(roi_head, 'with_mask', False):
        roi_head.mask_head = None


@torch.no_grad()
def rearrange(detector: BaseDetector, mode: str) -> None:
    """Make backbone and neck faster.

    Args:
        detector: In evaluation mode; is changed. Without these parts nothing
            is done.
        mode: As for `prepare`.
    """
    names = [name for name in EXTRACTORS if getattr(detector, name, None)]
    if not names:
        return
    noise = noise_for(detector)
    before = features_of(detector, noise)
    changes = [(fold_norms, EXACT), (put_channels_last, EXACT)]
    if mode == 'fast':
        changes.append((halve, ROUGH))
    for change, tolerance in changes:
        for name in names:
            part = getattr(detector, name)
            setattr(detector, name, changed(part, change))
            if not are_close(before, features_of(detector, noise), tolerance):
                setattr(detector, name, part)
                warn_that_not(change, detector, name)
    # Heads get their features as ever: mmcv's RoIAlign takes channels-last
    # ones for contiguous, and some heads use `view`.
    detector.extract_feat = contiguous(detector.extract_feat)


def changed(part: nn.Module, change: Callable) -> nn.Module | None:
    """Return a changed copy of a part; None if it cannot be changed so."""
    try:
        return change(copy.deepcopy(part))
    # mmcv's folding fails on batch norms without weights, say.
    except Exception:
        return None


def fold_norms(part: nn.Module) -> nn.Module:
    """Fold batch norms into the convolutions before them.

    mmcv finds the pairs by the order in which modules were registered, which
    need not be that in which they run. Not for heads: some share a
    convolution among several norms.

    Args:
        part: Backbone or neck, in evaluation mode; is changed.

    Returns:
        The part.
    """
    return fuse_conv_bn(part)


def put_channels_last(part: nn.Module) -> nn.Module:
    """Let convolutions compute with the channels as the last dimension.

    mmcv's deformable convolutions refuse that.

    Args:
        part: Backbone or neck; is changed.

    Returns:
        The part.
    """
    # The overloads leave out what PyTorch documents.
    return part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def halve(part: nn.Module) -> nn.Module:
    """Run a part under autocast as a whole.

    Args:
        part: Backbone or neck; is changed. On CPUs mmcv's deformable
            convolutions have no half precision.

    Returns:
        The part.
    """
    device = next(part.parameters()).device.type
    part.forward = in_half_precision(part.forward, device)
    return part


def noise_for(detector: BaseDetector) -> Tensor:
    """Return a fixed random image that is large enough for the detector."""
    device = next(detector.parameters()).device
    for side in NOISE_SIDES:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, 3, side, side, generator=generator).to(device)
        if features_of(detector, noise) is not None:
            break
    return noise


def features_of(detector: BaseDetector, image: Tensor) -> list[Tensor] | None:
    """Return what backbone and neck make of an image; None if they fail."""
    try:
        return list(detector.extract_feat(image))
    # Layers complain in many ways about a format or a type of numbers.
    except Exception:
        return None


def are_close(
    some: list[Tensor] | None, others: list[Tensor] | None, tolerance: float
) -> bool:
    """Whether both are features, which differ by no more than rounding.

    Args:
        some: As `features_of` returns them.
        others: Likewise.
        tolerance: In parts of the largest number of each feature map.
    """
    if some is None or others is None:
        return False
    return all(
        (one - other).abs().max() <= tolerance * one.abs().max()
        for one, other in zip(some, others, strict=True)
    )


def warn_that_not(change: Callable, detector: BaseDetector, name: str) -> None:
    """Log that a part of a detector was left as it was."""
    print_log(
        f'{change.__name__} was not applied to the {name} of this '
        f'{type(detector).__name__}: its features would change or fail. It '
        'is right, but slower',
        'current',
        logging.WARNING,
    )


def contiguous(extract_feat: Callable) -> Callable:
    """Make an `extract_feat` return contiguous features.

    Args:
        extract_feat: A detector's method, which returns a sequence.
    """

    @functools.wraps(extract_feat)
    def contiguous_features(*args: object, **kwargs: object) -> tuple:
        """As `extract_feat`."""
        features = extract_feat(*args, **kwargs)
        return tuple(feature.contiguous() for feature in features)

    return contiguous_features


def halve_heads(detector: BaseDetector) -> None:
    """Let the heads' convolutions and linear layers use half precision.

    Only the layers, one by one: heads compute priors and boxes between them,
    which half precision would move by pixels.

    Args:
        detector: Is changed.
    """
    device = next(detector.parameters()).device.type
    for name, part in detector.named_children():
        if name in EXTRACTORS:
            continue
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                forward = in_half_precision(layer.forward, device)
                # Of this layer alone, not of its class.
                layer.forward = forward  # type: ignore[method-assign]


def in_half_precision(forward: Callable, device: str) -> Callable:
    """Run a function under autocast, and return what it returns as fp32.

    Args:
        forward: Takes and returns tensors.
        device: Their kind of device, a key of `HALF`.
    """

    @functools.wraps(forward)
    def half_forward(*args: object, **kwargs: object) -> Tensor | Sequence:
        """As `forward`."""
        with torch.autocast(device, HALF[device]):
            return to_fp32(forward(*args, **kwargs))

    return half_forward


def to_fp32(features: Tensor | Sequence) -> Tensor | Sequence:
    """Return a tensor, or each of a sequence of them, as fp32."""
    if isinstance(features, Tensor):
        return features.float()
    return tuple(to_fp32(feature) for feature in features)
