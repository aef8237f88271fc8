"""Unpickles weights and plain values, and nothing that is code.

`torch.load` takes this module as its `pickle_module`, in every version of
PyTorch. PyTorch's own limit, `weights_only`, knows only since 2.6 what
MMEngine's checkpoints hold besides weights.
"""

import _codecs
import builtins
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleParamScheduler

# What MMEngine's checkpoints look up by name: the statistics of log buffers,
# and the curves of a scheduler.
ATTRIBUTES: dict[object, tuple[str, ...]] = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}
# The modules in which NumPy 1 and NumPy 2 have the same functions.
NUMPY_MODULES = ('numpy.core.multiarray', 'numpy._core.multiarray')
BUILTINS = ('set', 'frozenset', 'bytearray', 'complex', 'slice')
# What a checkpoint may set the state of. With others, it could replace
# methods of a class.
WITH_STATE = (OrderedDict, HistoryBuffer, np.ndarray, np.dtype)


class CodeError(UnpicklingError):
    """A pickle asks for code; the message names it."""


def look_up_attribute(owner: object, name: str) -> Callable:
    """Look up one of `ATTRIBUTES`.

    A checkpoint calls this function where it asks for `getattr`.

    Args:
        owner: The object that the checkpoint looks into.
        name: The name that it looks up.

    Returns:
        The function.

    Raises:
        CodeError: If it is none of `ATTRIBUTES`.
    """
    names = ATTRIBUTES.get(owner, ()) if isinstance(owner, type) else ()
    if name not in names:
        raise CodeError(f'it looks up {name!r} of {owner!r}')
    return getattr(owner, name)


def list_mmengine_globals() -> dict[str, Callable]:
    """List what MMEngine's checkpoints call besides what PyTorch allows.

    Returns:
        The functions and classes by the names that checkpoints have for
        them, whether NumPy 1 or NumPy 2 has written them.
    """
    codes = np.typecodes['AllInteger'] + np.typecodes['Float'] + '?'
    classes = [
        *(HistoryBuffer, OneCycleParamScheduler, slice, np.ndarray, np.dtype),
        bytes,  # Of arrays without elements.
        *{type(np.dtype(code)) for code in codes},
    ]
    # With these, NumPy pickles an array and a number. Where they are depends
    # on its version.
    pickled: tuple[Any, ...] = (np.ones(1), np.float64(1))
    functions = [value.__reduce__()[0] for value in pickled]
    return {
        'builtins.getattr': look_up_attribute,
        **{f'{each.__module__}.{each.__qualname__}': each for each in classes},
        **{
            f'{module}.{each.__name__}': each
            for each in functions
            for module in NUMPY_MODULES
        },
    }


def list_torch_globals() -> dict[str, object]:
    """List what checkpoints of weights and plain values ask a pickle for.

    Returns:
        Each class, function or dtype by its full name, such as `torch.Size`.
    """
    rebuild = ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter')
    dtypes = {
        str(value): value
        for value in vars(torch).values()
        if isinstance(value, torch.dtype)
    }
    return {
        'collections.OrderedDict': OrderedDict,
        'collections.Counter': Counter,
        '_codecs.encode': _codecs.encode,
        'torch.Size': torch.Size,
        'torch.device': torch.device,
        'torch.storage.UntypedStorage': torch.UntypedStorage,
        **dtypes,
        **{f'torch._utils.{n}': getattr(torch._utils, n) for n in rebuild},
        **{f'builtins.{name}': getattr(builtins, name) for name in BUILTINS},
    }


# All that a pickle may look up, by name.
ALLOWED: Mapping[str, object] = {
    **list_torch_globals(),
    **list_mmengine_globals(),
}
# The implementation in C calls no method that could check a state.
PythonUnpickler: Any = pickle._Unpickler


class Unpickler(PythonUnpickler):
    """Reads a pickle that asks for nothing but `ALLOWED`."""

    # A copy: the unpickler of the standard library keeps its own table.
    dispatch = dict(PythonUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> object:
        """Return what a pickle asks for.

        Args:
            module: The name of the module.
            name: The name within the module.

        Returns:
            The class, function or value of that name.

        Raises:
            CodeError: If it is not allowed.
        """
        # Protocol 2, in which PyTorch writes, has the name of Python 2.
        module = {'__builtin__': 'builtins'}.get(module, module)
        full_name = f'{module}.{name}'
        if full_name not in ALLOWED:
            raise CodeError(f'it calls for `{full_name}`')
        return ALLOWED[full_name]

    def load_build(self) -> None:
        """Set the state of an object.

        Raises:
            CodeError: If the object is of no class of `WITH_STATE`.
        """
        # The state is on top of the stack, and the object below it.
        owner = self.stack[-2]
        if not isinstance(owner, WITH_STATE):
            raise CodeError(f'it changes `{owner!r}`')
        super().load_build()

    # `_Unpickler.load` looks methods up in this table, not by their names.
    dispatch[pickle.BUILD[0]] = load_build


def load(file: BinaryIO, **kwargs: object) -> object:
    """Read one pickle of a file.

    Args:
        file: The file, open for reading bytes.
        **kwargs: The other arguments of `pickle.Unpickler`.

    Returns:
        What the pickle holds.

    Raises:
        CodeError: If the pickle asks for anything that is not in `ALLOWED` or
            `ATTRIBUTES`, or sets the state of an object that is of no class of
            `WITH_STATE`.
        EOFError: If the file is empty, or ends within the pickle.
        KeyError, UnpicklingError: If the bytes are no pickle. Such bytes may
            also raise other errors.
    """
    return Unpickler(file, **kwargs).load()
