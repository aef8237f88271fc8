"""The log of an experiment, on standard output and in a file."""

import logging
import sys
from pathlib import Path

LOG = logging.getLogger('distill')


def log_to(file: Path | None) -> None:
    """Print what is logged, and append it to a file with the time.

    This takes the place of what an earlier call has set.

    Args:
        file: The file, whose folder is made if it does not exist; None to
            print only.

    Raises:
        OSError: If the file cannot be written.
    """
    LOG.handlers = [logging.StreamHandler(sys.stdout)]
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = logging.FileHandler(file, encoding='utf-8')
        kept.setFormatter(
            logging.Formatter('%(asctime)s %(message)s', '%Y-%m-%d %H:%M:%S')
        )
        LOG.addHandler(kept)
    LOG.setLevel(logging.INFO)
    # A library may give the root logger a handler that would print it twice.
    LOG.propagate = False


def say(text: str) -> None:
    """Log a text of one or more lines.

    Args:
        text: The text, without a line break at its end.
    """
    LOG.info(text)
