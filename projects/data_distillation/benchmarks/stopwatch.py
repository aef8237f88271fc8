"""Clocks of the benchmarks, which wait for the end of the work on a GPU."""

import time
from collections.abc import Callable
from typing import Any

import torch


def read_clock() -> float:
    """Read the clock, after the GPU has finished its work.

    Returns:
        Seconds of wall time, of which only differences mean something.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Stopwatch:
    """Calls a function, and adds up the wall time of its calls as `seconds`.

    A call that raises an error does not count.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        # To the end of the work on a GPU.
        self.seconds = 0.0

    def __call__(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - as the function
        """Call the function.

        Args:
            *args: Its arguments.
            **kwargs: Its arguments that have names.

        Returns:
            What it returns.
        """
        start = read_clock()
        found = self.function(*args, **kwargs)
        self.seconds += read_clock() - start
        return found
