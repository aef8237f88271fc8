"""Keeps checkpoints from running code while they are loaded.

A checkpoint is a pickle, which can run any code. PyTorch can limit what it
reads to weights and plain values. But MMEngine reads a file that is refused
again without this limit, and it allows `getattr`, which gives a checkpoint
access to all of Python.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pickle import UnpicklingError

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint
from mmengine.utils import digit_version

from .checkpoints import CheckpointError

# If this environment variable is true, PyTorch reads nothing but weights,
# whatever arguments it is called with.
VARIABLE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# What the log buffers in MMEngine's checkpoints look up by name.
STATISTICS = ('min', 'max', 'mean', 'current')
# The beginnings of the causes that are about code.
REFUSED = ('Unsupported global', 'Unsupported class', 'it looks up')
# The modules in which NumPy 1 and NumPy 2 have the same functions.
NUMPY_MODULES = ('numpy.core.multiarray', 'numpy._core.multiarray')


@contextmanager
def refusing_code() -> Iterator[None]:
    """Refuse checkpoints that hold more than weights and plain values.

    The limit stays for the rest of this process. Checkpoints are loaded
    without it if the user has set `VARIABLE` to 0, or if PyTorch is older than
    2.6, which cannot read MMEngine's own checkpoints with the limit.

    Yields:
        Nothing.

    Raises:
        CheckpointError: If a checkpoint is refused.
    """
    if digit_version(torch.__version__) >= digit_version('2.6.0'):
        os.environ.setdefault(VARIABLE, '1')
        torch.serialization.add_safe_globals(safe_globals())
        # MMEngine's own list would allow `getattr` too.
        checkpoint.get_torch_safe_globals = list
    try:
        yield
    except UnpicklingError as error:
        raise CheckpointError(explain_refusal(str(error))) from None


def explain_refusal(message: str) -> str:
    """Explain to a user why PyTorch refused a checkpoint, and what to do.

    Args:
        message: The message of PyTorch, of which only the cause is kept.
    """
    cause = message.rpartition('WeightsUnpickler error: ')[2].strip()
    cause = cause.splitlines()[0].partition(' Please use')[0]
    if not cause.startswith(REFUSED):
        return (
            f'the file to load is not a checkpoint: {cause} Is it a web '
            'page, or a Git LFS pointer, instead of the file itself?'
        )
    return (
        'the checkpoint to load is refused, because it holds more than '
        f'weights and could run code: {cause} If you trust whoever made it, '
        f'put {VARIABLE}=0 before the command: '
        f'`{VARIABLE}=0 python tools/test.py ...`'
    )


def safe_globals() -> list[Callable | tuple[Callable, str]]:
    """List what a checkpoint may call besides what PyTorch itself allows.

    Returns:
        The functions and classes that MMEngine's checkpoints need, whether
        NumPy 1 or NumPy 2 has written them. Some come with the name that the
        checkpoint has for them.
    """
    numpy_core = np._core if hasattr(np, '_core') else np.core
    functions = (
        numpy_core.multiarray._reconstruct,
        numpy_core.multiarray.scalar,
    )
    codes = np.typecodes['AllInteger'] + np.typecodes['Float'] + '?'
    return [
        HistoryBuffer,
        (look_up_statistic, 'builtins.getattr'),
        slice,
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in codes},
        *(
            (function, f'{module}.{function.__name__}')
            for function in functions
            for module in NUMPY_MODULES
        ),
    ]


def look_up_statistic(owner: object, name: str) -> Callable:
    """Look up a statistic of a log buffer.

    A checkpoint calls this function where it asks for `getattr`.

    Args:
        owner: The object that the checkpoint looks into.
        name: The name that it looks up.

    Raises:
        UnpicklingError: If the owner is not a log buffer, or the name is not
            one of `STATISTICS`.
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise UnpicklingError(f'it looks up {name!r} of {owner!r}.')
    return getattr(HistoryBuffer, name)
