"""How values are written in messages, tables and logs."""

import datetime
import re
import unicodedata
from collections.abc import Mapping
from reprlib import Repr

from rich.console import Console
from rich.table import Table


def format_duration(seconds: float) -> str:
    """Write a number of seconds as hours, minutes and seconds.

    Args:
        seconds: The number, at least 0; it is rounded to whole seconds.

    Returns:
        Such as `1:02:03`; from a day on, `1 day, 2:03:04`.
    """
    return str(datetime.timedelta(seconds=round(seconds)))


def format_roughly(seconds: float) -> str:
    """Write a number of seconds that is known only roughly.

    Args:
        seconds: The number, at least 0.

    Returns:
        Such as `1 min` (the least), `45 min` (in steps of 5 from 20 to 100)
        or `3.5 h`. Hours begin at 100 minutes; from 10 h on, they are whole.
    """
    minutes = max(round(seconds / 60), 1)
    if minutes < 20:
        return f'{minutes} min'
    if minutes < 100:
        return f'{5 * round(minutes / 5)} min'
    return (
        f'{seconds / 3600:.2g} h'
        if minutes < 600
        else f'{seconds / 3600:.0f} h'
    )


def format_megabytes(num_bytes: float) -> str:
    """Write a number of bytes in megabytes (1 MB = 10**6 bytes).

    Args:
        num_bytes: The number of bytes.

    Returns:
        Such as `1,234 MB`, rounded to whole megabytes.
    """
    return f'{num_bytes / 1e6:,.0f} MB'


def format_checkpoint(file: object, sha256: object) -> str:
    """Name a checkpoint, and tell it from others of its name.

    Args:
        file: Its path or URL.
        sha256: The SHA-256 of its bytes, 64 hexadecimal digits in lower case;
            anything else if it is not known, such as the URL again.

    Returns:
        The path or URL, and the first 12 digits of the SHA-256 if it is known.
    """
    if not re.fullmatch('[0-9a-f]{64}', str(sha256)):
        return str(file)
    return f'{file} (SHA-256 {str(sha256)[:12]}…)'


def format_call(config: Mapping) -> str:
    """Write a config with a `type` as a call, such as `MinSide(pixels=4)`.

    Args:
        config: The config, with `type`.

    Returns:
        The call, with the arguments in the order of the config. A text as an
        argument has no quotes.

    Raises:
        KeyError: If there is no `type`.
    """
    arguments = (f'{k}={v}' for k, v in config.items() if k != 'type')
    return f'{config["type"]}({", ".join(arguments)})'


# The classes of characters that have, or change, the direction of writing.
RIGHT_TO_LEFT = {'R', 'AL', 'AN'}
DIRECTION_MARKS = {
    'LRE', 'LRO', 'RLE', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI',
}  # fmt: skip


def isolate(name: str) -> str:
    """Keep the writing direction of a name from the text around it.

    A name in Arabic, or with a mark that reverses all that follows, would move
    or mirror the score beside it.

    Args:
        name: The name of a class or a file.

    Returns:
        The name between invisible marks (U+2068, U+2069); the name itself if
        nothing in it is written from right to left or changes the direction.
    """
    directions = set(map(unicodedata.bidirectional, name))
    if directions.isdisjoint(RIGHT_TO_LEFT | DIRECTION_MARKS):
        return name
    return f'\u2068{name}\u2069'


_repr = Repr()
_repr.maxstring = 80
# Lists that hold each other, as aliases of YAML make them, are as many texts.
_repr.maxlevel = 3
# Some lines of a terminal, so that what a message advises is still seen.
MAX_VALUE = 400


def format_value(value: object) -> str:
    """Write a JSON value as text for a message.

    Args:
        value: The value.

    Returns:
        The text, as Python writes the value, with the keys of objects sorted.
        Texts and numbers that are long, lists of more than 6 values, objects
        of more than 4 keys, and what is nested more than 3 deep, are
        shortened. After `MAX_VALUE` characters the text is cut, and `...`
        follows.
    """
    text = _repr.repr(value)
    return text if len(text) <= MAX_VALUE else f'{text[:MAX_VALUE]}...'


def format_error(error: BaseException) -> str:
    """Return the first line of an error's text, without memory addresses.

    Args:
        error: Any exception.

    Returns:
        The line; the name of the error's class if there is no text, or if its
        first line is empty.
    """
    text = next(iter(str(error).splitlines()), '') or type(error).__name__
    return re.sub(r' at 0x[0-9a-fA-F]+', '', text)


def format_table(table: Table) -> str:
    """Write a table as plain text, 80 columns wide.

    Args:
        table: The table.

    Returns:
        The lines, each at most 80 columns wide, without a line break at the
        end; an empty text if the table has no columns.
    """
    # A class may be called 'cell [left]' or ':smile:'.
    console = Console(width=80, color_system=None, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
