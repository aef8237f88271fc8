"""Lets Grounding DINO run in versions of MMDetection that broke it."""

from mmdet.models.layers.transformer import MLP
from torch import Tensor, nn


def mend_point_encoding(detector: nn.Module) -> None:
    """Let the decoder of a detector that reads texts encode points as before.

    onedl-mmdetection 3.5.1 encodes each coordinate of a point with twice as
    many numbers as MMDetection does. Its DINO has layers for them. The layers
    of Grounding DINO and the weights in its model zoo are for the former ones.
    Nothing changes where the encoding fits.

    Args:
        detector: The detector; it is changed in place.
    """
    if not hasattr(detector, 'language_model'):
        return
    for module in detector.modules():
        head = getattr(module, 'ref_point_head', None)
        if isinstance(head, MLP):
            # A hook leaves the names of the weights as checkpoints have them.
            head.register_forward_pre_hook(take_former_encoding)


def take_former_encoding(
    head: MLP, inputs: tuple[Tensor]
) -> tuple[Tensor] | None:
    """Take the numbers of the former encoding out of the longer one.

    Both are pairs of sine and cosine. The frequencies of the former are every
    other one of the longer.

    Args:
        head: The layers that take the encoding.
        inputs: The encoding, shape (..., numbers), as the only item.

    Returns:
        The encoding that the head takes, shape (..., numbers / 2), as the only
        item; None, for no change, if `inputs` has not twice as many numbers as
        the head takes.
    """
    (encoding,) = inputs
    if encoding.shape[-1] != 2 * head.layers[0].in_features:
        return None
    pairs = encoding.unflatten(-1, (-1, 2))  # (..., numbers / 2, 2)
    return (pairs[..., ::2, :].flatten(-2),)
