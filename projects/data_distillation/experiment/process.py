"""Runs the command of a stage, and shows how far it is."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..text import format_duration
from .child_process import ChildProcess
from .log import say
from .progress_bar import Counter, shown

CONSOLE = 'console.log'
# Lines of a failed stage's output that are shown.
NUM_SHOWN = 20


class StageError(RuntimeError):
    """A stage of an experiment failed; the message says how to go on."""


def run_stage(
    stage: str,
    command: Sequence[str],
    folder: Path,
    counter: Counter | None = None,
) -> None:
    """Show the command of a stage and run it.

    On a terminal a bar shows how far it is, and what it prints goes to
    `console.log` in its folder; elsewhere it prints as ever.

    Args:
        stage: What to call it.
        command: With `python` for this Python.
        folder: Its work folder.
        counter: How far it is; None if nothing says it.

    Raises:
        StageError: If it fails.
        SystemExit: See `ChildProcess.run`.
    """
    begin = time.monotonic()
    text = shlex.join(
        part.replace(f'{Path.cwd()}/', '', 1) for part in command
    )
    say(f'\n$ {text}')
    if sys.stdout.isatty():
        code, told = run_with_bar(stage, command, folder, counter)
    else:
        code, told = ChildProcess(command, environment()).run(), ''
    if code:
        raise StageError(
            f'{told}this command ended with exit code {code}: {text}\n'
            'What is finished is kept: run the same again to go on'
        )
    say(f'{stage}: took {format_duration(time.monotonic() - begin)}')


def run_with_bar(
    stage: str, command: Sequence[str], folder: Path, counter: Counter | None
) -> tuple[int, str]:
    """Run a command whose output goes to a file.

    Returns:
        Its exit code, and the end of what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    console = folder / CONSOLE
    with console.open('ab') as output, shown(stage, counter):
        code = ChildProcess(command, environment(), output).run()
    lines = console.read_text(errors='replace').splitlines(keepends=True)
    return code, f'the end of {console}:\n' + ''.join(lines[-NUM_SHOWN:])


def environment() -> dict[str, str]:
    """Return this process's environment, with this Python as `python`."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    return dict(os.environ, PATH=path)
