"""How large a record each topic takes, so that one that Kafka would refuse is recognised before it costs a producer.

Two things tell it: the topic's `max.message.bytes`, where this user may read it, and what Kafka has refused lately. The
size that counts is that of a batch with the record alone, compressed as it is sent, or not where the topic stores it
uncompressed. A limit that has grown old is read again before a record is given up by it, and a size that was refused is
tried again after a minute: so a limit that was raised is noticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.record.memory_records import MemoryRecordsBuilder

from tie_forwarder.kafka.admin import TopicSettings
from tie_forwarder.kafka.errors import ErrorClass, Verdict
from tie_forwarder.records.size import batch_bytes

MOST_HEADER_BYTES = 64 * 1024
"""More than headers and key together can have, which are bounded where records are rendered."""

_REFUSED_SECONDS = 60.0
_WAIT_SECONDS = 1.0

Headers = Sequence[tuple[str, bytes]]


class _Refused(NamedTuple):
    """The smallest record that the topic has refused lately."""

    size: int
    until: float
    limit: int | None
    """The limit that was known then: another one makes it void."""


class Limits:
    """Judges records by their size. One thread."""

    def __init__(
        self,
        *,
        settings: TopicSettings,
        options: dict[str, Any],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`options` are those of kafka-python's producer."""
        self._settings = settings
        self._codec_name: str | None = options.get("compression_type")
        _, self._codec = KafkaProducer._COMPRESSORS.get(self._codec_name, (None, 0))  # noqa: SLF001 - its only table
        self._client_bytes: int = options["max_request_size"]
        self._monotonic = monotonic
        self._refused: dict[str, _Refused] = {}

    def harmless_value_bytes(self, topic: str) -> int:
        """A value of so many bytes fits for sure; cheap, so that `excess` need be asked for few records."""
        limits = [self._client_bytes]
        if (most := self._settings.most_bytes(topic)) is not None:
            limits.append(most)
        if (refused := self._refused_lately(topic)) is not None:
            limits.append(refused.size - 1)
        return min(limits) - MOST_HEADER_BYTES

    def excess(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> Verdict | None:
        """Why the topic will refuse the record as too large; None where it may take it.

        Blocks for a second at most, once in half a minute, to read the limit again.
        """
        if self._exceeds(topic, batch_bytes(key, len(value), headers)):
            self._settings.refresh(wait_seconds=_WAIT_SECONDS)
            size = self._size(topic, key, value, headers)
            if self._exceeds(topic, size):
                return self._verdict(topic, size)
        if len(key or b"") + len(value) + MOST_HEADER_BYTES > self._client_bytes:
            detail = f"the record is {len(value):,} bytes and kafka.producer.max_request_size is {self._client_bytes:,}"
            return Verdict(ErrorClass.POISON, "too_large", detail)
        return None

    def learn(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> Verdict:
        """Kafka has refused the record as too large when it was alone: the verdict in words. May block for a second."""
        self._settings.refresh(wait_seconds=_WAIT_SECONDS, even_if_fresh=True)
        size = self._size(topic, key, value, headers)
        limit = self._settings.most_bytes(topic)
        if limit is None or size <= limit:
            before = self._refused_lately(topic)
            smallest = size if before is None else min(size, before.size)
            self._refused[topic] = _Refused(smallest, self._monotonic() + _REFUSED_SECONDS, limit)
        return self._verdict(topic, size)

    def read_again(self) -> None:
        """A batch was refused for the size of a record: perhaps a limit has changed. May block for a second."""
        self._settings.refresh(wait_seconds=_WAIT_SECONDS, even_if_fresh=True)

    def room(self, topic: str) -> int | None:
        """How large a batch with one record the topic takes for sure; None where nothing is known."""
        known = [self._settings.most_bytes(topic)]
        if (refused := self._refused_lately(topic)) is not None:
            known.append(refused.size - 1)
        limits = [limit for limit in known if limit is not None]
        return min([*limits, self._client_bytes - MOST_HEADER_BYTES]) if limits else None

    def _exceeds(self, topic: str, size: int) -> bool:
        limit, refused = self._settings.most_bytes(topic), self._refused_lately(topic)
        return (limit is not None and size > limit) or (refused is not None and size >= refused.size)

    def _refused_lately(self, topic: str) -> _Refused | None:
        found = self._refused.get(topic)
        if found is None or self._monotonic() > found.until or found.limit != self._settings.most_bytes(topic):
            return None
        return found

    def _size(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> int:
        """What Kafka holds against the limit."""
        if not self._compresses(topic):
            return batch_bytes(key, len(value), headers)
        builder = MemoryRecordsBuilder(2, self._codec, 0)
        builder.append(0, key, value, list(headers))
        builder.close()
        return int(builder.size_in_bytes())

    def _compresses(self, topic: str) -> bool:
        return bool(self._codec) and self._settings.of(topic).get("compression.type") != "uncompressed"

    def _verdict(self, topic: str, size: int) -> Verdict:
        compressed = f" compressed with {self._codec_name}" if self._compresses(topic) else ""
        limit, refused = self._settings.most_bytes(topic), self._refused_lately(topic)
        if limit is not None and size > limit:
            rest = f"takes at most {limit:,} (max.message.bytes)"
        elif refused is not None and refused.size < size:
            rest = f"has lately refused one of {refused.size:,} (its max.message.bytes is not known)"
        elif limit is None:
            rest = "takes less (its max.message.bytes is not known)"
        else:
            rest = f"takes less once it has compressed it again (max.message.bytes is {limit:,})"
        detail = f"the record is {size:,} bytes{compressed} and the topic {topic} {rest}"
        return Verdict(ErrorClass.POISON, "too_large", detail)
