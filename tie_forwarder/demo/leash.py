"""Runs a foreign program that never outlives the process that asked for it.

Owns: the life of one program. `LeashedProcess` starts a small Python process (this file) which starts
the program and holds the read end of a pipe; when the pipe closes, because its owner stopped or was killed, the program
is terminated and, after a grace, killed. Works wherever pipes do, whichever thread started it.

Must not: know what the program is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_GRACE_SECONDS = 3.0


class LeashedProcess:
    """One program, from `start()` to `stop()`. Its output goes to a file, so that the terminal stays ours."""

    def __init__(
        self,
        *,
        command: Sequence[str],
        output: Path,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is ours without secrets unless it is given."""
        from tie_forwarder.interpreter import child_environment  # this file also runs alone, see `start`

        self._command = tuple(command)
        self._output = output
        self._environment = child_environment() if environment is None else environment
        self._pass_fds = tuple(pass_fds)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program and return at once. It is in a session of its own: Ctrl-C on the terminal spares it.

        Raises ForwarderError if this user cannot start a Python process.
        """
        from tie_forwarder.errors import ForwarderError  # as above

        try:
            self._start()
        except OSError as error:
            message = f"cannot start {sys.executable}: {error.strerror}"
            raise ForwarderError(message, remedy="make the interpreter executable for this user") from error

    def _start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                # Isolated and by its path: it needs nothing that is installed, and starts three times faster so.
                [sys.executable, "-I", "-S", __file__, *self._command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self._pass_fds,
                start_new_session=True,
                env=self._environment,
            )

    @property
    def alive(self) -> bool:
        """Whether the program runs. Does not block."""
        return self._process is not None and self._process.poll() is None

    def terminate(self) -> None:
        """Send SIGTERM to the program and return at once; without effect when it has ended."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, timeout_seconds: float) -> int | None:
        """Wait for the program's end; its exit code (128 + signal if it was killed), or None when it still runs."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End the program: SIGTERM, then SIGKILL after a grace of three seconds. Blocks until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()

    def last_output(self, lines: int = 15) -> str:
        """The last lines of what the program printed."""
        try:
            text = self._output.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def main(command: Sequence[str]) -> int:
    """Run `command` until it ends or standard input does; its exit code, 128 + signal if it was killed."""
    early: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: early.append(number))
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return 127
    signal.signal(signal.SIGTERM, lambda _number, _frame: program.terminate())
    if early:
        program.terminate()
    threading.Thread(target=_end_with_standard_input, args=(program,), daemon=True).start()
    code = program.wait()
    return code if code >= 0 else 128 - code


def _end_with_standard_input(program: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    program.terminate()
    try:
        program.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
