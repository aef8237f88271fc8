"""Spares MMEngine what makes reading and writing of configs slow."""

from collections.abc import Iterator
from contextlib import contextmanager

from yapf.yapflib import yapf_api

from ..base_configs.metafiles import metafiles_read_once


@contextmanager
def quick_configs() -> Iterator[None]:
    """Read what MMDetection says of its configs once, and format none.

    MMEngine formats each config four times in a run. For a few iterations,
    that is most of the time.

    Yields:
        Nothing.
    """
    format_code = yapf_api.FormatCode
    yapf_api.FormatCode = lambda text, **_: (text, False)
    try:
        with metafiles_read_once():
            yield
    finally:
        yapf_api.FormatCode = format_code
