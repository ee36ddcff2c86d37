"""Which partition a record goes to: Kafka's own murmur2 of the key, so that other producers' keys agree.

kafka-python's hash is pure Python and costs 25 microseconds, so the hashes of recent keys are kept.
"""

from __future__ import annotations

from kafka.partitioner.default import murmur2

_MOST_KEYS = 20_000


class Partitions:
    """Maps keys to partitions. One thread."""

    def __init__(self) -> None:
        self._hashes: dict[bytes, int] = {}

    def of(self, key: bytes | None, event_id: str, count: int) -> int:
        """The partition among `count`; a record without a key is spread by its event id, the same at every attempt."""
        data = event_id.encode() if key is None else key
        value = self._hashes.get(data)
        if value is None:
            if len(self._hashes) >= _MOST_KEYS:
                self._hashes.clear()
            value = murmur2(data) & 0x7FFFFFFF
            if key is not None:
                self._hashes[data] = value
        return value % count
