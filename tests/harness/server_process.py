"""One server process: started, hung, killed and started again under the same name, port and data.

Owns: the process, by its id, and its log file. Must not: know what the server serves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_TETHER = Path(__file__).with_name("tether.py")
_MARK = "HARNESS_SESSION"
_SESSION = str(uuid.uuid4())


class ServerProcess:
    """A child that dies when pytest dies, also by SIGKILL.

    The kernel ends it with the *thread* that called `start()`, so call that on the main thread. Not thread-safe.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        directory: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.directory = directory
        self.log_file = directory / f"{name}.log"
        self._ready = ready
        self._environment = dict(environment or {})
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait_ready: bool = True) -> None:
        """Start the server and, unless told otherwise, block until it is ready; its log is quoted when it is not."""
        if self.alive:
            raise RuntimeError(f"{self.name} runs already as process {self.pid}")
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *self.command],
                cwd=self.directory,
                env={**os.environ, **self._environment, _MARK: _SESSION},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait_ready:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Block until the server is ready; `RuntimeError` when it ends instead, `TimeoutError` when it is too slow."""

        def ready_or_dead() -> bool:
            return not self.alive or self._ready()

        try:
            wait_until(ready_or_dead, timeout=self._start_timeout, what=lambda: f"{self.name} ready; {self._quote()}")
        except TimeoutError:
            self.stop()
            raise
        if not self.alive:
            raise RuntimeError(f"{self.name} ended with {self.exit_code} while it started; {self._quote()}")

    @property
    def pid(self) -> int:
        """The process id of the last start, whether or not the process still runs."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists; a hung one does."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last run, negative after a signal; None while it runs or was never started."""
        return None if self._process is None else self._process.poll()

    def terminate(self, *, timeout: float = 30.0) -> int:
        """Send SIGTERM and block until the process has ended; its exit code. `TimeoutExpired` after so many seconds."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout=timeout)

    def kill(self) -> None:
        """Send SIGKILL and block until the process has ended."""
        self.signal(signal.SIGKILL)
        self.wait(timeout=30.0)

    def hang(self) -> None:
        """Send SIGSTOP and block until it holds: the port still accepts connections, and nothing answers."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(self.pid), timeout=10.0, what=f"{self.name} stopped")

    def resume(self) -> None:
        """Let a hung process go on."""
        self.signal(signal.SIGCONT)

    def restart(self, *, wait_ready: bool = True) -> None:
        """Start again on the same port and data, after ending what still runs with SIGTERM."""
        if self.alive:
            self.terminate()
        self.start(wait_ready=wait_ready)

    def signal(self, number: int) -> None:
        """Send a signal to the process; `RuntimeError` when it does not run."""
        if not self.alive:
            raise RuntimeError(f"{self.name} does not run (exit code {self.exit_code}); {self._quote()}")
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, *, timeout: float) -> int:
        """Block until the process has ended by itself; its exit code. `TimeoutExpired` after `timeout` seconds."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> None:
        """End the process at once (SIGKILL), whatever its state; without effect when it does not run."""
        if self.alive:
            self.kill()

    def log(self) -> str:
        """Everything that the process printed, over all its starts."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def _quote(self) -> str:
        tail = "\n".join(self.log().splitlines()[-25:])
        return f"the end of {self.log_file}:\n{tail}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def is_gone(process: psutil.Process) -> bool:
    """Whether the process has ended; also true while its parent has not yet asked how."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_left() -> list[psutil.Process]:
    """Every living process that this session's servers started, at any depth: the mark is inherited."""
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == _SESSION and not is_gone(process):
                left.append(process)
        except psutil.Error:
            continue
    return left
