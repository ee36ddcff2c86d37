"""Free TCP ports of 127.0.0.1.

Owns: the choice of ports, which lie below the range that the kernel gives to outgoing connections. A port from that
range could be taken by a client while its server is down, or the client that tries to reach the dead server could
connect to itself.
"""

from __future__ import annotations

import os
import random
import socket

_WORKERS = 8
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS  # each with ports of its own
_SHARE = (32_000 - 15_000) // _WORKERS
_FIRST, _LAST = 15_000 + _WORKER * _SHARE, 15_000 + (_WORKER + 1) * _SHARE - 1
_given: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on and that this process has not been given before."""
    for _ in range(1_000):
        port = random.randint(_FIRST, _LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST} on 127.0.0.1; end what listens there")


def is_listening(port: int) -> bool:
    """Whether a connection to `port` is accepted. Blocks for half a second at most."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False
