"""Runs a command that a signal to this process stops too."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import BinaryIO

from ...files.lock import HELD
from .stop_signals import handling_stop_signals


class ChildProcess:
    """A command and the processes that it starts, in their own group.

    Without this group, a signal to this process alone would orphan the
    command. Ctrl-C goes to all processes of a terminal, and this process would
    not wait for the others to end.

    Args:
        command: The words of the command. `python` means this Python.
        environment: The environment of the command.
        output: The file that the command prints to; None to print where this
            process prints.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: BinaryIO | None = None,
    ) -> None:
        self.command, self.environment = command, environment
        self.output = output
        self.process: subprocess.Popen | None = None
        self.received: int | None = None

    def run(self) -> int:
        """Run the command to its end. Only the main thread may call this.

        If this process receives a signal to stop, the group receives SIGTERM.

        Returns:
            The exit code of the command; negative if a signal ended it.

        Raises:
            SystemExit: If this process has received a signal to stop and the
                command has stopped too. The exit code is 128 plus the number
                of the signal.
            FileNotFoundError: If there is no such program.
            OSError: If the program cannot be run.
            ValueError: If another thread calls it.
        """
        with handling_stop_signals(self._stop):
            # Debian has no `python` without its own package.
            first, *rest = self.command
            program = sys.executable if first == 'python' else first
            self.process = subprocess.Popen(
                [program, *rest],
                env=self.environment,
                stdout=self.output,
                stderr=self.output,
                start_new_session=True,
                # It keeps the locks even if this process is killed.
                pass_fds=tuple(HELD),
            )
            if self.received:  # There was no process to stop yet.
                self._terminate()
            code = self.process.wait()
        # The command was told to stop, so its own exit code says nothing.
        if self.received:
            name = signal.Signals(self.received).name
            print(f'stopped by {name}: run the same command again to go on')
            sys.exit(128 + self.received)
        return code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # Of several signals, the first is reported.
        self.received = self.received or number
        self._terminate()

    def _terminate(self) -> None:
        # The process may end at this moment.
        if self.process and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
