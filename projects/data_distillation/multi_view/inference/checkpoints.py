"""Checks that a checkpoint fits a model.

MMEngine itself loads the weights that fit, and only logs the others.
"""

from collections.abc import Mapping

from mmdet.registry import MODELS
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from .checkpoint_error import CheckpointError
from .checkpoint_fields import CHANGED, make_plain_dict
from .point_encoding import mend_point_encoding
from .safe_loading import refusing_code

__all__ = [
    'CheckpointError',
    'check_weights',
    'load_teacher',
]

# Weights that only training uses: those of DINO's noisy queries. Checkpoints
# that were converted from other code lack them.
OF_TRAINING = 'dn_query_generator.'
# How many weights that do not fit are named in the message.
NUM_NAMED = 5


def check_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Check that a checkpoint has every weight of a model, in its shape.

    Weights that only training uses may be missing. Buffers, such as the means
    of a norm, count as weights.

    MMEngine loads with `strict=False`. A weight that is missing would keep its
    random values, and the teacher would label at random. With a weight that
    is NaN it would find nothing.

    Args:
        model: The model to load the weights into.
        weights: The `state_dict` of the checkpoint. It may have weights that
            the model lacks, such as those of a mask head. Names may begin with
            `module.`, as those of a distributed training do.

    Raises:
        CheckpointError: With the number of weights that are missing, no
            tensors or of another shape, and the first of them; with the name
            of a weight that has a NaN; or if the weights are no dictionary by
            names.
    """
    # The prefix is of a model that several processes have trained.
    weights = {
        name.removeprefix('module.'): weight
        for name, weight in make_named(weights).items()
    }
    wrong = []
    needed = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith(OF_TRAINING)
    }
    for name, value in needed.items():
        if name not in weights:
            wrong.append(f'{name} is missing')
        elif not isinstance(weight := weights[name], Tensor):
            wrong.append(f'{name} is no tensor, but {type(weight).__name__}')
        elif weight.shape != value.shape:
            wrong.append(
                f'{name} is {tuple(weight.shape)}, the model needs '
                f'{tuple(value.shape)}'
            )
    if wrong:
        raise CheckpointError(
            f'the checkpoint is of another model: {len(wrong)} of '
            f'{len(needed)} weights do not fit. '
            f'{"; ".join(wrong[:NUM_NAMED])}. Use the config that the '
            'checkpoint was trained with'
        )
    check_numbers({name: weights[name] for name in needed})


def make_named(weights: object) -> dict:
    """Return a copy of a `state_dict`, after checking that it has names.

    Args:
        weights: The `state_dict` of a checkpoint.

    Returns:
        A new dictionary with the same names and values, in order.

    Raises:
        CheckpointError: If it is no dictionary, or a key is no text.
    """
    named = make_plain_dict(weights, 'state_dict')
    for name in named:
        if not isinstance(name, str):
            raise CheckpointError(
                '`state_dict` of the checkpoint must have names as keys, got '
                f'{name!r:.80}: {CHANGED}'
            )
    return named


def check_numbers(weights: Mapping[str, Tensor]) -> None:
    """Check that no weight is NaN; a mask may be infinite.

    Args:
        weights: Name -> weight, of any shapes. Integers pass.

    Raises:
        CheckpointError: With the first weight that has a NaN.
    """
    for name, weight in weights.items():
        # `max` of a weight without elements would fail.
        is_real = weight.is_floating_point() and weight.numel()
        # A maximum of NaN is NaN, and needs no memory.
        if is_real and weight.max().isnan():
            raise CheckpointError(
                f'the checkpoint has weights that are no numbers ({name} has '
                'NaN), so that it finds nothing: its training has diverged. '
                'Use an earlier checkpoint, or train it again with a lower '
                'learning rate'
            )


def add_preprocessor(module: dict, data_preprocessor: dict | None) -> dict:
    """Give a detector without a data preprocessor that of another place.

    Args:
        module: The config of the detector. Its own preprocessor wins.
        data_preprocessor: The config of the preprocessor; None for none.

    Returns:
        A new config, or `module` itself if nothing is to be added.
    """
    if not data_preprocessor:
        return module
    return {'data_preprocessor': data_preprocessor, **module}


def load_teacher(
    module: dict, file: str, data_preprocessor: dict | None = None
) -> nn.Module:
    """Build a detector and load a checkpoint into it.

    Args:
        module: The config of the detector.
        file: The path or the URL of the checkpoint.
        data_preprocessor: The config of the data preprocessor if `module` has
            none; None for MMEngine's default.

    Returns:
        The detector, on the CPU and in training mode. Its attribute
        `checkpoint_meta` is the `meta` of the checkpoint; it is empty if the
        checkpoint has none.

    Raises:
        TypeError: If `module` is not a config, or has an unknown argument.
        KeyError: If a type in `module` is not registered.
        CheckpointError: If the weights do not fit the detector or have a NaN,
            or the file could run code, or is no checkpoint.
        OSError: If the file cannot be read or downloaded.
        RuntimeError: If the file is cut short, or holds no dictionary.
    """
    if not isinstance(module, dict):
        raise TypeError(
            'each of other_teachers needs `module`, the config of a '
            'detector, unless `module` of MultiViewTTA is one too, got '
            f'{type(module).__name__}'
        )
    with refusing_code():
        teacher = MODELS.build(add_preprocessor(module, data_preprocessor))
        checkpoint = load_checkpoint(teacher, file, map_location='cpu')
    mend_point_encoding(teacher)
    revert_sync_batchnorm(teacher)  # As `WrappedDetector` does.
    # A file of weights alone is a `state_dict` itself.
    check_weights(teacher, checkpoint.get('state_dict', checkpoint))
    teacher.checkpoint_meta = checkpoint.get('meta', {})
    return teacher
