"""What the verbs ask Kafka, as opposed to what the publisher tells it: does it answer, create topics, read records.

Owns: short-lived administrative clients and consumers. Must not: join a consumer group, commit offsets or write
records. Every failure is a ForwarderError with its true cause, which kafka-python shows in its log alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from tie_forwarder.errors import ForwarderError
from tie_forwarder.kafka.errors import Causes, ErrorClass, classify
from tie_forwarder.kafka.handshake import ask_servers
from tie_forwarder.kafka.offsets import first_offsets_since, offsets

_TIMEOUTS = {"bootstrap_timeout_ms": 3_000, "request_timeout_ms": 3_000, "reconnect_backoff_max_ms": 500}
_LOOK_AGAIN_SECONDS = 0.05
_POLL_MS = 200
_POSITION_MS = 3_000
_STALLED_SECONDS = 60.0


class OutputRecord(NamedTuple):
    """A record as it stands in Kafka; `timestamp_ms` counts from the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str:
        """The last header of this name as text; empty when there is none."""
        values = [value for header, value in self.headers if header == name]
        return values[-1].decode("utf-8", "replace") if values else ""


def wait_until_answering(connection: Mapping[str, Any], *, timeout_seconds: float) -> None:
    """Block until a broker has described its cluster; ForwarderError when none has in time."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            with _admin(connection, timeout_seconds=deadline - time.monotonic()) as admin:
                admin.describe_cluster()
        except ForwarderError:
            if time.monotonic() + _LOOK_AGAIN_SECONDS >= deadline:
                raise
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return


def create_topics(connection: Mapping[str, Any], topics: Sequence[str], *, partitions: int = 1) -> None:
    """Create what is missing of `topics`, with the cluster's own replication; blocks until each has its leaders.

    Where nothing is missing, the right to describe the topics is enough.
    """
    with _admin(connection) as admin:
        for described in admin.describe_topics(list(topics)):
            if described["error_code"] == UnknownTopicOrPartitionError.errno:
                with suppress(TopicAlreadyExistsError):
                    options = {"num_partitions": partitions}
                    admin.create_topics({described["name"]: options}, wait_for_metadata=True)


class OutputTail:
    """Reads topics from now on, or from their beginning, as a read_committed consumer does. One thread at a time."""

    def __init__(self, *, connection: Mapping[str, Any], topics: Sequence[str], from_beginning: bool = False) -> None:
        self._connection = connection
        self._topics = tuple(dict.fromkeys(topics))
        self._from_beginning = from_beginning
        self._consumer: Any = None

    def __enter__(self) -> OutputTail:
        """Connect and fix where "now" is; ForwarderError when Kafka does not answer or a topic is missing."""
        with _translated(self._connection):
            self._consumer = _consumer(self._connection, committed=True)
            try:
                self._assign()
            except BaseException:
                self._close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def poll(self, timeout_seconds: float) -> list[OutputRecord]:
        """What has arrived, in order within each partition; an empty list when nothing did in time."""
        with _translated(self._connection):
            arrived = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000))
        return [_record(record) for records in arrived.values() for record in records]

    def _assign(self) -> None:
        partitions = _partitions(self._consumer, self._topics, self._connection)
        ask = self._consumer.beginning_offsets if self._from_beginning else self._consumer.end_offsets
        starts = offsets(ask, partitions)
        self._consumer.assign(partitions)
        for partition, start in starts.items():
            self._consumer.seek(partition, start)

    def _close(self) -> None:
        with suppress(Exception):  # a client that failed may raise anything while it closes
            self._consumer.close(timeout_ms=1_000)


class OutputReader:
    """Reads topics up to ends that were asked beforehand, as a read_committed consumer does. One thread at a time."""

    def __init__(self, *, connection: Mapping[str, Any], topics: Sequence[str]) -> None:
        self._connection = connection
        self._topics = tuple(dict.fromkeys(topics))
        self._consumers: dict[bool, Any] = {}
        self._partitions: list[TopicPartition] = []
        self._left: dict[TopicPartition, int] = {}

    def __enter__(self) -> OutputReader:
        """Connect; ForwarderError when Kafka does not answer or a topic is missing."""
        try:
            with _translated(self._connection):
                for committed in (True, False):
                    self._consumers[committed] = _consumer(self._connection, committed=committed)
                self._partitions = _partitions(self._consumers[True], self._topics, self._connection)
                for consumer in self._consumers.values():
                    # All of them, since the client forgets the metadata of topics that it has none of.
                    consumer.assign(self._partitions)
                    for partition in self._partitions:
                        consumer.seek(partition, 0)
                    consumer.pause(*self._partitions)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def ends(self, *, committed: bool) -> dict[tuple[str, int], int]:
        """By topic and partition the last stable offset, or else the high watermark."""
        with _translated(self._connection):
            ends = offsets(self._consumers[committed].end_offsets, self._partitions)
        return {(place.topic, place.partition): end for place, end in ends.items()}

    def begins(self, since_ms: int) -> dict[tuple[str, int], int]:
        """By topic and partition the first offset whose timestamp is not before `since_ms`; the end where none is."""
        with _translated(self._connection):
            consumer = self._consumers[True]
            ends = offsets(consumer.end_offsets, self._partitions)
            found = first_offsets_since(consumer, dict.fromkeys(self._partitions, since_ms))
        return {
            (place.topic, place.partition): ends[place] if first is None else first for place, first in found.items()
        }

    def read(
        self, ends: Mapping[tuple[str, int], int], *, begins: Mapping[tuple[str, int], int] | None = None
    ) -> Iterator[list[OutputRecord]]:
        """Yield what stands before these ends, from the beginning or from `begins` on, in order in each partition.

        An empty list tells that nothing has come for a moment. ForwarderError when nothing comes for a minute.
        """
        consumer = self._consumers[True]
        wanted = {TopicPartition(*place): end for place, end in ends.items()}
        with _translated(self._connection):
            starts = offsets(consumer.beginning_offsets, list(wanted)) if begins is None else {}
            for place, end in wanted.items():
                consumer.seek(place, starts.get(place, 0) if begins is None else begins[place.topic, place.partition])
                self._left[place] = self._distance(place, end)
            consumer.resume(*wanted)
        moved_at = time.monotonic()
        try:
            while self.unread:
                before = self.unread
                yield self._poll(consumer, wanted)
                if self.unread != before:
                    moved_at = time.monotonic()
                elif time.monotonic() - moved_at > _STALLED_SECONDS:
                    raise _stalled(self._left)
        finally:
            self._left = {}
            consumer.pause(*self._partitions)

    @property
    def unread(self) -> int:
        """How many offsets are left of the reading that is under way."""
        return sum(self._left.values())

    def _poll(self, consumer: Any, wanted: Mapping[TopicPartition, int]) -> list[OutputRecord]:
        with _translated(self._connection):
            arrived = consumer.poll(timeout_ms=_POLL_MS)
            for place, end in wanted.items():
                self._left[place] = self._distance(place, end)
        return [
            _record(record)
            for place, records in arrived.items()
            for record in records
            if record.offset < wanted.get(place, 0)
        ]

    def _distance(self, place: TopicPartition, end: int) -> int:
        """The position also passes the markers of transactions, which are no records."""
        position: int | None = self._consumers[True].position(place, timeout_ms=_POSITION_MS)
        return self._left.get(place, end) if position is None else max(0, end - position)

    def _close(self) -> None:
        for consumer in self._consumers.values():
            with suppress(Exception):  # as above
                consumer.close(timeout_ms=1_000)


def _consumer(connection: Mapping[str, Any], *, committed: bool) -> Any:
    return KafkaConsumer(
        **{**connection, **_TIMEOUTS},
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        isolation_level="read_committed" if committed else "read_uncommitted",
        auto_offset_reset="earliest",
    )


def _partitions(consumer: Any, topics: Sequence[str], connection: Mapping[str, Any]) -> list[TopicPartition]:
    found = []
    for topic in topics:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            message = f"the topic {topic} does not exist on {_servers(connection)}, or may not be described"
            raise ForwarderError(message, remedy="create it, or grant Describe and Read on it")
        found += [TopicPartition(topic, number) for number in sorted(numbers)]
    return found


def _stalled(left: Mapping[TopicPartition, int]) -> ForwarderError:
    places = ", ".join(f"{place.topic}-{place.partition}" for place, count in left.items() if count)
    message = f"nothing of {places} could be read for {_STALLED_SECONDS:.0f} s"
    return ForwarderError(message, remedy="see whether the brokers run, and whether a transaction is open there")


def _record(record: Any) -> OutputRecord:
    return OutputRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple((name, value or b"") for name, value in record.headers),
    )


@contextmanager
def _admin(connection: Mapping[str, Any], *, timeout_seconds: float = 3.0) -> Iterator[Any]:
    timeout_ms = max(int(min(timeout_seconds, 3.0) * 1000), 100)
    with _translated(connection):
        admin = KafkaAdminClient(
            **{**connection, **_TIMEOUTS, "bootstrap_timeout_ms": timeout_ms, "request_timeout_ms": timeout_ms}
        )
        try:
            yield admin
        finally:
            with suppress(Exception):  # a client that failed may raise anything while it closes
                admin.close()


@contextmanager
def _translated(connection: Mapping[str, Any]) -> Iterator[None]:
    causes = Causes()
    log = logging.getLogger("kafka.net")
    log.addHandler(causes)
    try:
        yield
    except (KafkaError, OSError, ValueError) as error:
        verdict = causes.explain(classify(error))
        if verdict.error_class is ErrorClass.TRANSIENT:
            # A wrong password looks like that more often than not; a handshake tells it for certain.
            refusal = ask_servers({"security_protocol": "PLAINTEXT", **connection})
            if refusal is not None and refusal.error_class is ErrorClass.BLOCKED:
                verdict = refusal
        raise ForwarderError(f"Kafka at {_servers(connection)}: {verdict.detail}", remedy=verdict.remedy) from error
    finally:
        log.removeHandler(causes)


def _servers(connection: Mapping[str, Any]) -> str:
    return ", ".join(connection["bootstrap_servers"])
