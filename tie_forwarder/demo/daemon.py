"""The daemon as the demo runs it: the real one, as a child process, asked over its own HTTP port."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from tie_forwarder.children.interpreter import child_environment, python_command
from tie_forwarder.demo.leash import LeashedProcess
from tie_forwarder.demo.ports import HOST
from tie_forwarder.errors import ForwarderError

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_AGAIN_SECONDS = 0.05
_ASK_SECONDS = 2.0
_STOP_SECONDS = 30.0


class RunningDaemon:
    """`tie-forwarder run`, from `start()` to `stop()`. It dies with this process, however that ends."""

    def __init__(self, *, config_file: Path, http_port: int, log: Path) -> None:
        self._http_port = http_port
        self._process = LeashedProcess(
            command=python_command("tie_forwarder", "run", "--config", str(config_file)),
            output=log,
            # Without our options: set for a real forwarder, they would send the demo's detections to a real Kafka.
            environment=child_environment(),
        )

    @property
    def url(self) -> str:
        """Where it serves its status."""
        return f"http://{HOST}:{self._http_port}"

    @property
    def alive(self) -> bool:
        """Whether it runs. Does not block."""
        return self._process.alive

    def start(self) -> None:
        """Start it and return at once."""
        self._process.start()

    def wait_until_ready(self, timeout_seconds: float) -> None:
        """Block until it takes events from the fabric; ForwarderError with the end of its log when it does not."""
        deadline = time.monotonic() + timeout_seconds
        while self._process.alive and time.monotonic() < deadline:
            answer = self._get("/readyz")
            if answer is not None and answer[0] == 200:
                return
            time.sleep(_LOOK_AGAIN_SECONDS)
        raise self.failure("did not become ready")

    def failure(self, what: str) -> ForwarderError:
        """The error to raise when the daemon has failed, with the end of its log."""
        return ForwarderError(f"the daemon {what}; its log ends with:\n{self._process.last_output()}")

    def ledger(self) -> dict[str, int]:
        """What it has counted so far; empty when it gives no answer."""
        answer = self._get("/status")
        if answer is None:
            return {}
        try:
            status: dict[str, Any] = json.loads(answer[1])
        except ValueError:
            return {}
        ledger: dict[str, int] = status.get("ledger", {})
        return ledger

    def stop(self) -> int | None:
        """SIGTERM, and after half a minute SIGKILL; blocks until it is gone. Its exit code, None when it was killed."""
        self._process.terminate()
        code = self._process.wait(_STOP_SECONDS)
        self._process.stop()
        return code

    def _get(self, path: str) -> tuple[int, bytes] | None:
        connection = HTTPConnection(HOST, self._http_port, timeout=_ASK_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
