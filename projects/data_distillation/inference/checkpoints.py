"""Does a checkpoint fit? mmengine loads what fits and logs the rest."""

import logging
from collections.abc import Mapping, Sequence

from mmdet.registry import MODELS
from mmengine.logging import print_log
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

NUM_SHOWN = 5


class CheckpointError(ValueError):
    """A checkpoint that must not be used; the message says why."""


def check_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Check that a checkpoint has a weight of the right shape for every one.

    mmengine loads with `strict=False`: what is missing would keep its random
    values, and label at random.

    Args:
        model: The model to load into.
        weights: The checkpoint's `state_dict`. Weights that the model does
            not have (the mask head of a teacher of boxes) do no harm.

    Raises:
        CheckpointError: With how many are missing or differ, and the first.
    """
    weights = {name.removeprefix('module.'): w for name, w in weights.items()}
    wrong = []
    for name, value in model.state_dict().items():
        if name not in weights:
            wrong.append(f'{name} is missing')
        elif weights[name].shape != value.shape:
            wrong.append(
                f'{name} is {tuple(weights[name].shape)}, the model needs '
                f'{tuple(value.shape)}'
            )
    if wrong:
        raise CheckpointError(
            f'the checkpoint is of another model: {len(wrong)} of '
            f'{len(model.state_dict())} weights do not fit. '
            f'{"; ".join(wrong[:NUM_SHOWN])}. Use the config that it was '
            'trained with'
        )


def load_teacher(module: dict, file: str) -> nn.Module:
    """Build a detector and load a checkpoint into it.

    Args:
        module: The detector's config.
        file: The checkpoint, a path or a URL.

    Returns:
        The detector, whose `checkpoint_meta` is the checkpoint's `meta`.

    Raises:
        TypeError: If `module` is not a config.
        CheckpointError: If the weights do not fit.
    """
    if not isinstance(module, dict):
        raise TypeError(
            'other_teachers need `module`, the config of a detector, got '
            f'{type(module).__name__}'
        )
    teacher = MODELS.build(module)
    checkpoint = load_checkpoint(teacher, file, map_location='cpu')
    check_weights(teacher, checkpoint.get('state_dict', checkpoint))
    teacher.checkpoint_meta = checkpoint.get('meta', {})
    return teacher


def check_checkpoint_classes(meta: Mapping, classes: Sequence[str]) -> None:
    """Check that a teacher was trained on these classes, in this order.

    Args:
        meta: The checkpoint's `meta`. One that names no classes passes, with
            a warning.
        classes: The labeled file's category names, in its order.

    Raises:
        CheckpointError: If the classes differ.
    """
    dataset_meta = meta.get('dataset_meta') or {}
    trained = dataset_meta.get('classes') or meta.get('CLASSES')
    if trained is None:
        print_log(
            'the checkpoint does not say what its classes are: make sure that '
            f'they are {list(classes)}',
            'current',
            logging.WARNING,
        )
    elif list(trained) != list(classes):
        raise CheckpointError(
            f'the checkpoint was trained on the classes {list(trained)}, the '
            f'labeled file has {list(classes)}: they must be the same, in the '
            'same order'
        )
