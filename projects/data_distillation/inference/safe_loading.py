"""Lets no checkpoint run code while it is loaded.

A checkpoint is a pickle, which can run anything. torch can read weights and
plain values only, but mmengine reads whatever is refused again, without that
limit; and it allows `getattr`, by which a checkpoint reaches all of Python.
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

# If true, torch reads nothing but weights, whatever it is called with.
VARIABLE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# What mmengine's log buffers, which are in its checkpoints, look up by name.
STATISTICS = ('min', 'max', 'mean', 'current')
# How the causes begin that are about code.
REFUSED = ('Unsupported global', 'Unsupported class', 'it looks up')
# NumPy 1 and 2 write the same functions under these.
NUMPY_MODULES = ('numpy.core.multiarray', 'numpy._core.multiarray')


@contextmanager
def refusing_code() -> Iterator[None]:
    """Refuse checkpoints that hold more than weights and plain values.

    It stays so in this process. If the user has set `VARIABLE` to 0, they are
    loaded all the same; so they are with torch before 2.6, which cannot read
    mmengine's own checkpoints in this way.

    Yields:
        Nothing.

    Raises:
        CheckpointError: If a checkpoint is refused.
    """
    if digit_version(torch.__version__) >= digit_version('2.6.0'):
        os.environ.setdefault(VARIABLE, '1')
        torch.serialization.add_safe_globals(safe_globals())
        # What mmengine allows of its own: `getattr` too.
        checkpoint.get_torch_safe_globals = list
    try:
        yield
    except UnpicklingError as error:
        raise CheckpointError(refusal(str(error))) from None


def refusal(message: str) -> str:
    """Say what a user can do about a checkpoint that torch refused.

    Args:
        message: torch's, of which the cause is kept.
    """
    cause = message.rpartition('WeightsUnpickler error: ')[2].strip()
    cause = cause.splitlines()[0].partition(' Please use')[0]
    if not cause.startswith(REFUSED):
        return (
            f'the checkpoint that was to be loaded is none: {cause} Is it a '
            'web page, or a Git LFS pointer, instead of the file itself?'
        )
    return (
        'the checkpoint that was to be loaded holds more than weights and '
        f'could run code, it is refused: {cause} If you trust whoever made '
        f'it, put {VARIABLE}=0 before the command: '
        f'`{VARIABLE}=0 python tools/test.py ...`'
    )


def safe_globals() -> list[Callable | tuple[Callable, str]]:
    """List what a checkpoint may call, beside what torch itself allows.

    Returns:
        What mmengine's checkpoints need, of NumPy 1 and 2 alike: functions
        and classes, some with the name under which they are written.
    """
    numpy_core = np._core if hasattr(np, '_core') else np.core
    functions = (
        numpy_core.multiarray._reconstruct,
        numpy_core.multiarray.scalar,
    )
    codes = np.typecodes['AllInteger'] + np.typecodes['Float'] + '?'
    return [
        HistoryBuffer,
        (statistic, 'builtins.getattr'),
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


def statistic(owner: object, name: str) -> Callable:
    """Look up a log buffer's statistic; takes the place of `getattr`.

    Raises:
        UnpicklingError: If anything else is looked up.
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise UnpicklingError(f'it looks up {name!r} of {owner!r}.')
    return getattr(HistoryBuffer, name)
