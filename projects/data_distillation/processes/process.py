"""Runs the command of a stage and shows its progress."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..files.lock import name_locks
from ..text import format_duration
from .child_process import ChildProcess
from .log import say
from .progress_bar import Counter, show_bar

CONSOLE = 'console.log'
# The number of lines that are shown of the output of a failed stage.
NUM_SHOWN = 20


class StageError(RuntimeError):
    """A stage of an experiment has failed; the message says how to go on."""


def run_stage(
    stage: str,
    command: Sequence[str],
    folder: Path,
    counter: Counter | None = None,
) -> None:
    """Print the command of a stage and run it.

    On a terminal, a bar shows the progress, and the output of the command goes
    to `console.log` in the work folder. Elsewhere, the command prints to
    standard output.

    Args:
        stage: The name of the stage in messages.
        command: The words of the command. `python` means this Python.
        folder: The work folder of the stage.
        counter: The progress of the stage; None if nothing measures it.

    Raises:
        StageError: If the command fails.
        SystemExit: If a signal stops this process, see `ChildProcess.run`.
    """
    begin = time.monotonic()
    text = shlex.join(
        part.replace(f'{Path.cwd()}/', '', 1) for part in command
    )
    say(f'\n$ {text}')
    if sys.stdout.isatty():
        code, told = run_with_bar(stage, command, folder, counter)
    else:
        code, told = ChildProcess(command, make_environment()).run(), ''
    if code:
        raise StageError(
            f'{told}this command ended with exit code {code}: {text}\n'
            'What is finished is kept: run the same command again to go on'
        )
    say(f'{stage}: took {format_duration(time.monotonic() - begin)}')


def run_with_bar(
    stage: str, command: Sequence[str], folder: Path, counter: Counter | None
) -> tuple[int, str]:
    """Run a command with a progress bar; its output goes to a file.

    Args:
        stage: The name of the stage beside the bar.
        command: The words of the command.
        folder: The folder of `console.log`, which is made.
        counter: The progress of the stage; None if nothing measures it.

    Returns:
        The exit code of the command, and the end of its output for a message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    console = folder / CONSOLE
    with console.open('ab') as output, show_bar(stage, counter):
        code = ChildProcess(command, make_environment(), output).run()
    lines = console.read_text(errors='replace').splitlines(keepends=True)
    return code, f'the end of {console}:\n' + ''.join(lines[-NUM_SHOWN:])


def make_environment() -> dict[str, str]:
    """Return the environment of a stage, with this Python as `python`."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    return dict(os.environ, PATH=path) | name_locks()
