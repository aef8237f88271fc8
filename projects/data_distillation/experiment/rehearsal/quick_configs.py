"""Spares MMEngine what makes reading and writing of configs slow."""

from collections.abc import Iterator
from contextlib import contextmanager

from ...base_configs.formatting import formatted_by
from ...base_configs.metafiles import metafiles_read_once


@contextmanager
def quick_configs() -> Iterator[None]:
    """Read what MMDetection says of its configs once, and format none.

    For a few iterations, formatting is most of the time.

    Yields:
        Nothing.
    """
    with formatted_by(leave_as_it_is), metafiles_read_once():
        yield


def leave_as_it_is(text: str, **options: object) -> tuple[str, bool]:
    """Return what yapf returns for a text that is formatted already.

    Args:
        text: The text of a config.
        **options: The options of yapf; they are not used.

    Returns:
        The same text, and that it has not changed (False).
    """
    return text, False
