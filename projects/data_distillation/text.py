"""How values are written in messages, tables and logs."""

import datetime
import re
from reprlib import Repr

from rich.console import Console
from rich.table import Table


def duration(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds."""
    return str(datetime.timedelta(seconds=round(seconds)))


def megabytes(count: float) -> str:
    """Write a number of bytes as megabytes."""
    return f'{count / 1e6:,.0f} MB'


_repr = Repr()
_repr.maxstring = 80


def shown(value: object) -> str:
    """Write a JSON value down for a message, shortened if it is long."""
    return _repr.repr(value)


def one_line(error: Exception) -> str:
    """Return the first line of an error's text, without addresses."""
    text = next(iter(str(error).splitlines()), '') or type(error).__name__
    return re.sub(r' at 0x[0-9a-fA-F]+', '', text)


def render(table: Table) -> str:
    """Return a table as plain text, 80 columns wide."""
    # A class may be called 'cell [left]' or ':smile:'.
    console = Console(width=80, color_system=None, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
