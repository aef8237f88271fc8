"""Notices weights that a model loads, and that are not its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from mmengine.runner import checkpoint

from ...attributes import replaced
from ...multi_view.inference.checkpoints import CheckpointError

# A part of a detector takes nearly all weights of its own file. Those of
# another model have some names and shapes in common.
MIN_SHARE = 0.5


@contextmanager
def refusing_other_weights() -> Iterator[None]:
    """Let MMEngine refuse weights of which most do not fit the model.

    MMEngine leaves out what does not fit, and only logs it. So a training
    would begin with random weights.

    Yields:
        Nothing. What loads weights raises `CheckpointError`.

    Raises:
        CheckpointError: If weights in the context do not fit, see `check_fit`.
    """
    load = checkpoint.load_state_dict

    def load_own(
        module: torch.nn.Module, state_dict: Mapping, *args: object
    ) -> None:
        """Load weights that are those of the module."""
        check_fit(module, state_dict)
        load(module, state_dict, *args)

    with replaced(checkpoint, 'load_state_dict', load_own):
        yield


def check_fit(module: torch.nn.Module, weights: Mapping) -> None:
    """Check that weights are those of a model or of a part of it.

    Args:
        module: The model, or the part that the weights are for.
        weights: Name -> value.

    Raises:
        CheckpointError: If fewer than `MIN_SHARE` of the weights that could
            fit (the smaller of both numbers) have the same name and shape, or
            if there are none.
    """
    own = {name: value.shape for name, value in module.state_dict().items()}
    given = {
        name: value.shape
        for name, value in weights.items()
        if isinstance(value, torch.Tensor)
    }
    fitting = sum(own.get(name) == shape for name, shape in given.items())
    # A file may have less than a model, or a part of a model less than a file.
    possible = min(len(own), len(given))
    if possible and fitting >= MIN_SHARE * possible:
        return
    others = [name for name, shape in given.items() if own.get(name) != shape]
    raise CheckpointError(
        f'the weights that it begins with (load_from or init_cfg) are those '
        f'of another model: {fitting} of {len(given)} fit the {len(own)} of '
        f'{type(module).__name__}; not so {", ".join(others[:3]) or "any"}'
    )
