"""The tail of the output topics: which events stand in Kafka, who published them, and how far that is known.

Facts of kafka-python 3.0 that this module lives with: `end_offsets` of a read_committed consumer is the last stable
offset, that of a read_uncommitted one the high watermark; `position` moves past control records; `offsets_for_times`
says None where nothing is that young; `poll` returns in time even from a hung broker. Every other call here may block
up to the request timeout and raise KafkaError.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from time import strptime
from typing import Any, NamedTuple, TypeAlias

from kafka import KafkaConsumer, OffsetSpec, TopicPartition
from kafka.errors import UnsupportedVersionError

from tie_forwarder.group.commands import Seen
from tie_forwarder.kafka.offsets import first_offsets_since, offsets
from tie_forwarder.kafka.producer import refresh_soon

Positions: TypeAlias = "dict[str, dict[int, int]]"
TopicIds: TypeAlias = "dict[str, str]"
Ends: TypeAlias = "dict[tuple[str, int], int]"
"""An offset by topic and partition; what stands before it is meant."""

_POLL_MS = 100
_POSITION_MS = 10_000
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
    """A record of our kind, with its event's id and the DXL topic that it came on."""

    event_id: bytes
    seen: Seen
    dxl_topic: bytes


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
        self.topic_ids: TopicIds = {}
        """Kafka's ids of the topics that are read."""

    def open(self) -> None:
        """Connects. Blocks up to the bootstrap timeout."""
        self._committed = KafkaConsumer(isolation_level="read_committed", **self._settings)
        self._uncommitted = KafkaConsumer(isolation_level="read_uncommitted", **self._settings)
        for consumer in (self._committed, self._uncommitted):
            refresh_soon(consumer, "_cluster")

    def seek(self, positions: Positions, topic_ids: TopicIds, *, since_ms: Callable[[], int], margin_ms: int) -> None:
        """Goes on where an earlier tail ended; partitions that it did not know are read from their beginning.

        A topic that was deleted and made anew has another id, one that was cut ends before that place: what was read
        of the old one says nothing of it, so its reading begins by time, as in `seek_by_time`.
        """
        self._assign()
        ends = offsets(self._uncommitted.end_offsets, self._assigned)
        resumed = {}
        for partition in self._assigned:
            position = positions.get(partition.topic, {}).get(partition.partition, 0)
            same = topic_ids.get(partition.topic, "") == self.topic_ids.get(partition.topic, "")
            if same and position <= ends[partition]:
                resumed[partition] = position
        if len(resumed) < len(self._assigned):
            self.seek_by_time(since_ms(), margin_ms=margin_ms)
        for partition, position in resumed.items():
            self._committed.seek(partition, position)

    def seek_by_time(self, since_ms: int, *, margin_ms: int) -> None:
        """Begins with the first record that is as young as that, less the margin.

        The time is this machine's, and the records have others, so it is never taken to be later than the newest
        record of a partition: with a clock that is ahead a member would otherwise skip what was just published.

        Where nothing is that young, it begins at the last stable offset, which is asked before the times: what comes
        between the two questions then stands behind it. The high watermark would pass over the records of an open
        transaction, for which `offsets_for_times` of a read_committed consumer says None.
        """
        self._assign()
        ends = offsets(self._committed.end_offsets, self._assigned)
        newest = self._newest_ms()
        since = {place: max(0, min(since_ms, newest.get(place, since_ms)) - margin_ms) for place in self._assigned}
        found = first_offsets_since(self._committed, since)
        for partition, offset in found.items():
            self._committed.seek(partition, ends[partition] if offset is None else offset)

    def read(self, *, ahead: bool = True) -> list[Found]:
        """The next committed records of our kind, waiting a little for some.

        Without `ahead` nothing is fetched between two reads, which costs much less where few records come often.
        """
        if self._committed.paused():
            self._committed.resume(*self._assigned)
        polled = self._committed.poll(timeout_ms=_POLL_MS)
        if not ahead:
            self._committed.pause(*self._assigned)
        return [found for records in polled.values() for found in _ours(records)]

    def mark_end(self, *, high_watermark: bool) -> None:
        """Notes the end as it is now, new partitions included."""
        if high_watermark:
            self._uncommitted.topics()  # asks the cluster anew, so that partitions added a moment ago are known
        self._take_new_partitions()
        consumer = self._uncommitted if high_watermark else self._committed
        self._mark = offsets(consumer.end_offsets, self._assigned)
        if high_watermark:
            self._refuse_shorter_topics()

    def unread(self) -> int:
        """How many offsets lie between what has been read and the mark; 0 when all of it has been read."""
        return sum(max(0, end - self._position(partition)) for partition, end in self._mark.items())

    def position(self) -> int:
        """How far the output has been read, over all partitions."""
        return sum(self._position(partition) for partition in self._assigned)

    def held_back(self) -> dict[TopicPartition, int]:
        """The last stable offset of the partitions in which an open transaction keeps readers from the end."""
        stable = offsets(self._committed.end_offsets, self._assigned)
        ends = offsets(self._uncommitted.end_offsets, self._assigned)
        return {place: stable[place] for place in self._assigned if stable[place] < ends[place]}

    def stable_ends(self) -> Ends:
        """The last stable offset by topic and partition, partitions that were just added included."""
        ends = offsets(self._committed.end_offsets, self._partitions())
        return {(place.topic, place.partition): end for place, end in ends.items()}

    def positions(self) -> Positions:
        """Up to where everything has been read, by topic and partition."""
        found: Positions = {topic: {} for topic in self._topics}
        for partition in self._assigned:
            position = self._position(partition)
            if position >= 0:
                found[partition.topic][partition.partition] = position
        return found

    def advance(self, ends: Ends) -> None:
        """Skips what this member has published itself up to these ends: nobody else could."""
        for (topic, partition), end in ends.items():
            place_in_kafka = TopicPartition(topic, partition)
            # The producer may know a new partition before the tail does, which then reads it from its beginning.
            if place_in_kafka in self._assigned and self._position(place_in_kafka) < end:
                self._committed.seek(place_in_kafka, end)

    def peek_beyond(self) -> bool:
        """Whether records of our kind have come above the last stable offset since the last look.

        Partitions that were added since are read from now on.
        """
        self._take_new_partitions()
        stable = offsets(self._committed.end_offsets, self._assigned)
        ends = offsets(self._uncommitted.end_offsets, self._assigned)
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
                with suppress(Exception):  # a client that failed may raise anything while it closes
                    consumer.close(timeout_ms=1_000)

    def _newest_ms(self) -> dict[TopicPartition, int]:
        """The youngest timestamp in each partition; the ends of transactions count, and have the broker's time.

        Nothing where the brokers are older than 3.0, which cannot say, or the partition is empty.
        """
        times = dict.fromkeys(self._assigned, OffsetSpec.MAX_TIMESTAMP)
        try:
            found = self._uncommitted._fetcher.offsets_by_times(times, _POSITION_MS)  # noqa: SLF001 - no public way
        except (AttributeError, UnsupportedVersionError):
            return {}
        return {place: offset.timestamp for place, offset in found.items() if offset is not None}

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
        self.topic_ids = {topic: self._topic_id(topic) for topic in self._topics}
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
        for topic, topic_id in self.topic_ids.items():
            if self._topic_id(topic) != topic_id:
                raise TopicCut(topic)
        if new:
            positions = {partition: max(0, self._position(partition)) for partition in self._assigned}
            self._assigned += new
            self._committed.assign(self._assigned)
            for partition, position in positions.items():
                self._committed.seek(partition, position)
            for partition in new:
                self._committed.seek(partition, 0)
            self._assign_uncommitted()

    def _topic_id(self, topic: str) -> str:
        """Kafka's own id of the topic, which another one by the same name does not have; empty where it has none."""
        with suppress(AttributeError):
            return str(self._uncommitted._cluster.topic_id(topic) or "")  # noqa: SLF001 - no public way to it
        return ""

    def _refuse_shorter_topics(self) -> None:
        for partition, end in self._mark.items():
            if self._position(partition) > end:
                raise TopicCut(partition.topic)

    def _position(self, partition: TopicPartition) -> int:
        """Up to where the partition was read; -1 while the client itself does not know."""
        position: int | None = self._committed.position(partition, timeout_ms=_POSITION_MS)
        return -1 if position is None else position

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


class TopicCut(Exception):  # noqa: N818 - a state of the topic
    """The topic ends before the place up to which it was read, or is another one by the same name."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(topic)


def _ours(records: Iterable[Any]) -> Iterable[Found]:
    """Those that a forwarder wrote: they carry the id of an event. Whatever else is in the topic is skipped."""
    for record in records:
        headers: dict[str, bytes | None] = dict(record.headers)
        event_id = _id(headers.get("ce_id"))
        forwarder = headers.get("ce_forwarder")
        if event_id is not None and forwarder:
            # A dead letter has other names for the same. The record's own timestamp may be the broker's.
            received = _milliseconds(headers.get("ce_receivedtime") or headers.get("received_at") or b"")
            topic = headers.get("ce_dxltopic") or headers.get("dxl_topic") or b""
            yield Found(event_id, Seen(forwarder.decode("utf-8", "replace"), received), topic)


def _id(value: bytes | None) -> bytes | None:
    try:
        packed = bytes.fromhex((value or b"").decode("ascii").replace("-", ""))
    except ValueError:
        return None
    return packed if len(packed) == 16 else None


def _milliseconds(text: bytes) -> int | None:
    """Milliseconds since the epoch of a time as `records.text` writes it; None for any other text."""
    second = _second(text[:19])
    if second is None or len(text) != 24 or text[19:20] != b"." or text[23:] != b"Z" or not text[20:23].isdigit():
        return None
    return second * 1000 + int(text[20:23])


@lru_cache(maxsize=256)
def _second(text: bytes) -> int | None:
    # Cached, because many events are received in one second and parsing takes most of the time.
    try:
        return timegm(strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
