"""The settings that go to kafka-python's producer, by what was measured with version 3.0.12 against Kafka 4.3."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

TRANSACTION_TIMEOUT_MS = 60_000
VACANT_TIMEOUT_MS = 7_919
"""A member that leaves in an orderly way initialises the transactional id once more with this odd time-out: Kafka keeps
it with the id, and so anybody who asks the coordinator sees that the seat is vacant."""

RETRY_BACKOFF_MS = 100
"""Between two attempts to send a batch: brokers that cannot take it now are not helped by more."""

BETWEEN_TRANSACTIONS_MS = 2
"""The same option, as the transactional calls understand it: a commit is under way for some milliseconds, and the next
transaction would wait a tenth of a second each time."""

PRODUCER: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "allow_auto_create_topics": False,
    # A batch that reaches its delivery timeout wedges the idempotent producer for ever.
    "delivery_timeout_ms": 2**31 - 1,
    "request_timeout_ms": 10_000,
    "max_block_ms": 1_000,
    "bootstrap_timeout_ms": 3_000,
    "reconnect_backoff_max_ms": 1_000,
    "metadata_max_age_ms": 30_000,
    # `Producer.wait` flushes. Until then the library's thread leaves the one that makes the batch alone, and Kafka gets
    # one request where it would get many. What is sent again after an error waits so long, too.
    "linger_ms": 50,
    "batch_size": 256 * 1024,
    "retry_backoff_ms": RETRY_BACKOFF_MS,
    # Kafka decides what is too large, not the client's default, which lies below what DXL can carry.
    "max_request_size": 8 * 1024 * 1024,
    "metrics_enabled": False,
}

_REFRESH_BACKOFF_MS = 20


def refresh_soon(client: Any, cluster: str) -> None:
    """Lets a client of kafka-python ask for metadata twice within 20 ms; `cluster` is its attribute that keeps them.

    The library hands its `retry_backoff_ms` to all of its parts but this one, which waits 100 ms instead, several times
    at every start. Without effect where a later version has no such attribute.
    """
    with suppress(AttributeError, KeyError, TypeError):
        getattr(client, cluster).config["retry_backoff_ms"] = _REFRESH_BACKOFF_MS
