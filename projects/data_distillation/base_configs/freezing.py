"""What keeps a part of a model from training in full, and its opposite."""

import inspect
from collections.abc import Mapping

from mmdet.registry import MODELS

from .config_reading import DetectorError


def unfreeze(part: Mapping) -> dict:
    """Find what to replace so that a part trains in full, from random weights.

    Args:
        part: The config of the part.

    Returns:
        Key -> new value; empty if the part loads no weights and all of it
        trains. `init_cfg` and `pretrained` become None if they load weights,
        `frozen_stages` becomes its default if it freezes more, `norm_eval`
        False, and `requires_grad` True.

    Raises:
        DetectorError: If a model with `frozen_stages` has no such argument, or
            none with a number as its default, or is not registered; or if
            `frozen_stages` is no number.
        KeyError: If a part with `frozen_stages` has no `type`.
    """
    changes: dict[str, object] = {}
    init = part.get('init_cfg')
    # The `init_cfg` of PVT has no `type`.
    if isinstance(init, Mapping) and 'checkpoint' in init:
        changes['init_cfg'] = None
    if part.get('pretrained'):
        changes['pretrained'] = None
    if 'frozen_stages' in part:
        unfrozen_value = find_unfrozen(part)
        if part['frozen_stages'] > unfrozen_value:
            changes['frozen_stages'] = unfrozen_value
    # Otherwise the layers would keep the statistics that they begin with.
    if part.get('norm_eval'):
        changes['norm_eval'] = False
    if part.get('requires_grad') is False:
        changes['requires_grad'] = True
    return changes


def find_unfrozen(part: Mapping) -> int:
    """Find the value of `frozen_stages` that freezes nothing.

    Args:
        part: The config of a part with `frozen_stages`.

    Returns:
        The default of its class.

    Raises:
        DetectorError: See `unfreeze`.
        KeyError: If it has no `type`.
    """
    unfrozen_value = find_default(part['type'], 'frozen_stages')
    if not isinstance(unfrozen_value, int):
        kind = getattr(part['type'], '__name__', part['type'])
        raise DetectorError(
            f'{kind} needs a default of `frozen_stages` that freezes '
            f'nothing, got {unfrozen_value!r}: give it one, or leave '
            '`frozen_stages` out of the config'
        )
    if not isinstance(part['frozen_stages'], int):
        raise DetectorError(
            f'`frozen_stages` must be a whole number, got '
            f'{part["frozen_stages"]!r}: write {unfrozen_value} to freeze '
            'nothing'
        )
    return unfrozen_value


def find_default(kind: str | type, name: str) -> object:
    """Find the default of a model's argument, in its class or a base class.

    Backbones differ in the value of `frozen_stages` that freezes nothing: it
    is -1 for ResNet and 0 for EfficientNet.

    Args:
        kind: The class of the model, or its registered name.
        name: The name of the argument.

    Returns:
        The default, of the first class that has the argument in the order in
        which Python looks for methods; `inspect.Parameter.empty` if there the
        argument has none.

    Raises:
        DetectorError: If the model has no such argument, or no model is
            registered by this name.
    """
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        raise DetectorError(
            f'{kind} is no registered model: add its module to custom_imports'
        )
    # A class that takes `**kwargs` names the argument only in its base.
    for parent in cls.__mro__:
        # Only the signature is read; nothing is called.
        init = parent.__init__  # type: ignore[misc]
        parameters = inspect.signature(init).parameters
        if name in parameters:
            return parameters[name].default
    raise DetectorError(f'{kind} has no argument {name}: check the config')
