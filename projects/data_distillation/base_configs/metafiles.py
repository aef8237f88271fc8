"""Spares MMEngine most of the time that it needs to find base configs."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import utils

from ..attributes import replaced


@contextmanager
def metafiles_read_once() -> Iterator[None]:
    """Read what MMDetection says of its configs only once in a context.

    MMEngine reads the hundred metafiles of MMDetection for every base config
    that is named `mmdet::`. A command reads such configs many times.

    Yields:
        Nothing.
    """
    # All callers share what is read; MMEngine changes none of it.
    with replaced(utils, 'load', functools.cache(utils.load)):
        yield
