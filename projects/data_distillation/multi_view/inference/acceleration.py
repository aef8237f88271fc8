"""Makes a trained detector fast; it knows nothing of views or labels."""

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
# The type that autocast computes in on each kind of device. CPUs that compute
# half precision in hardware (AVX-512, AMX) have bf16. On GPUs, fp16 rounds
# eight times finer than bf16.
HALF = {'cpu': torch.bfloat16, 'cuda': torch.float16}
# The layers whose weights autocast rounds, if nothing is derived from them.
ROUNDED = {nn.Conv2d.forward, nn.Linear.forward}
# How far features may move, as a fraction of the largest one. In fp32 they
# move by rounding. In half precision, rounding adds up through a hundred
# layers when the image is noise, so ROUGH only finds an overflow.
EXACT, ROUGH = 1e-3, 1.0
# The sides in pixels of images to try a detector on; SSD needs the second.
NOISE_SIDES = (128, 320)
# Without this attribute, no SSD of MMDetection 3.2 or later predicts anything,
# not even to validate (MMDetection issues 11063 and 11780).
if not hasattr(SSDHead, 'loss_cls'):
    SSDHead.loss_cls = None


def prepare_detector(
    detector: BaseDetector, mode: str, compiled: bool, with_masks: bool = False
) -> None:
    """Rearrange a detector for inference.

    Each change of backbone and neck, apart from compiling, is tried on an
    image of noise. If the changed part fails or moves the features, it stays
    as it was, and the log says so.

    Args:
        detector: Any MMDetection detector in evaluation mode, with its weights
            loaded. It is changed in place.
        mode: `'exact'` computes all that the detector did, apart from masks
            that are not wanted, in fp32 as PyTorch is set to do it (on GPUs,
            convolutions in TF32). Boxes differ by rounding only. `'fast'`
            computes convolutions and linear layers in half precision, and
            priors, boxes and scores in fp32. It is for the kinds of devices in
            `HALF`.
        compiled: Whether to compile the backbone with `torch.compile`, when it
            first runs.
        with_masks: Whether masks are computed too.

    Raises:
        ValueError: If `compiled` is true, but there is no backbone, or the
            mode is fast and the device of no kind in `HALF`.
    """
    check_fits(detector, mode, compiled)
    if with_masks:
        soften_masks(detector)
    else:
        drop_masks(detector)
    rearrange_detector(detector, mode)
    if compiled:
        # Sizes differ from view to view: one program serves all of them.
        detector.backbone.forward = torch.compile(
            detector.backbone.forward, dynamic=True
        )
    if mode == 'fast':
        halve_heads(detector)


def check_fits(detector: BaseDetector, mode: str, compiled: bool) -> None:
    """Check that a detector can be made fast in the way that is wanted.

    Args:
        detector: The detector, which has weights.
        mode: See `prepare_detector`.
        compiled: See `prepare_detector`.

    Raises:
        ValueError: See `prepare_detector`.
    """
    if compiled and getattr(detector, 'backbone', None) is None:
        raise ValueError(
            'compile_backbone=True needs a detector with a `backbone`, got '
            f'{type(detector).__name__}: leave the option out'
        )
    if mode != 'fast':
        return
    device = next(detector.parameters()).device.type
    if device not in HALF:
        raise ValueError(
            f"mode='fast' needs a device of the kinds {tuple(HALF)}, got "
            f"{device!r}: use mode='exact'"
        )


def drop_masks(detector: BaseDetector) -> None:
    """Take the mask head away, because only boxes are needed.

    Args:
        detector: The detector. It is changed in place if it has a mask head.
    """
    roi_head = getattr(detector, 'roi_head', None)
    if roi_head is not None and getattr(roi_head, 'with_mask', False):
        # `with_mask` of MMDetection then says that there is none.
        roi_head.mask_head = None


def soften_masks(detector: BaseDetector) -> None:
    """Let the mask head of a two-stage detector give probabilities.

    A negative threshold means that to MMDetection. Their mean over the views
    is more exact than that of masks which are cut already.

    Args:
        detector: The detector. It is changed in place if it cuts at 0.5, as
            all of MMDetection's do; one with a threshold of its own keeps it.
    """
    cfg = getattr(getattr(detector, 'roi_head', None), 'test_cfg', None)
    if cfg is not None and cfg.get('mask_thr_binary') == 0.5:
        # Below 0, FCNMaskHead gives probabilities times 255, as uint8.
        cfg.mask_thr_binary = -1


@torch.no_grad()
def rearrange_detector(detector: BaseDetector, mode: str) -> None:
    """Make backbone and neck faster.

    Args:
        detector: A detector in evaluation mode. It is changed in place if it
            has a backbone or a neck.
        mode: `'exact'` or `'fast'`, see `prepare_detector`.
    """
    names = [name for name in EXTRACTORS if getattr(detector, name, None)]
    if not names:
        return
    noise = make_noise(detector)
    # If this fails, it is None, and every change below is undone.
    before = extract_features(detector, noise)
    changes = [(fold_norms, EXACT), (put_channels_last, EXACT)]
    if mode == 'fast':
        changes.append((halve_precision, ROUGH))
    for change, tolerance in changes:
        for name in names:
            part = getattr(detector, name)
            if changed := try_change(part, change):
                setattr(detector, name, changed)
                after = extract_features(detector, noise)
                if are_close(before, after, tolerance):
                    continue
                setattr(detector, name, part)
            warn_of_slow_part(change, detector, name)
    # Heads need contiguous features: mmcv's RoIAlign takes channels-last ones
    # for contiguous, and some heads use `view`.
    detector.extract_feat = make_features_contiguous(detector.extract_feat)


def try_change(part: nn.Module, change: Callable) -> nn.Module | None:
    """Change a copy of a part.

    Args:
        part: A backbone or a neck.
        change: One of the functions that change a part and return it.

    Returns:
        The changed copy; None if the part cannot be changed in this way.
    """
    try:
        return change(copy.deepcopy(part))
    # For example, mmcv's folding fails on batch norms without weights.
    except Exception:
        return None


def fold_norms(part: nn.Module) -> nn.Module:
    """Fold batch norms into the convolutions before them.

    mmcv finds the pairs by the order in which modules were registered, which
    may differ from the order in which they run. Heads are not folded, because
    in some of them several norms share a convolution.

    Args:
        part: A backbone or a neck in evaluation mode. It is changed in place.

    Returns:
        The part. What mmcv raises, as for batch norms without weights, is
        passed on.
    """
    return fuse_conv_bn(part)


def put_channels_last(part: nn.Module) -> nn.Module:
    """Let convolutions compute with the channels as the last dimension.

    mmcv's deformable convolutions cannot do that.

    Args:
        part: A backbone or a neck. It is changed in place.

    Returns:
        The part.
    """
    # The type stubs lack this argument, which PyTorch documents.
    return part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def halve_precision(part: nn.Module) -> nn.Module:
    """Run a part as a whole under autocast.

    The weights of convolutions and linear layers are rounded here, once;
    autocast would round them to the same numbers in each batch. On CPUs,
    mmcv's deformable convolutions have no half precision.

    Args:
        part: A backbone or a neck, which has weights. It is changed in place.

    Returns:
        The part.

    Raises:
        StopIteration: If it has no weights.
        KeyError: If it has layers to round, and its device is of no kind in
            `HALF`.
    """
    # `try_change` catches the StopIteration of a neck without weights.
    device = next(part.parameters()).device.type
    for module in part.modules():
        # By function, not by class: mmcv's ConvWS2d is a Conv2d too, but its
        # `forward` derives other weights from its own.
        if type(module).forward in ROUNDED:
            module.to(HALF[device])
    part.forward = wrap_in_half_precision(part.forward, device)
    return part


def make_noise(detector: BaseDetector) -> Tensor:
    """Make an image of fixed noise that is large enough for a detector.

    Args:
        detector: The detector, which has weights. It is tried on images of
            `NOISE_SIDES`.

    Returns:
        Shape (1, 3, side, side), float32, on the device of the detector, with
        the first side that works; the last side if none does.
    """
    device = next(detector.parameters()).device
    for side in NOISE_SIDES:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, 3, side, side, generator=generator).to(device)
        if extract_features(detector, noise) is not None:
            break
    return noise


def extract_features(
    detector: BaseDetector, image: Tensor
) -> list[Tensor] | None:
    """Return what backbone and neck make of an image.

    Args:
        detector: The detector.
        image: Shape (1, 3, h, w), float32, on the device of the detector.

    Returns:
        The feature maps, each of shape (1, c, h', w'); None if a part fails.
    """
    try:
        return list(detector.extract_feat(image))
    # Layers raise many kinds of errors about a format or a type of numbers.
    except Exception:
        return None


def are_close(
    some: list[Tensor] | None, others: list[Tensor] | None, tolerance: float
) -> bool:
    """Return whether two sets of features differ by no more than rounding.

    Args:
        some: The features to compare with, see `extract_features`; None if
            there are none.
        others: The other features, as many and of the same shapes; None if
            there are none.
        tolerance: The largest difference that is allowed, as a fraction of the
            largest number of each feature map in `some`.

    Returns:
        Whether no number differs by more than is allowed; False if one of the
        two is None, or if a number is NaN.
    """
    if some is None or others is None:
        return False
    return all(
        (one - other).abs().max() <= tolerance * one.abs().max()
        for one, other in zip(some, others, strict=True)
    )


def warn_of_slow_part(
    change: Callable, detector: BaseDetector, name: str
) -> None:
    """Log a warning that a part of a detector was left as it was.

    Args:
        change: The function that would have changed the part.
        detector: The detector.
        name: The name of the part.
    """
    print_log(
        f'{change.__name__} was not applied to the {name} of this '
        f'{type(detector).__name__}, because its features would change or it '
        'would fail. Its results are right, but it is slower',
        'current',
        logging.WARNING,
    )


def make_features_contiguous(extract_feat: Callable) -> Callable:
    """Make an `extract_feat` return contiguous features.

    Args:
        extract_feat: The method of a detector, which returns a sequence of
            tensors.

    Returns:
        A function with the same arguments, which returns a tuple.
    """

    @functools.wraps(extract_feat)
    def contiguous_features(*args: object, **kwargs: object) -> tuple:
        """Return the features of `extract_feat`, contiguous in memory."""
        features = extract_feat(*args, **kwargs)
        return tuple(feature.contiguous() for feature in features)

    return contiguous_features


def halve_heads(detector: BaseDetector) -> None:
    """Let the convolutions and linear layers of heads use half precision.

    Heads are here all parts of a detector but its backbone and its neck.

    This changes the layers one by one, and not the heads as a whole: between
    the layers, heads compute priors and boxes, which half precision would move
    by pixels.

    Args:
        detector: The detector. It is changed in place.
    """
    device = next(detector.parameters()).device.type
    for name, part in detector.named_children():
        if name in EXTRACTORS:
            continue
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                forward = wrap_in_half_precision(layer.forward, device)
                # This changes the layer, and not its class.
                layer.forward = forward  # type: ignore[method-assign]


def wrap_in_half_precision(forward: Callable, device: str) -> Callable:
    """Make a function run under autocast, and return fp32.

    Args:
        forward: A function that takes and returns tensors.
        device: The kind of device that the tensors are on, a key of `HALF`.

    Returns:
        A function with the same arguments, which returns the result in fp32.
        When called, it raises `KeyError` for another device.
    """

    @functools.wraps(forward)
    def half_forward(*args: object, **kwargs: object) -> Tensor | Sequence:
        """Return what `forward` computes in half precision, as fp32."""
        with torch.autocast(device, HALF[device]):
            return convert_to_fp32(forward(*args, **kwargs))

    return half_forward


def convert_to_fp32(features: Tensor | Sequence) -> Tensor | Sequence:
    """Convert a tensor, or each tensor of a nested sequence, to fp32.

    Args:
        features: What a backbone or a neck gives, of any shapes.

    Returns:
        A tensor for a tensor, and a tuple for a sequence. What is fp32 already
        is not copied.
    """
    if isinstance(features, Tensor):
        return features.float()
    return tuple(convert_to_fp32(feature) for feature in features)
