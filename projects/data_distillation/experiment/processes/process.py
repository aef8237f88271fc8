"""Runs the command of a stage and shows its progress."""

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...files.lock import name_locks
from ...text import format_duration
from .cause import explain_failure
from .child_process import ChildProcess
from .log import say
from .progress_bar import Counter, show_bar

CONSOLE = 'console.log'


class StageError(RuntimeError):
    """A stage of an experiment has failed; the message says how to go on."""


def run_stage(
    stage: str,
    command: Sequence[str],
    folder: Path,
    counter: Counter | None = None,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Print the command of a stage and run it.

    The output of the command is appended to `console.log` in the work folder.
    On a terminal, a bar shows the progress; elsewhere, lines of the log do.

    Args:
        stage: The name of the stage in messages.
        command: The words of the command. `python` means this Python.
        folder: The work folder of the stage; it is made if it does not exist.
        counter: The progress of the stage; None if nothing measures it.
        variables: What the environment of the command has besides; None for
            nothing.

    Raises:
        StageError: If the command fails, with the reason.
        SystemExit: If a signal stops this process, see `ChildProcess.run`.
        FileNotFoundError: If there is no such program.
        OSError: If the work folder or `console.log` cannot be written, or the
            program cannot be run.
        ValueError: If another thread than the main one calls it.
        KeyError: If this process has no `PATH`.
    """
    begin = time.monotonic()
    text = shlex.join(
        part.replace(f'{Path.cwd()}/', '', 1) for part in command
    )
    say(f'\n$ {text}')
    folder.mkdir(parents=True, exist_ok=True)
    console = folder / CONSOLE
    if not sys.stdout.isatty():
        say(f'{stage}: runs; its output goes to {console}')
    with console.open('ab') as output, show_bar(stage, counter):
        # What is there before is of earlier runs, and so are the errors in it.
        # A file that is opened to append begins at its end.
        start = output.tell()
        environment = make_environment() | dict(variables or {})
        code = ChildProcess(command, environment, output).run()
    if code:
        why = explain_failure(code, read_from(console, start))
        raise StageError(
            f'{stage} failed: {why}\n'
            f'Its whole output is in {console}. What is finished is kept: run '
            'the same command again to go on'
        )
    say(f'{stage}: took {format_duration(time.monotonic() - begin)}')


def read_from(file: Path, start: int) -> str:
    """Read what a text file holds from a byte on.

    Args:
        file: The file.
        start: The place of the first byte, counted from 0.

    Returns:
        The text; bytes that are not UTF-8 are replaced. It is empty if the
        file has no such byte.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    with file.open('rb') as opened:
        opened.seek(start)
        return opened.read().decode(errors='replace')


def make_environment() -> dict[str, str]:
    """Make the environment of a stage, with this Python as `python`.

    Returns:
        The variables of this process, with another `PATH`, and with the locks
        that the stage shares. Threads of OpenMP sleep while they wait, unless
        `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT` is set.

    Raises:
        KeyError: If this process has no `PATH`.
    """
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    # The scripts that launch processes take it.
    variables = dict(os.environ, PATH=path, STAGE_PYTHON=sys.executable)
    # They burn the core that another one is waiting for otherwise, wherever
    # something else runs too: iterations then take many times as long.
    if 'GOMP_SPINCOUNT' not in variables:
        variables.setdefault('OMP_WAIT_POLICY', 'passive')
    return variables | name_locks()


def capture_output(command: Sequence[str]) -> str:
    """Run a command and return its output.

    Args:
        command: The words of the command. `python` means this Python.

    Returns:
        What it has printed, to both outputs; bytes that are not UTF-8 are
        replaced.

    Raises:
        StageError: If the command fails, with the reason.
        SystemExit: If a signal stops this process, see `ChildProcess.run`.
        FileNotFoundError: If there is no such program.
        OSError: If the program cannot be run.
        ValueError: If another thread than the main one calls it.
        KeyError: If this process has no `PATH`.
    """
    with tempfile.TemporaryFile() as file:
        code = ChildProcess(command, make_environment(), file).run()
        file.seek(0)
        output = file.read().decode(errors='replace')
    if code:
        raise StageError(
            f'measuring failed: {explain_failure(code, output)}\n'
            f'The command was: {shlex.join(command)}'
        )
    return output
