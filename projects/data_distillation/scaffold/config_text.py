"""Writes MMEngine's text configs the way people write them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yapf.yapflib.yapf_api import FormatCode

STYLE = dict(
    based_on_style='facebook',
    column_limit=79,
    split_all_top_level_comma_separated_values=True,
)


@dataclass(frozen=True)
class Expression:
    """An expression, such as one for a value of the inherited config.

    Args:
        text: Such as `_base_.model.neck`.
        changes: If it is a dict, what to replace in it.
    """

    text: str
    changes: Mapping[str, Any] | None = None


def format_value(value: object) -> str:
    """Write a value as Python, dicts as `dict(key=...)`.

    Args:
        value: Of numbers, texts, None, `Expression`, and lists, tuples and
            dicts of these.
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
        inside = ', '.join(map(format_value, value))
        if isinstance(value, list):
            return f'[{inside}]'
        return f'({inside},)' if len(value) == 1 else f'({inside})'
    return repr(value)


def format_changed(text: str, changes: Mapping[str, object]) -> str:
    """Write a dict that is another one with changes."""
    return f'dict({text}, {format_arguments(changes)})'


def format_arguments(values: Mapping[str, object]) -> str:
    """Write the items of a dict as keyword arguments."""
    if all(key.isidentifier() for key in values):
        return ', '.join(f'{k}={format_value(v)}' for k, v in values.items())
    items = ', '.join(f'{k!r}: {format_value(v)}' for k, v in values.items())
    return '**{' + items + '}'


def format_config(card: str, base: str, settings: Mapping[str, object]) -> str:
    """Write a config file.

    Args:
        card: Its docstring.
        base: The config it inherits from.
        settings: What it sets, in this order; a key that begins with `#` is a
            comment before the next one, whatever its value.

    Returns:
        The text of the file, with at most 79 columns where that is possible.
    """
    lines = [f'"""{card}"""\n', f'_base_ = {base!r}\n']
    for name, value in settings.items():
        is_comment = name.startswith('#')
        lines.append(name if is_comment else f'{name} = {format_value(value)}')
    text, _ = FormatCode('\n'.join(lines), style_config=STYLE)
    return text


def find_changes(
    value: object,
    path: str,
    change: Callable[[Mapping], dict],
    is_merged: bool = True,
) -> dict | list | Expression | None:
    """Return what to write so that a rule holds for every dict in a value.

    MMEngine merges dicts into those of the base config, but replaces lists:
    their unchanged parts are taken from the base config by name.

    Args:
        value: Of the base config.
        path: Where it is there, such as `_base_.model`.
        change: Takes a dict, and returns what to replace in it.
        is_merged: Whether MMEngine merges dicts at this place.

    Returns:
        The changes; None if nothing changes.
    """
    if isinstance(value, Mapping):
        changes = find_changes_of_dict(value, path, change, is_merged)
        if not changes:
            return None
        return changes if is_merged else Expression(path, changes)
    if isinstance(value, (list, tuple)):
        return find_changes_of_list(value, path, change)
    return None


def find_changes_of_list(
    values: Sequence, path: str, change: Callable[[Mapping], dict]
) -> list | None:
    """Do for a list what `find_changes` does."""
    paths = [f'{path}[{i}]' for i in range(len(values))]
    changed = [
        find_changes(child, place, change, is_merged=False)
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
    is_merged: bool = True,
) -> dict:
    """Return what to replace in a dict, as `find_changes` does."""
    changes = dict(change(value))
    for key, child in value.items():
        if key in changes:
            continue
        inner = find_changes(child, f'{path}.{key}', change, is_merged)
        if inner is not None:
            changes[key] = inner
    return changes
