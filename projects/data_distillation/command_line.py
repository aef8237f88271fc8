"""Parsers, options and output of the command lines in `tools/`."""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn

# Loads checkpoints without looking for code in them.
TRUST_FLAG = '--trust-checkpoint'


def make_parser(
    description: str | None, argument_default: str | None = None
) -> argparse.ArgumentParser:
    """Make a parser whose help shows a text as it is, with its examples.

    Args:
        description: The docstring of the tool; None for a help without text.
        argument_default: The value of options that are not given and have no
            default of their own; `argparse.SUPPRESS` leaves them out.

    Returns:
        The parser, without an argument but `--help`.
    """
    return argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argument_default,
    )


@contextmanager
def ending_at_os_errors() -> Iterator[None]:
    """End a command with a message if a file cannot be read or written.

    Yields:
        Nothing.

    Raises:
        SystemExit: With exit code 1, for any `OSError`: a missing file, a full
            disk, a folder that is a file, missing rights. With 141 and no
            message, if nobody reads the output any more, as after `| head`.
    """
    try:
        yield
        # At its end, Python would only say that this has failed.
        sys.stdout.flush()
    except BrokenPipeError:
        leave_unread()
    except OSError as error:
        sys.exit(f'error: {error}')
    except SystemExit as end:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            # A message is for standard error, which somebody may read.
            leave_unread(end.code if isinstance(end.code, str) else None)
        raise


def leave_unread(message: str | None = None) -> NoReturn:
    """End a command whose output nobody reads any more.

    Args:
        message: The error with which it ends anyway; None without one.

    Raises:
        SystemExit: With the message, or else as a shell reports a process that
            the signal SIGPIPE has ended.
    """
    # Python flushes once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(message or 128 + signal.SIGPIPE)


def add_own_modules() -> None:
    """Let configs import the modules of the folder where a command is run.

    It is the repository of the user, with parts of a detector in
    `custom_imports`. It comes last in `sys.path`, so that its files hide
    nothing that is installed. If it is there already, nothing changes.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def import_own_modules(names: Iterable[str]) -> None:
    """Import the modules of `--custom-imports`, also of the current folder.

    Args:
        names: The names of the modules, such as `my_filters`.

    Raises:
        SystemExit: With exit code 1, if one is not there, or imports another
            that is not. Other errors in a module are passed on.
    """
    add_own_modules()
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            sys.exit(
                f'error: --custom-imports cannot import {name}: {error}; run '
                'the command in the folder of the module, or install it'
            )


def check_not_read(
    written: Iterable[Path | None], read: Iterable[str | Path | None]
) -> None:
    """Check that a command overwrites nothing that it reads.

    Args:
        written: The files that it writes, which need not exist; None is left
            out.
        read: The files that it reads, which need not exist; None and `''` are
            left out.

    Raises:
        ValueError: If a file is among both, also by another path or a link;
            or if two that are written have the same path, with links resolved.
    """
    sources = {os.path.realpath(file): file for file in read if file}
    # A hard link has another path.
    nodes = {find_node(file) for file in sources} - {None}
    for file in filter(None, written):
        path = os.path.realpath(file)
        if path in sources or find_node(path) in nodes:
            raise ValueError(
                f'{file} would be overwritten, but this command reads or '
                'writes it otherwise too: name another file to write'
            )
        sources[path] = file


def find_node(path: str) -> tuple[int, int] | None:
    """Find what tells a file from others.

    Args:
        path: The path; links are followed.

    Returns:
        The numbers of the device and of the file on it; None if there is no
        such file, or if it cannot be looked up.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def escape_output() -> None:
    """Let standard output escape the characters that it cannot encode.

    File names and class names may have such characters, and printing them
    would fail.
    """
    # What replaces standard output may only look like a text stream.
    if reconfigure := getattr(sys.stdout, 'reconfigure', None):
        reconfigure(errors='backslashreplace')


def find_experiment(text: str) -> Path:
    """Return the folder of an experiment; for one of its configs, too.

    Args:
        text: The folder, or a stage config such as `EXPERIMENT/teacher.py`.

    Returns:
        The folder of a config if the text is the path of a `.py` file that
        exists; otherwise the text as a path. The folder need not exist.
    """
    path = Path(text)
    return path.parent if path.suffix == '.py' and path.is_file() else path


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add the folder of an experiment, and `--work-dir`.

    Args:
        parser: The parser of a tool. It is changed in place.
    """
    parser.add_argument(
        'experiment',
        type=find_experiment,
        help='the folder of teacher.py, annotate.py, student.py, ..., or one '
        'of these configs, which stands for its folder',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        metavar='DIR',
        help='the folder of the results (default: work_dirs/ and the path of '
        'EXPERIMENT below configs/; its last name alone if it is elsewhere)',
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose how the processes of stages are started.

    Args:
        parser: The parser of a tool that runs stages. It is changed in place.
    """
    add = parser.add_argument
    add(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='how the processes of a stage are started (default: none)',
    )
    add(
        '--gpus',
        type=int,
        default=1,
        metavar='N',
        help='the number of processes of the launcher (default: 1)',
    )
    add('--partition', help='the partition of Slurm, for --launcher slurm')


def add_custom_imports(parser: argparse.ArgumentParser) -> None:
    """Add `--custom-imports`, an empty list if it is not given.

    Args:
        parser: The parser of a tool. It is changed in place.
    """
    parser.add_argument(
        '--custom-imports',
        nargs='+',
        default=[],
        metavar='MODULE',
        help='modules that register selectors or filters of your own',
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add `--trust-checkpoint`.

    Args:
        parser: The parser of a tool that loads checkpoints. It is changed in
            place.
    """
    parser.add_argument(
        TRUST_FLAG,
        action='store_true',
        help='load checkpoints that could run code (docs/security.md)',
    )
