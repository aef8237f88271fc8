"""What an annotation writes to the log, on any process."""

import logging
from collections.abc import Sequence

from mmengine.dist import get_rank
from mmengine.hooks import LoggerHook
from mmengine.logging import print_log
from mmengine.runner import Runner


def silence_batch_lines(runner: Runner) -> None:
    """Stop the lines that count the batches of one process.

    Args:
        runner: Of which `LoggerHook` is told to.
    """
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.interval = len(runner.test_dataloader) + 1


def warn_of_unreadable(rows: Sequence[dict]) -> None:
    """Name the images that could not be read, and why."""
    for row in rows:
        if row['unreadable']:
            say(
                f'{row["file_name"]!r} cannot be read: {row["unreadable"]}',
                logging.WARNING,
            )


def say(text: str, level: int = logging.INFO) -> None:
    """Log a text, also on a process whose log shows errors only."""
    logger = 'current' if get_rank() == 0 else None
    print_log(f'\n{text}' if '\n' in text else text, logger, level)
