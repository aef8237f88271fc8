"""Reads the config in a checkpoint, which may be that of a stranger.

MMEngine writes it as Python code, and would run it to read it. Here nothing is
run: only values are read, and only registered parts may be built of them.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from mmdet.registry import MODELS, TASK_UTILS, TRANSFORMS
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

from ...multi_view.inference.checkpoint_error import CheckpointError
from ...text import format_value

WAY_OUT = 'Give the config of the teacher as a file (--teacher-config)'
# What a config may name by its full path, when it is written with
# `read_base()`.
PACKAGES = ('mmdet', 'mmcv', 'mmengine')
# mmcv evaluates the `type` of these as Python code.
FUNCTIONS = ('nms', 'soft_nms')
# It evaluates one of its arguments as Python code.
REFUSED = ('CameraMotionCompensation',)
NUMBERS = {'inf': float('inf'), 'nan': float('nan')}


def parse_config(text: str) -> dict:
    """Read the assignments of a config in which all values are plain.

    Args:
        text: The text of the config, as MMEngine writes it into checkpoints.

    Returns:
        The name and the value of each setting, in order; of two assignments to
        one name, the last counts.

    Raises:
        CheckpointError: If the text is no config, or a value is not plain.
    """
    try:
        return dict(read_settings(ast.parse(text)))
    except CheckpointError:
        raise
    # Deep nesting can raise the last two.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            'the config in the checkpoint cannot be read: '
            f'{type(error).__name__}. {WAY_OUT}'
        ) from None


def read_settings(config: ast.Module) -> Iterator[tuple[str, object]]:
    """Read the assignments of a config.

    Args:
        config: The parsed config.

    Yields:
        The name and the value of each setting, in the config's order.

    Raises:
        CheckpointError: If a line is no assignment to a name, or a value is
            not plain.
        RecursionError: If a value is nested too deeply.
    """
    for line in config.body:
        if not isinstance(line, ast.Assign):
            raise CheckpointError(describe_code(line))
        for target in line.targets:
            if not isinstance(target, ast.Name):
                raise CheckpointError(describe_code(line))
            yield target.id, read_value(line.value)


def read_value(node: ast.expr) -> object:
    """Read the value of an expression that computes nothing.

    Args:
        node: The expression.

    Returns:
        The value.

    Raises:
        CheckpointError: If it would have to be run, or has a list, dict or set
            as a key or in a set.
        RecursionError: If it is nested too deeply.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in NUMBERS:
        # `repr` writes these floats as names, which no literal is.
        return NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = read_value(node.operand)
        if isinstance(value, int | float):
            return -value
    # A list can be no key, and no member of a set.
    with suppress(TypeError):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            kinds = {ast.List: list, ast.Tuple: tuple, ast.Set: set}
            return kinds[type(node)](map(read_value, node.elts))
        # `{**other}` has the key None.
        if isinstance(node, ast.Dict) and None not in node.keys:
            keys = map(read_value, [key for key in node.keys if key])
            return dict(zip(keys, map(read_value, node.values), strict=True))
    if isinstance(node, ast.Call) and is_dict_call(node):
        return {str(k.arg): read_value(k.value) for k in node.keywords}
    raise CheckpointError(describe_code(node))


def is_dict_call(node: ast.Call) -> bool:
    """Return whether a call is `dict(key=value, ...)`.

    Args:
        node: The call.

    Returns:
        Whether it has this form, with any number of keywords, and no `**`.
    """
    return (
        isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
        and not node.args
        and all(keyword.arg for keyword in node.keywords)
    )


def describe_code(node: ast.AST) -> str:
    """Explain that a part of a config would have to be run.

    Args:
        node: The part.

    Returns:
        A message for `CheckpointError`.
    """
    return (
        'the config in the checkpoint must consist of plain values, because '
        'code in it is not run, got '
        f'{format_value(ast.unparse(node))}. {WAY_OUT}'
    )


def check_types(part: object) -> None:
    """Check that a part of a config builds nothing but registered parts.

    MMEngine would import and call whatever a `type` names. Parts that an
    imported package has registered pass too.

    Args:
        part: The part, with dicts, lists, tuples and sets at any depth.

    Raises:
        CheckpointError: If a type is not registered, or a scope is unknown.
    """
    known = dict(list_registered())
    for config in find_dicts(part):
        scope = config.get('_scope_', 'mmdet')
        if scope not in PACKAGES:
            raise CheckpointError(
                f'_scope_={scope!r} in the config of the checkpoint must be '
                f'one of {list(PACKAGES)}. {WAY_OUT}'
            )
        if 'type' in config and not is_known(config['type'], known):
            raise CheckpointError(
                f'type={format_value(config["type"])} in the config of the '
                'checkpoint must be a registered part of MMDetection or of '
                f'a package that is imported. {WAY_OUT}, with its '
                '`custom_imports`'
            )


def is_known(name: object, known: Mapping[str, object]) -> bool:
    """Return whether a type is a registered one, however it is written.

    Args:
        name: The type: its name alone, with a scope, or with its module.
        known: The registered types: name -> class.

    Returns:
        Whether it is one of them. It is False for what is no text and for
        types of `REFUSED`; those of `FUNCTIONS` are known without a scope.
    """
    if not isinstance(name, str):
        return False
    scope, _, short = name.rpartition('.')
    if short in FUNCTIONS:
        return not scope
    if short not in known or short in REFUSED:
        return False
    if not scope or scope in PACKAGES:
        return True
    # The same class, not another one of its name.
    is_of_package = name.split('.')[0] in PACKAGES
    return is_of_package and get_object_from_string(name) is known[short]


def list_registered() -> Iterator[tuple[str, object]]:
    """List the models, task utilities and transforms that configs can name.

    Yields:
        The name and the class of each, registry by registry; in each, those of
        MMDetection come before those of the packages that it builds on. A name
        may come several times.
    """
    for registry in (MODELS, TASK_UTILS, TRANSFORMS):
        parent: Registry | None = registry
        while parent is not None:
            # A registry is empty until its modules are imported.
            parent.import_from_location()
            yield from parent.module_dict.items()
            parent = parent.parent


def find_dicts(value: object) -> Iterator[Mapping]:
    """Find all dicts in a value, at any depth.

    Args:
        value: The value.

    Yields:
        Each dict, an outer one before those in it.
    """
    children: Iterable = ()
    if isinstance(value, Mapping):
        yield value
        children = value.values()
    elif isinstance(value, list | tuple | set):
        children = value
    for child in children:
        yield from find_dicts(child)
