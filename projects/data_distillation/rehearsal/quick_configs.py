"""Spares MMEngine what makes reading and writing of configs slow."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import utils
from yapf.yapflib import yapf_api


@contextmanager
def quick_configs() -> Iterator[None]:
    """Read what MMDetection says of its configs once, and format none.

    MMEngine reads the hundred metafiles of MMDetection for every base config
    that is named `mmdet::`, and formats each config four times in a run. For
    a few iterations, that is most of the time.

    Yields:
        Nothing.
    """
    load, format_code = utils.load, yapf_api.FormatCode
    utils.load = functools.cache(load)
    yapf_api.FormatCode = lambda text, **_: (text, False)
    try:
        yield
    finally:
        utils.load, yapf_api.FormatCode = load, format_code
