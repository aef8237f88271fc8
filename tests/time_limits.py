"""A pytest plugin that ends tests which hang, and says where they hang."""

import faulthandler
import os
from collections.abc import Iterator

import pytest

# In seconds. Slow tests start processes or train.
FAST_LIMIT, SLOW_LIMIT = 60, 300
# A process ends this many seconds after its test should have ended.
GRACE = 30
STDERR = pytest.StashKey[int]()


def limit_of(item: pytest.Item) -> int:
    """Return how many seconds a test may take."""
    if mark := item.get_closest_marker('timeout'):
        return mark.args[0]
    return SLOW_LIMIT if item.get_closest_marker('slow') else FAST_LIMIT


def pytest_configure(config: pytest.Config) -> None:
    """Keep the way to the terminal: pytest captures what tests print."""
    config.stash[STDERR] = os.dup(2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pytest-timeout fail a test at its limit.

    It interrupts the test by a signal, and the run goes on. Tests that may
    take long come first, as otherwise one process of pytest-xdist would end
    long after the others.
    """
    items.sort(key=limit_of, reverse=True)
    for item in items:
        item.add_marker(pytest.mark.timeout(limit_of(item)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process of a test that no signal interrupts.

    Python handles no signal inside a C function, such as one that waits for
    a lock. `faulthandler` writes the stacks of all threads, and ends the
    process. The run ends with it, because pytest-xdist starts no other
    process: see `--max-worker-restart` in pyproject.toml.
    """
    faulthandler.dump_traceback_later(
        limit_of(item) + GRACE, exit=True, file=item.config.stash[STDERR]
    )
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_enter_pdb() -> None:
    """Give people in a debugger the time that they need."""
    faulthandler.cancel_dump_traceback_later()
