"""What an annotation writes to the log, in any of its processes."""

import logging
from collections.abc import Sequence

from mmengine.dist import get_rank
from mmengine.hooks import LoggerHook
from mmengine.logging import print_log
from mmengine.runner import Runner


def silence_batch_lines(runner: Runner) -> None:
    """Stop the lines in which `LoggerHook` counts the batches of one process.

    Args:
        runner: The runner, whose `LoggerHook` is changed.
    """
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            # It writes a line after every `interval` batches: never, if there
            # are fewer.
            hook.interval = len(runner.test_dataloader) + 1


def warn_of_unreadable(rows: Sequence[dict]) -> None:
    """Log a warning for each image that could not be read, with the reason.

    Args:
        rows: The rows of a batch, of which `file_name` and `unreadable` (the
            reason; None if it was read) are used.
    """
    for row in rows:
        if row['unreadable']:
            log_from_any_rank(
                f'{row["file_name"]!r} cannot be read: {row["unreadable"]}',
                logging.WARNING,
            )


def log_from_any_rank(text: str, level: int = logging.INFO) -> None:
    """Log a text so that it is seen whichever process logs it.

    MMEngine's logger shows nothing but errors unless the rank is 0. The text
    of any other rank is printed instead.

    Args:
        text: The text. A line break is put before several lines.
        level: The level in the log of rank 0.
    """
    # Without a logger, `print_log` prints.
    logger = 'current' if get_rank() == 0 else None
    print_log(f'\n{text}' if '\n' in text else text, logger, level)
