"""Writes MMEngine's text configs in the style in which people write them."""

import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yapf.yapflib import yapf_api

STYLE = dict(
    based_on_style='facebook',
    column_limit=79,
    split_all_top_level_comma_separated_values=True,
)


@dataclass(frozen=True)
class Expression:
    """An expression, for example for a value of the inherited config.

    Args:
        text: The expression, such as `_base_.model.neck`.
        changes: The items to replace, if the value is a dict; None to leave
            the value as it is.
    """

    text: str
    changes: Mapping[str, Any] | None = None


def format_as_python(value: object) -> str:
    """Write a value as Python, with dicts as `dict(key=...)`.

    Args:
        value: A finite number, a text, a bool, None or an `Expression`, or a
            list, tuple or dict of these.

    Returns:
        The text, on one line.

    Raises:
        ValueError: If a key of a dict is a word of Python.
    """
    if isinstance(value, Expression):
        return (
            format_changed(value.text, value.changes)
            if value.changes
            else value.text
        )
    if isinstance(value, Mapping):
        return f'dict({format_arguments(value)})'
    if isinstance(value, (list, tuple)):
        inside = ', '.join(map(format_as_python, value))
        if isinstance(value, list):
            return f'[{inside}]'
        return f'({inside},)' if len(value) == 1 else f'({inside})'
    return repr(value)


def format_changed(text: str, changes: Mapping[str, object]) -> str:
    """Write a dict that changes items of another dict.

    Args:
        text: The Python text of the other dict.
        changes: Key -> new value.

    Returns:
        The text, on one line.

    Raises:
        ValueError: If a key is a word of Python.
    """
    return f'dict({text}, {format_arguments(changes)})'


def format_arguments(values: Mapping[str, object]) -> str:
    """Write the items of a dict as keyword arguments.

    Args:
        values: Key -> value.

    Returns:
        The text, in order; if a key is no name, all are in `**{...}`. It is
        empty if there are no items.

    Raises:
        ValueError: If all keys of a dict are names, and one is a word of
            Python: MMEngine could not write the config of a run.
    """
    # Keys with dots, as in `paramwise_cfg`, cannot be keywords.
    if all(key.isidentifier() for key in values):
        check_keys(values)
        return ', '.join(
            f'{k}={format_as_python(v)}' for k, v in values.items()
        )
    items = ', '.join(
        f'{k!r}: {format_as_python(v)}' for k, v in values.items()
    )
    return '**{' + items + '}'


def check_keys(keys: Iterable[str]) -> None:
    """Check that keys can be those of `dict(key=...)`.

    Args:
        keys: The keys, of which each is a name.

    Raises:
        ValueError: If one is a word of Python, such as `class`.
    """
    # MMEngine takes them for names too: the run would end with a SyntaxError.
    if words := [key for key in keys if keyword.iskeyword(key)]:
        raise ValueError(
            f'a key of a config must be no word of Python, got {words[0]!r}: '
            'if it is a class of the labeled file, rename it there; if it is '
            'one of the teacher, name all its classes as the labeled file '
            'does, in its order, with --classes-from'
        )


def change_inside(
    path: str, depth: int, changes: Mapping[str, object]
) -> Expression:
    """Change a dataset inside its wrappers.

    Args:
        path: The path of the outermost wrapper, or of the dataset.
        depth: The number of wrappers.
        changes: The items of the dataset to replace.

    Returns:
        The outermost wrapper with the changed dataset in it.
    """
    if depth:
        inner = change_inside(f'{path}.dataset', depth - 1, changes)
        changes = dict(dataset=inner)
    return Expression(path, changes)


def format_config(
    card: str, base: str | list[str] | None, settings: Mapping[str, object]
) -> str:
    """Write a config file.

    Args:
        card: The docstring of the config.
        base: The config from which it inherits, or several; None for none.
        settings: The names and values that it sets, in this order. A key that
            starts with `#` is a comment before the next setting; its value is
            not used.

    Returns:
        The text of the file, with at most 79 columns if possible.

    Raises:
        ValueError: If a key of a dict is a word of Python.
    """
    # A command may go on after the end of a line.
    prefix = 'r' if '\\' in card else ''
    lines = [f'{prefix}"""{card}"""\n', f'_base_ = {base!r}\n' if base else '']
    for name, value in settings.items():
        is_comment = name.startswith('#')
        lines.append(
            name if is_comment else f'{name} = {format_as_python(value)}'
        )
    text, _ = yapf_api.FormatCode('\n'.join(lines), style_config=STYLE)
    return text


def find_changes(
    value: object,
    path: str,
    change: Callable[[Mapping], dict],
    is_joined: bool = True,
) -> dict | list | Expression | None:
    """Find what to write so that a rule holds for every dict in a value.

    MMEngine joins dicts with those of the base config, but it replaces lists.
    In a list, the elements that do not change are therefore written as
    expressions that name them in the base config.

    Args:
        value: The value in the base config.
        path: The path of the value there, such as `_base_.model`.
        change: The rule: a function that takes a dict and returns the items
            to replace in it. What it raises is passed on.
        is_joined: Whether MMEngine joins a dict at this path with the base's.

    Returns:
        The changes; None if nothing changes. They are the items to replace in
        a dict that is joined, a changed copy of one that is not, or all
        elements of a list.
    """
    if isinstance(value, Mapping):
        changes = find_changes_of_dict(value, path, change, is_joined)
        if not changes:
            return None
        # MMEngine joins dicts, but a list replaces the whole list of the
        # base. So a dict in a list is written as a changed copy.
        return changes if is_joined else Expression(path, changes)
    if isinstance(value, (list, tuple)):
        return find_changes_of_list(value, path, change)
    return None


def find_changes_of_list(
    values: Sequence, path: str, change: Callable[[Mapping], dict]
) -> list | None:
    """Find the elements to write instead of a list, see `find_changes`.

    Args:
        values: The list.
        path: The Python text that names the list.
        change: Returns the items to replace in a dict.

    Returns:
        The new elements; None if nothing changes.
    """
    paths = [f'{path}[{i}]' for i in range(len(values))]
    changed = [
        find_changes(child, place, change, is_joined=False)
        for child, place in zip(values, paths, strict=True)
    ]
    if all(child is None for child in changed):
        return None
    return [
        Expression(place) if child is None else child
        for child, place in zip(changed, paths, strict=True)
    ]


def find_changes_of_dict(
    value: Mapping,
    path: str,
    change: Callable[[Mapping], dict],
    is_joined: bool = True,
) -> dict:
    """Find the items to replace in a dict, see `find_changes`.

    Args:
        value: The dict.
        path: The Python text that names the dict.
        change: Returns the items to replace in a dict.
        is_joined: Whether MMEngine joins the result with the dict.

    Returns:
        The items; empty if nothing changes.
    """
    changes = dict(change(value))
    for key, child in value.items():
        if key in changes:
            continue
        inner = find_changes(child, f'{path}.{key}', change, is_joined)
        if inner is not None:
            changes[key] = inner
    return changes


def join_changes(first: Mapping, second: Mapping) -> dict:
    """Join two sets of changes, as `find_changes` makes them.

    Dicts are joined key by key, at any depth, and lists element by element.

    Args:
        first: The changes of one part, by key.
        second: The changes of another part, by key.

    Returns:
        A new dict with both.

    Raises:
        ValueError: If both change the same setting in different ways.
    """
    both = {**first, **second}
    for key in both:
        if key in first and key in second:
            both[key] = join_values(key, first[key], second[key])
    return both


def join_values(key: str, first: object, second: object) -> object:
    """Join two changes of one setting, see `join_changes`.

    Args:
        key: The name of the setting, for the message.
        first: The one change.
        second: The other one.

    Returns:
        The change that makes both.

    Raises:
        ValueError: If they differ in a value, or a list has another length.
    """
    match first, second:
        case Mapping(), Mapping():
            return join_changes(first, second)
        case list(), list() if len(first) == len(second):
            return [
                join_values(f'{key}[{place}]', *values)
                for place, values in enumerate(zip(first, second, strict=True))
            ]
        case Expression(), Expression() if first.text == second.text:
            changes = join_changes(first.changes or {}, second.changes or {})
            return Expression(first.text, changes or None)
    if first != second:
        raise ValueError(
            f'{key} must be changed in one way, got {[first, second]}'
        )
    return first
