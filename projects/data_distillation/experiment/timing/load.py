"""Says how busy the machine is while something is measured."""

import os

# What measures needs the cores itself. From this multiple of them on, other
# processes slow it.
BUSY = 1.25


def describe_load() -> str:
    """Say when something is measured, and on what load.

    The load is that of the last minute, and the cores are those that this
    process may use.

    Returns:
        A few words, such as `measured now (load 1.2 on 2 cores)`.
    """
    load, num_cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    is_busy = load > BUSY * num_cores
    when = 'while the machine was busy' if is_busy else 'now'
    less = ', less on an idle one' if is_busy else ''
    return f'measured {when} (load {load:.1f} on {num_cores} cores{less})'
