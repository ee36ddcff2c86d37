"""A TLS socket that reads ahead: paho reads each packet in three pieces, of which the first two are a byte each.

Each of them costs what a whole packet costs. One thread reads, as paho does it.
"""

from __future__ import annotations

import ssl
from typing import Any

_RECORD_BYTES = 16 * 1024
"""The most that one TLS record holds, so the most that one read gives."""


def read_ahead(sock: Any) -> Any:
    """The socket, reading ahead; one that is no TLS socket as it is."""
    return _ReadAhead(sock) if isinstance(sock, ssl.SSLSocket) else sock


class _ReadAhead:
    """All but reading is left to the socket itself."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._data = b""
        self._at = 0
        self.send = sock.send
        self.fileno = sock.fileno

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, most_bytes: int) -> bytes:
        """What is there, at most so much; empty at the end of the connection. Raises what the socket raises."""
        if self._at >= len(self._data):
            self._data, self._at = self._sock.recv(_RECORD_BYTES), 0
        start = self._at
        self._at = start + most_bytes
        return self._data[start : self._at]

    def pending(self) -> int:
        """How much can be read without a wait: a selector does not see it."""
        return max(0, len(self._data) - self._at) or self._sock.pending()
