"""Spares MMEngine what makes reading and writing of configs slow."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType

from mmengine.config import config
from yapf.yapflib import yapf_api

from ..base_configs.metafiles import metafiles_read_once

# MMEngine up to 0.10.7 imports the function that formats by its name.
HOLDERS = [part for part in (yapf_api, config) if hasattr(part, 'FormatCode')]


@contextmanager
def quick_configs() -> Iterator[None]:
    """Read what MMDetection says of its configs once, and format none.

    MMEngine formats each config four times in a run. For a few iterations,
    that is most of the time.

    Yields:
        Nothing.
    """
    with ExitStack() as patches:
        for holder in HOLDERS:
            patches.enter_context(unformatted(holder))
        patches.enter_context(metafiles_read_once())
        yield


@contextmanager
def unformatted(holder: ModuleType) -> Iterator[None]:
    """Let the function of a module that formats code leave it as it is.

    Args:
        holder: The module.

    Yields:
        Nothing.
    """
    names = vars(holder)
    format_code = names['FormatCode']
    names['FormatCode'] = lambda text, **_: (text, False)
    try:
        yield
    finally:
        names['FormatCode'] = format_code
