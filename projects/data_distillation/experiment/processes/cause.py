"""Finds in the output of a failed command why it failed."""

import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# What torchrun and srun put before the lines of a process.
PREFIX = re.compile(r'^(\[(rank|default)?\d+\]:|\d+:) ?')
TRACEBACK = re.compile(r'^(Original )?Traceback \(most recent call last\):$')
FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in ')
RAISED = re.compile(r'^(?:\w+\.)*(?P<what>[A-Za-z_]\w*(?:: .*)?)$')
# How a traceback goes on with the next one.
CHAINED = (
    'During handling of the above exception',
    'The above exception was the direct cause',
)
# The launcher's own traceback says only that a process has failed.
LAUNCHER = 'ChildFailedError'
# What else ends a command: an error that is no traceback, or a signal.
TOLD = re.compile(r'^(?:\S+\.py: )?error: (?P<what>.+)$')
KILLED = re.compile(r'\b(?:Signal \d+ \((SIG\w+)\) received)')
# How lines of logs begin, which may follow a traceback.
LOGGED = re.compile(r'^(\d{4}[-/]\d\d|\d\d/\d\d |[IWEF]\d{4} )')
# The lines of a message, or of an output without one, that a user is shown.
MAX_LINES = 12


@dataclass(frozen=True)
class Raised:
    """An exception in the output of a command.

    Args:
        what: The type and the message of the exception.
        place: The file and the line that raised it; `''` if not known.
        is_chained: Whether it was raised because of the one before.
    """

    what: str
    place: str
    is_chained: bool


def explain_failure(code: int, output: str) -> str:
    """Explain why a command has failed.

    Args:
        code: The exit code of the command, not 0; negative if a signal ended
            it.
        output: What the command has printed.

    Returns:
        What is found first: the exception with its place, the message, or the
        signal that ended it. If none is found: the exit code, and the last
        `MAX_LINES` lines of the output.
    """
    lines = [PREFIX.sub('', line) for line in output.splitlines()]
    if cause := find_exception(lines) or find_message(lines):
        return cause
    killed = KILLED.search(output)
    if code < 0 or killed:
        name = killed[1] if killed else name_signal(-code)
        hint = ' (is the memory full?)' * (name == 'SIGKILL')
        return f'{name} ended it{hint}'
    end = '\n'.join(lines[-MAX_LINES:])
    return f'exit code {code}, after this output:\n{end}'


def name_signal(number: int) -> str:
    """Name a signal.

    Args:
        number: Its number, above 0.

    Returns:
        Its name, such as `SIGTERM`; `signal 40` for a number without a name,
        as real-time signals have.
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f'signal {number}'


def find_exception(lines: Sequence[str]) -> str | None:
    """Find the exception that ended a command.

    Of several processes (if the launcher reports an error), the first that
    fails is the cause; the others lose it. Of one process, the last exception
    is, for others were caught. Of a chain of exceptions, the last counts.

    Args:
        lines: The lines of the output, without what `PREFIX` matches.

    Returns:
        Type, message and place; None if there is no traceback, or only the
        launcher's own.
    """
    chains: list[Raised] = []
    for raised in list_exceptions(lines):
        if LAUNCHER in raised.what:
            break
        if raised.is_chained and chains:
            chains[-1] = raised
        else:
            chains.append(raised)
    if not chains:
        return None
    has_launcher = any(LAUNCHER in line for line in lines)
    # Of several processes, the first that fails makes the others fail.
    cause = chains[0] if has_launcher else chains[-1]
    return f'{cause.what}{cause.place and f" ({cause.place})"}'


def find_message(lines: Sequence[str]) -> str | None:
    """Find the last error message of a command.

    Args:
        lines: The lines of the output, without what `PREFIX` matches.

    Returns:
        The message without `error:`, of one or more lines; None if there is
        none.
    """
    for number in reversed(range(len(lines))):
        if match := TOLD.match(lines[number]):
            rest = take_message(lines[number + 1 :])
            return '\n'.join([match['what'], *rest])
    return None


def list_exceptions(lines: Sequence[str]) -> Iterator[Raised]:
    """Find the exceptions whose tracebacks are in an output.

    Args:
        lines: The lines of the output, without what `PREFIX` matches.

    Yields:
        Each exception, in order, without its module; `is_chained` if it was
        raised while the one before was handled, or because of it.
    """
    before = ''
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not (match := TRACEBACK.match(line)):
            before = line or before
            continue
        place = ''
        # Frames, their code and the marks below it are indented.
        while number < len(lines) and lines[number].startswith(' '):
            if frame := FRAME.match(lines[number]):
                place = shorten_place(frame['file'], frame['line'])
            number += 1
        if number < len(lines) and (raised := RAISED.match(lines[number])):
            rest = take_message(lines[number + 1 :])
            is_chained = bool(match[1]) or before.startswith(CHAINED)
            yield Raised('\n'.join([raised['what'], *rest]), place, is_chained)
            before = ''


def take_message(lines: Sequence[str]) -> list[str]:
    """Take the further lines of a message.

    Args:
        lines: The lines after its first one.

    Returns:
        At most `MAX_LINES` lines, before the first empty line, line of a log,
        or other traceback.
    """
    taken: list[str] = []
    for line in lines[:MAX_LINES]:
        if not line or LOGGED.match(line) or TRACEBACK.match(line):
            break
        taken.append(line)
    return taken


def shorten_place(file: str, line: str) -> str:
    """Write the place of a frame as it is in this folder or a package.

    Args:
        file: The path of the frame's file.
        line: The number of the line.

    Returns:
        The path relative to this folder or to `site-packages`, and the line. A
        path elsewhere stays whole.
    """
    _, sign, inside = file.rpartition('/site-packages/')
    path = inside if sign else file.removeprefix(f'{Path.cwd()}/')
    return f'{path}, line {line}'
