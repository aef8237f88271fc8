"""Runs a command that ends with us: stopped by a signal, so is the command."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import BinaryIO

# Ctrl-C, what `kill` and schedulers send, and a terminal that is closed.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ChildProcess:
    """A command and the processes it starts, in a group of their own.

    Otherwise a signal to this process alone would orphan the command, and
    Ctrl-C, which goes to all of them, would not wait until all have ended.

    Args:
        command: The command.
        environment: Its environment.
        output: Where it prints; None for where this process does.
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
        """Run the command to its end; call it from the main thread.

        Returns:
            Its exit code, negative if a signal ended it.

        Raises:
            SystemExit: If this process receives a signal to stop: when the
                command has stopped too, with 128 and the signal's number.
        """
        before = {s: signal.getsignal(s) for s in STOP_SIGNALS}
        for number in STOP_SIGNALS:
            if before[number] is not signal.SIG_IGN:  # As nohup wants it.
                signal.signal(number, self._stop)
        try:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=self.output,
                stderr=self.output,
                start_new_session=True,
            )
            if self.received:  # Just before there was a process to stop.
                self._terminate()
            code = self.process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.received:
            name = signal.Signals(self.received).name
            print(f'stopped by {name}: run the same again to go on')
            sys.exit(128 + self.received)
        return code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        self._terminate()

    def _terminate(self) -> None:
        # It may end at this moment.
        if self.process and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
