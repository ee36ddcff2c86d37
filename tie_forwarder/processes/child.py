"""The parent's end of a child: start, say, kill; its log lines are logged again here."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import threading
from typing import IO, Any

from tie_forwarder.interpreter import child_environment, python_command
from tie_forwarder.log import relay
from tie_forwarder.processes.memory import ENVIRONMENT

_PIPE_BYTES = 1024 * 1024
_LONGEST_LINE_BYTES = 64 * 1024
_LAST_LINES_SECONDS = 1.0


class Child:
    """A child process from its start to its end. To be started on the main thread, whose end is the child's end."""

    def __init__(self, name: str, *, module: str = "") -> None:
        """`module` is what runs; left out, it is the package of that name."""
        self.name = name
        self._module = module or f"tie_forwarder.{name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def output(self) -> int:
        """The descriptor that brings its frames; non-blocking."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def start(self, configuration: dict[str, Any]) -> None:
        """Starts the process and hands it its configuration, secrets included, over its standard input.

        Blocks only while the process is made. Raises OSError where the machine has no room for one.
        """
        self._process = subprocess.Popen(
            python_command(self._module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**child_environment(), **ENVIRONMENT},
        )
        assert self._process.stdin is not None
        # The configuration must fit into the pipe: a child that never reads must not hold its parent.
        _widen(self._process.stdin.fileno())
        _widen(self.output)
        os.set_blocking(self.output, False)
        self.say(configuration)
        os.set_blocking(self._process.stdin.fileno(), False)
        self._relay = threading.Thread(
            target=_relay_lines, args=(self.name, self._process.stderr), name=f"{self.name}-log", daemon=True
        )
        self._relay.start()

    def say(self, line: dict[str, Any]) -> bool:
        """Writes one control line; false when the child takes none now or is gone. Never blocks after the start."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), json.dumps(line, separators=(",", ":")).encode() + b"\n")
        except (BlockingIOError, BrokenPipeError, ValueError):
            return False
        return True

    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process lives."""
        assert self._process is not None
        return self._process.poll()

    def kill(self) -> None:
        """Ends the process now, also a stopped one, and waits for its end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_seconds: float) -> bool:
        """Waits for the process to end by itself; false after the timeout."""
        assert self._process is not None
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Closes the pipes of an ended process, once its last log lines have been logged again."""
        assert self._process is not None
        if self._relay is not None:
            self._relay.join(_LAST_LINES_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _widen(descriptor: int) -> None:
    """More room in a pipe lets either end write on while the other is busy."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (OSError, AttributeError):
        return  # an unprivileged user may have spent its share; the default size works too


def _relay_lines(name: str, stream: IO[bytes]) -> None:
    with stream:
        while line := stream.readline(_LONGEST_LINE_BYTES):
            relay(name, line.decode("utf-8", "replace"))
