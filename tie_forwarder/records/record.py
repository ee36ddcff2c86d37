"""The Kafka record as it stands in the spool: rendered once, at intake, and only sent afterwards."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """One record. Its topic is looked up by `destination` when it is published, its partition is made from `key`."""

    destination: str
    """A key of `kafka.topics`: an event kind (as `detection`) or `dead_letter`."""
    event_id: str
    """UUID in lower case without braces; unique in the spool."""
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    received_at_ms: int
    """Time of receipt in milliseconds since the epoch; becomes the record's timestamp."""
