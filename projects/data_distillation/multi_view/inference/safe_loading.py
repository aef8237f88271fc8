"""Keeps checkpoints from running code while they are loaded, or later.

A checkpoint is a pickle, which can run any code. PyTorch can limit what it
reads to weights and plain values. But MMEngine reads a file that is refused
again without this limit, and it allows `getattr`, which gives a checkpoint
access to all of Python. Then it acts on some of the plain values.
"""

import os
import struct
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import BinaryIO, cast

import torch
from mmengine.utils import digit_version

from ...attributes import replaced
from ...command_line import TRUST_FLAG
from . import restricted_pickle
from .checkpoint_error import CheckpointError
from .checkpoint_fields import remove_orders
from .restricted_pickle import CodeError, list_mmengine_globals

# If this environment variable is 0, checkpoints are loaded unchecked. PyTorch
# has the variable too: if it is true, PyTorch reads nothing but weights.
VARIABLE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
WAY_OUT = (
    f'If you trust whoever made it, add {TRUST_FLAG} to the command, or put '
    f'{VARIABLE}=0 before it'
)
# Since this version, PyTorch can be told what to allow besides weights.
KNOWS_GLOBALS = digit_version(torch.__version__) >= digit_version('2.6.0')
# What PyTorch raises where a file is no pickle, or asks for code.
UNREADABLE = (
    UnpicklingError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    struct.error,
)
File = str | os.PathLike | BinaryIO
Load = Callable[..., object]


@contextmanager
def refusing_code(is_trusted: bool = False) -> Iterator[None]:
    """Let `torch.load` refuse more than weights and plain values.

    What MMEngine would act on is taken from the checkpoints too. Checkpoints
    are loaded unchecked if the user has set `VARIABLE` to 0.

    Args:
        is_trusted: Whether checkpoints are loaded unchecked, also in the
            processes that this one starts.

    Yields:
        Nothing. Inside the context, `torch.load` raises `CheckpointError`
        instead of running code, unless checkpoints are loaded unchecked.
    """
    with ExitStack() as during:
        if is_trusted:
            during.enter_context(environment_variable('0'))
        if os.environ.get(VARIABLE) != '0':
            during.enter_context(checked_loading())
        yield


def load_mapped(file: Path) -> object:
    """Load a checkpoint that must hold no code, without reading all of it.

    Args:
        file: The checkpoint.

    Returns:
        Its content, with tensors that are read when they are used.

    Raises:
        CheckpointError: If it could run code, or has a value that MMEngine
            does not write.
        OSError: If it cannot be read.
        RuntimeError: If it is no whole checkpoint in the format that PyTorch
            writes by default since 1.6.
    """
    with refusing_code():
        # PyTorch 2.1 takes no `Path` with `mmap`.
        return torch.load(str(file), map_location='cpu', mmap=True)


@contextmanager
def checked_loading() -> Iterator[None]:
    """Replace `torch.load` inside the context, unless it is replaced already.

    Yields:
        Nothing. After the context, `torch.load` is what it was before.
    """
    load = torch.load
    # A `partial` has its function as `func`: in nested contexts, only the
    # outer one wraps.
    if getattr(load, 'func', None) is not load_data:
        load = partial(load_data, load)
    with replaced(torch, 'load', load):
        yield


@contextmanager
def environment_variable(value: str | None) -> Iterator[None]:
    """Set `VARIABLE`, or remove it, inside the context.

    Args:
        value: The value; None to remove it.

    Yields:
        Nothing. After the context, the variable is what it was before.
    """
    before = os.environ.pop(VARIABLE, None)
    if value is not None:
        os.environ[VARIABLE] = value
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def load_data(
    load: Load,
    f: File,
    map_location: object = None,
    pickle_module: object = None,
    *,
    weights_only: bool | None = None,
    **kwargs: object,
) -> object:
    """Load a checkpoint as `torch.load` does, if it is data.

    Args:
        load: PyTorch's own function.
        f: The file: a path, or a file that is open for reading bytes, and has
            `tell` and `seek`.
        map_location: Where the weights go; None for where they were.
        pickle_module: It is not used.
        weights_only: It is not used.
        **kwargs: The other arguments of `torch.load`.

    Returns:
        The content, without what MMEngine would act on.

    Raises:
        CheckpointError: If the file could run code, is no checkpoint, or has
            a value that MMEngine does not write.
        OSError: If the file cannot be read.
        RuntimeError: If PyTorch says itself what is wrong with the file, such
            as one that is cut short.
    """
    limited = load_with_torch if KNOWS_GLOBALS else load_with_pickle
    # From here, a file that is refused is read again to find out why.
    start = tell(f)
    try:
        content = limited(load, f, map_location=map_location, **kwargs)
    except (*UNREADABLE, RuntimeError) as error:
        # PyTorch says what is wrong with a file that is cut short.
        if isinstance(error, RuntimeError) and not is_advice(error):
            raise
        seek(f, start)
        # `from None` keeps PyTorch's own advice, to load without the limit,
        # out of the traceback.
        raise CheckpointError(explain_refusal(f, load, error)) from None
    is_file = isinstance(f, str | os.PathLike)
    # A link counts as the file in the work folder that it leads to.
    folder = Path(cast(str, f)).resolve().parent if is_file else None
    remove_orders(content, folder)
    return content


def load_with_torch(load: Load, f: File, **kwargs: object) -> object:
    """Load a file within PyTorch's own limit, which needs PyTorch 2.6.

    What PyTorch raises is passed on.

    Args:
        load: PyTorch's own function.
        f: The file.
        **kwargs: The other arguments of `torch.load`.

    Returns:
        The content of the file.
    """
    known = torch.serialization.get_safe_globals()
    try:
        # MMEngine's own list has `getattr`.
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(
            [
                *(each for each in known if each is not getattr),
                *(
                    (each, name)
                    for name, each in list_mmengine_globals().items()
                ),
            ]
        )
        return load(f, weights_only=True, **kwargs)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(known)


def load_with_pickle(load: Load, f: File, **kwargs: object) -> object:
    """Load a file with the limit of this project, in any PyTorch.

    What else PyTorch or `pickle` raises for a file is passed on.

    Args:
        load: PyTorch's own function.
        f: The file.
        **kwargs: The other arguments of `torch.load`.

    Returns:
        The content of the file.

    Raises:
        CodeError: If it could run code.
        RuntimeError: If it is a program of TorchScript, or cut short.
    """
    # With the variable, PyTorch would insist on `weights_only`, and refuse any
    # `pickle_module`.
    with environment_variable(None), pickles_alone():
        return load(
            f, pickle_module=restricted_pickle, weights_only=False, **kwargs
        )


@contextmanager
def pickles_alone() -> Iterator[None]:
    """Let `torch.load` neither run TorchScript nor unpack tar files.

    Yields:
        Nothing. Inside the context, `torch.load` raises a `RuntimeError` for a
        program of TorchScript, and takes a tar file for none.

    Raises:
        RuntimeError: If a program of TorchScript is loaded in the context.
    """

    def refuse_script(*args: object, **kwargs: object) -> None:
        """Raise what `explain_refusal` knows."""
        raise RuntimeError('TorchScript')

    def refuse_tar(*args: object, **kwargs: object) -> None:
        """Raise what PyTorch takes for another kind of file."""
        raise tarfile.TarError

    with (
        replaced(torch.jit, 'load', refuse_script),
        replaced(tarfile, 'open', refuse_tar),
    ):
        yield


def tell(f: File) -> int:
    """Return the position in a file.

    Args:
        f: A path, or a file that is open.

    Returns:
        The position in bytes; 0 for a path.
    """
    return 0 if isinstance(f, str | os.PathLike) else f.tell()


def seek(f: File, position: int) -> None:
    """Set the position in a file, if it is open.

    Args:
        f: A path, for which nothing is done, or a file that is open.
        position: The position in bytes, as `tell` gives it.
    """
    if not isinstance(f, str | os.PathLike):
        f.seek(position)


def describe_file(f: File) -> str:
    """Return how messages call a file.

    Args:
        f: A path, or a file that is open.

    Returns:
        The path; for an open file a description.
    """
    is_path = isinstance(f, str | os.PathLike)
    return os.fspath(cast(str, f)) if is_path else 'the checkpoint to load'


def is_advice(error: Exception) -> bool:
    """Return whether PyTorch advises to load a file without the limit.

    Args:
        error: What `torch.load` raised.

    Returns:
        True if the message names `weights_only` or TorchScript.
    """
    return 'TorchScript' in str(error) or 'weights_only' in str(error)


def explain_refusal(f: File, load: Load, error: Exception) -> str:
    """Explain to a user why a file is refused, and what to do.

    Args:
        f: The file, which is read again from its present position.
        load: PyTorch's own function.
        error: What was raised when it was loaded. PyTorch's messages are not
            passed on, because they advise to load without the limit.

    Returns:
        A message for `CheckpointError`, with the file as `describe_file` says.
    """
    if 'TorchScript' in str(error):
        return (
            f'{describe_file(f)} is refused: it is a program of TorchScript, '
            'and no checkpoint. Load the checkpoint that it was made of'
        )
    found = find_own_refusal(f, load, error)
    if isinstance(found, CodeError):
        return (
            f'{describe_file(f)} is refused, because it holds code, which '
            f'would run while it is loaded: {found}. Weights and plain values '
            f'need no code. {WAY_OUT}'
        )
    if found is None:
        return (
            f'{describe_file(f)} is refused, because PyTorch cannot check '
            'whether it holds code. Load it where it was made, and save it by '
            f'`torch.save(content, file)`. {WAY_OUT}'
        )
    return (
        f'{describe_file(f)} is not a checkpoint. Is it empty, a web page, or '
        'a Git LFS pointer, instead of the file itself?'
    )


def find_own_refusal(
    f: File, load: Load, error: Exception
) -> Exception | None:
    """Find out why this project's own limit refuses a file.

    Args:
        f: The file, which is read again from its present position.
        load: PyTorch's own function.
        error: What was raised when it was loaded.

    Returns:
        What is raised, which is a `CodeError` if the file could run code;
        None if it does not refuse the file.
    """
    if isinstance(error, CodeError):
        return error
    try:
        load_with_pickle(load, f, map_location='cpu')
    # What is no pickle can raise anything.
    except Exception as found:
        return found
    return None
