"""The service manager's end of NOTIFY_SOCKET: a real datagram socket, and what came by it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

PATIENCE_SECONDS = 20.0


class Manager:
    """Reads what a service tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def told_until(self, wanted: str) -> list[str]:
        """Every line up to the one that begins as wanted; `TimeoutError` when it does not come."""
        told: list[str] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(line.startswith(wanted) for line in told):
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                told += self._socket.recv(4096).decode().splitlines()
            except TimeoutError:
                raise TimeoutError(f"{wanted} was not told within {PATIENCE_SECONDS:.0f} s, only {told}") from None
        return told

    def is_not_told(self, unwanted: str, *, seconds: float) -> bool:
        """Whether such a line does not come for so long. What else comes is dropped."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                told = self._socket.recv(4096).decode().splitlines()
            except TimeoutError:
                return True
            if any(line.startswith(unwanted) for line in told):
                return False
        return True

    def close(self) -> None:
        """Nobody listens any longer."""
        self._socket.close()
