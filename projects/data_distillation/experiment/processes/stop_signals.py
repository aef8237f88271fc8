"""The signals that ask a process to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, the signal of `kill` and of schedulers, and a terminal that closes.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handling_stop_signals(
    handler: Callable[[int, FrameType | None], None],
) -> Iterator[None]:
    """Handle the signals to stop, and afterwards as before.

    Only the main thread may call this. A signal that is ignored, as `nohup`
    wants it, stays ignored.

    Args:
        handler: What Python calls on a signal, with its number and the frame.

    Yields:
        Nothing.

    Raises:
        ValueError: If another thread calls it.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in STOP_SIGNALS:
        if before[number] is not signal.SIG_IGN:  # nohup wants that.
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
