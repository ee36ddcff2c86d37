"""Free TCP ports of 127.0.0.1, below the range from which the kernel serves outgoing connections."""

from __future__ import annotations

import random
import socket

from tie_forwarder.errors import ForwarderError

HOST = "127.0.0.1"
_FIRST, _LAST = 15_000, 32_000
_ATTEMPTS = 1_000


def free_port() -> int:
    """A port that nothing listens on now; whoever asked should take it soon."""
    for _ in range(_ATTEMPTS):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - nothing secret about a port
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    message = f"no free port between {_FIRST} and {_LAST} on {HOST}"
    raise ForwarderError(message, remedy="end some of what listens there")
