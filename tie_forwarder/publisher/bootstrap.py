"""Waiting for Kafka without kafka-python: a handshake costs little, while a producer that fails is thrown away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tie_forwarder.backoff import Backoff
from tie_forwarder.publisher.errors import ErrorClass, PublisherError, Verdict
from tie_forwarder.publisher.handshake import shake_hands


def wait_for_kafka(
    connection: dict[str, Any],
    *,
    stop: threading.Event,
    on_trouble: Callable[[Verdict | None], None],
    on_progress: Callable[[], None],
) -> bool:
    """Blocks until one of the servers welcomes a client, or until `stop`; false in the latter case.

    `on_progress` is called before each attempt, which takes some seconds at most. Raises PublisherError when no server
    welcomes a client and one has said why: a new process may have new secrets.
    """
    backoff = Backoff(first_seconds=0.1, most_seconds=2.0)
    while not stop.is_set():
        verdict = ask_servers(connection, on_progress=on_progress)
        if verdict is None:
            return True
        if verdict.error_class is ErrorClass.BLOCKED:
            raise PublisherError(verdict)
        on_trouble(verdict)
        stop.wait(backoff.next_seconds())
    return False


def ask_servers(connection: dict[str, Any], *, on_progress: Callable[[], None] = lambda: None) -> Verdict | None:
    """None when one of the servers welcomes a client, else what they say; what blocks for certain comes first."""
    refusals: list[Verdict] = []
    for server in connection["bootstrap_servers"]:
        on_progress()
        verdict = shake_hands(connection, server)
        if verdict is None:
            return None
        refusals.append(verdict)
    return next((verdict for verdict in refusals if verdict.error_class is ErrorClass.BLOCKED), refusals[0])
