"""The tail of the output topics: which events stand in Kafka, who published them, and how far that is known.

Facts of kafka-python 3.0 that this module lives with: `end_offsets` of a read_committed consumer is the last stable
offset, that of a read_uncommitted one the high watermark; `position` moves past control records; `offsets_for_times`
says None where nothing is that young; `poll` returns in time even from a hung broker. Every other call here may block
up to the request timeout and raise KafkaError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from kafka import KafkaConsumer, TopicPartition

from tie_forwarder.publisher.commands import Seen

Positions: TypeAlias = "dict[str, dict[int, int]]"

_POLL_MS = 100
_MOST_RECORDS = 4_000
_SETTINGS: dict[str, Any] = {
    "group_id": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "max_poll_records": _MOST_RECORDS,
    "max_partition_fetch_bytes": 4 * 1024 * 1024,
    "fetch_max_bytes": 8 * 1024 * 1024,
    "request_timeout_ms": 10_000,
    "bootstrap_timeout_ms": 3_000,
    "reconnect_backoff_max_ms": 1_000,
    "metadata_max_age_ms": 5_000,
    "retry_backoff_ms": 50,
    "metrics_enabled": False,
}


class Found(NamedTuple):
    """A record of our kind, with its event's id."""

    event_id: bytes
    seen: Seen


class Tail:
    """Reads the output, committed records only. One thread."""

    def __init__(self, *, connection: dict[str, Any], topics: Sequence[str]) -> None:
        self._settings = {**_SETTINGS, **connection}
        self._topics = list(topics)
        self._committed: Any = None
        self._uncommitted: Any = None
        self._assigned: list[TopicPartition] = []
        self._mark: dict[TopicPartition, int] = {}
        self._peeked: dict[TopicPartition, int] = {}

    def open(self) -> None:
        """Connects. Blocks up to the bootstrap timeout."""
        self._committed = KafkaConsumer(isolation_level="read_committed", **self._settings)
        self._uncommitted = KafkaConsumer(isolation_level="read_uncommitted", **self._settings)

    def seek(self, positions: Positions) -> None:
        """Goes on where an earlier tail ended; partitions that it did not know are read from their beginning."""
        self._assign()
        for partition in self._assigned:
            self._committed.seek(partition, positions.get(partition.topic, {}).get(partition.partition, 0))

    def seek_by_time(self, since_ms: int) -> None:
        """Begins with the first record that is as young as that.

        The ends are asked before the times: what comes between the two questions then stands behind the ends.
        """
        self._assign()
        ends = self._uncommitted.end_offsets(self._assigned)
        found = self._committed.offsets_for_times(dict.fromkeys(self._assigned, since_ms))
        for partition in self._assigned:
            offset = found.get(partition)
            self._committed.seek(partition, ends[partition] if offset is None else offset.offset)

    def read(self) -> list[Found]:
        """The next committed records of our kind, waiting a little for some."""
        polled = self._committed.poll(timeout_ms=_POLL_MS)
        return [found for records in polled.values() for found in _ours(records)]

    def mark_end(self, *, high_watermark: bool) -> None:
        """Notes the end as it is now, new partitions included."""
        if high_watermark:
            self._uncommitted.topics()  # asks the cluster anew, so that partitions added a moment ago are known
        self._take_new_partitions()
        consumer = self._uncommitted if high_watermark else self._committed
        self._mark = dict(consumer.end_offsets(self._assigned))

    def reached_mark(self) -> bool:
        """Whether everything up to the mark has been read."""
        return all(self._committed.position(partition) >= end for partition, end in self._mark.items())

    def positions(self) -> Positions:
        """Up to where everything has been read, by topic and partition."""
        found: Positions = {topic: {} for topic in self._topics}
        for partition in self._assigned:
            found[partition.topic][partition.partition] = self._committed.position(partition)
        return found

    def advance(self, published: Iterable[tuple[str, int, int]]) -> None:
        """Skips what this member has published itself, given as topic, partition and offset: nobody else could."""
        ends: dict[tuple[str, int], int] = {}
        for topic, partition, offset in published:
            place = (topic, partition)
            if offset >= ends.get(place, 0):
                ends[place] = offset + 1
        for (topic, partition), end in ends.items():
            place_in_kafka = TopicPartition(topic, partition)
            if self._committed.position(place_in_kafka) < end:
                self._committed.seek(place_in_kafka, end)

    def peek_beyond(self) -> bool:
        """Whether records of our kind have come above the last stable offset since the last look."""
        stable = self._committed.end_offsets(self._assigned)
        ends = self._uncommitted.end_offsets(self._assigned)
        held_back = [partition for partition in self._assigned if ends[partition] > stable[partition]]
        if not held_back:
            self._peeked = {}
            return False
        for partition in held_back:
            self._uncommitted.seek(partition, max(stable[partition], self._peeked.get(partition, 0)))
        self._peeked = {partition: ends[partition] for partition in held_back}
        self._uncommitted.resume(*held_back)
        try:
            return self._any_of_ours(held_back)
        finally:
            self._uncommitted.pause(*held_back)

    def close(self) -> None:
        """Lets the connections go."""
        for consumer in (self._committed, self._uncommitted):
            if consumer is not None:
                with suppress(Exception):
                    consumer.close(timeout_ms=1_000)

    def _any_of_ours(self, partitions: Sequence[TopicPartition]) -> bool:
        ours = False
        for _ in range(20):
            polled = self._uncommitted.poll(timeout_ms=_POLL_MS)
            ours = ours or any(True for records in polled.values() for _ in _ours(records))
            if all(self._uncommitted.position(place) >= self._peeked[place] for place in partitions):
                break
        return ours

    def _assign(self) -> None:
        self._assigned = self._partitions()
        self._committed.assign(self._assigned)
        self._assign_uncommitted()

    def _assign_uncommitted(self) -> None:
        """All partitions, since the client forgets the metadata of topics that it has none of; paused until a peek."""
        self._uncommitted.assign(self._assigned)
        for partition in self._assigned:
            self._uncommitted.seek(partition, 0)
        self._uncommitted.pause(*self._assigned)

    def _take_new_partitions(self) -> None:
        new = [partition for partition in self._partitions() if partition not in self._assigned]
        if new:
            positions = {partition: self._committed.position(partition) for partition in self._assigned}
            self._assigned += new
            self._committed.assign(self._assigned)
            for partition, position in positions.items():
                self._committed.seek(partition, position)
            for partition in new:
                self._committed.seek(partition, 0)
            self._assign_uncommitted()

    def _partitions(self) -> list[TopicPartition]:
        found = []
        for topic in self._topics:
            numbers = self._uncommitted.partitions_for_topic(topic)
            if not numbers:
                raise UnknownTopic(topic)
            found += [TopicPartition(topic, number) for number in sorted(numbers)]
        return found


class UnknownTopic(Exception):  # noqa: N818 - Kafka's own word
    """The cluster knows no such topic, or this user may not see it."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(topic)


def _ours(records: Iterable[Any]) -> Iterable[Found]:
    """Those that a forwarder wrote: they carry the id of an event. Whatever else stands in the topic is passed over."""
    for record in records:
        event_id: bytes | None = None
        forwarder = ""
        for name, value in record.headers:
            if name == "ce_id":
                event_id = _id(value)
            elif name == "ce_forwarder" and value is not None:
                forwarder = value.decode("utf-8", "replace")
        if event_id is not None and forwarder:
            yield Found(event_id, Seen(forwarder, record.timestamp))


def _id(value: bytes | None) -> bytes | None:
    try:
        packed = bytes.fromhex((value or b"").decode("ascii").replace("-", ""))
    except ValueError:
        return None
    return packed if len(packed) == 16 else None
