"""Keeps the screen free of what libraries say without being asked.

They greet, name each of their steps and warn of their own deprecations, and
MMEngine logs the environment, the whole config and every hook. The log file
of a run keeps all that MMEngine logs.
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from mmengine.logging import MMLogger
from mmengine.runner import Runner

# How the lines begin that are printed, not logged.
PRINTED = (
    # mmdet, about a data platform that it can use.
    'Could not import OneDL.',
    # mmengine; it logs the same file as 'Load checkpoint from'.
    'Loads checkpoint by ',
    # pycocotools, whenever it reads or evaluates.
    'loading annotations into memory...',
    'creating index...',
    'index created!',
    'Loading and preparing results...',
    'Running per image evaluation...',
    'Evaluate annotation type *',
    'Accumulating evaluation results...',
    'Done (t=',
    'DONE (t=',
)
# How the records of MMEngine begin that are for the log file only.
LOGGED = (
    'System environment:',
    'Config:\n',
    'Hooks will be executed in the following order:',
    'Distributed training is not used, all SyncBatchNorm',
    'Exp name: ',
    # It warns of its own calls.
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)
LIBRARIES = (
    r'(mmcv|mmdet|mmengine|pkg_resources|pycocotools|torch|torchvision)(\.|$)'
)
# How the warnings of these libraries begin, as regular expressions.
WARNINGS = (
    # Whoever maintains this project learns of deprecations from its tests.
    r'(?is).*deprecat',
    r'torch\.meshgrid: in an upcoming release',
    # mmdet's fast metric, which nobody has asked for.
    r'faster_coco_eval is not installed',
    # Several runners in one process, as in a benchmark, share a visualizer.
    r"<class '.*'> instance named of .* has been created",
    # One thread for each of several processes is what they should have.
    r'Setting \w+_NUM_THREADS environment variable',
)


class Screen:
    """A stream that leaves out the texts that begin as one of `PRINTED`.

    Args:
        stream: The stream that the other text goes to. The attributes of this
            one are those of the stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drops_newline = False

    def write(self, text: str) -> int:
        """Write a text unless it begins as one of `PRINTED`.

        Args:
            text: The text. `print` writes the end of a line on its own. After
                a text that is left out, this end is left out too.

        Returns:
            The number of characters in the text, also if it is left out.
        """
        is_left_out = text.startswith(PRINTED)
        if not (is_left_out or (self._drops_newline and text == '\n')):
            self._stream.write(text)
        self._drops_newline = is_left_out and not text.endswith('\n')
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def is_for_screen(record: logging.LogRecord) -> bool:
    """Return whether a record of MMEngine is none of `LOGGED`.

    Args:
        record: The record.

    Returns:
        False if its text begins as one of `LOGGED`. Line breaks and hyphens
        before the text do not count.
    """
    return not record.getMessage().lstrip('\n-').startswith(LOGGED)


class QuietRunner(Runner):
    """A runner whose log file alone has the environment and the config.

    The arguments are those of `Runner`.
    """

    def build_logger(
        self,
        log_level: int | str = 'INFO',
        log_file: str | None = None,
        **kwargs: object,
    ) -> MMLogger:
        """Build the logger, and say on the screen where its file is.

        Args:
            log_level: The lowest level of the records that are kept, as a name
                or a number of `logging`.
            log_file: The log file; None for one in a new folder of the work
                folder, named by the time.
            **kwargs: The other arguments of `MMLogger`.

        Returns:
            The logger of the run.
        """
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_for_screen)
        logger.info(f'environment and config are in {logger.log_file}')
        return logger


@contextmanager
def quiet_screen(stream: TextIO | None = None) -> Iterator[None]:
    """Leave out what libraries print and warn of on their own.

    All other lines, other warnings and errors are shown. It is a decorator
    too: `@quiet_screen()`.

    Args:
        stream: Where the other lines are printed; None for standard output.

    Yields:
        Nothing. After the context, also after an error, everything is printed
        as before. What is written to standard error is not changed, apart from
        the warnings.
    """
    screen: TextIO = Screen(stream or sys.stdout)  # type: ignore[assignment]
    with warnings.catch_warnings(), redirect_stdout(screen):
        for beginning in WARNINGS:
            warnings.filterwarnings('ignore', beginning, module=LIBRARIES)
        # Setuptools warns in the name of whoever imports it, importlib too.
        warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
        yield


# mmdet greets and warns when these are imported for the first time.
with quiet_screen():
    import mmdet.datasets
    import mmdet.evaluation  # noqa: F401
