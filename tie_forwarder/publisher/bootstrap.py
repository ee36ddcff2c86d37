"""Waiting for Kafka without kafka-python: a plain connect costs nothing while a producer that fails is thrown away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence

from tie_forwarder.backoff import Backoff
from tie_forwarder.publisher.errors import REMEDIES, ErrorClass, Verdict

_CONNECT_SECONDS = 2.0


def wait_for_kafka(
    servers: Sequence[str], *, stop: threading.Event, on_trouble: Callable[[Verdict | None], None]
) -> bool:
    """Blocks until one of the servers accepts a connection, or until `stop`; false in the latter case."""
    backoff = Backoff(first_seconds=0.1, most_seconds=2.0)
    while not stop.is_set():
        for server in servers:
            host, _, port = server.rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
            except OSError as error:
                detail = f"{server}: {error.strerror or error}"
                on_trouble(Verdict(ErrorClass.TRANSIENT, "connection", detail, REMEDIES["connection"]))
            else:
                return True
        stop.wait(backoff.next_seconds())
    return False
