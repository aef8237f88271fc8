"""Decides how MMEngine formats the configs that it writes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from mmengine.config import config
from yapf.yapflib import yapf_api

from ..attributes import replaced

# MMEngine up to 0.10.7 imports the function that formats by its name.
HOLDERS = [part for part in (yapf_api, config) if hasattr(part, 'FormatCode')]
FormatCode = Callable[..., tuple[str, bool]]


@contextmanager
def formatted_by(format_code: FormatCode) -> Iterator[None]:
    """Let another function format configs until the context ends.

    Args:
        format_code: The function. It takes the text of a config, and the
            options of yapf by their names. It returns the new text, and
            whether it has changed, as yapf's function does.

    Yields:
        Nothing.
    """
    with ExitStack() as during:
        for holder in HOLDERS:
            during.enter_context(replaced(holder, 'FormatCode', format_code))
        yield


@contextmanager
def formatted_once() -> Iterator[None]:
    """Format each config once until the context ends.

    MMEngine formats that of a run four times before it begins, and again for
    each checkpoint. The results are kept in memory.

    Yields:
        Nothing.
    """
    # Before it is replaced below: the new one calls it.
    format_code, known = yapf_api.FormatCode, {}

    def format_unknown(text: str, **options: object) -> tuple[str, bool]:
        """Format a text, or take what became of it before."""
        # MMEngine gives the style as a dict, which cannot be a key.
        key = text, repr(options)
        if key not in known:
            known[key] = format_code(text, **options)
        return known[key]

    with formatted_by(format_unknown):
        yield
