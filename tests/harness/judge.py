"""Says what became of published events, from what stands in Kafka.

Owns: reading the output topics to their end, and the count. Must not: ask the forwarder anything.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kafka import KafkaConsumer, TopicPartition

from tests.harness.detections import number_of
from tests.harness.topics import Topics

Isolation = Literal["read_committed", "read_uncommitted"]
_SHOWN = 10


@dataclass(frozen=True)
class Record:
    """A record as a consumer sees it; `event_id` is its ce_id."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, str]

    @property
    def event_id(self) -> str:
        """The event that the record carries; "" when it does not say."""
        return self.headers.get("ce_id", "")


@dataclass(frozen=True)
class Verdict:
    """What became of the published numbers. `str()` is a report."""

    published: int
    records: int
    """Records in the output topics, dead letters not counted."""
    lost: list[int]
    """Numbers that are neither in the output nor among the dead letters."""
    duplicated: dict[str, int]
    """Event ids that stand more than once, with how often."""
    out_of_order_per_key: dict[bytes, list[tuple[int, int]]]
    """For each key the numbers that stand the wrong way round in a partition; repetitions do not count."""
    unexpected: list[str]
    """Event ids that nobody published."""
    dead_letters: list[Record] = field(repr=False)
    """Those that were not replayed: the event of a replayed one is to stand in the output."""

    def assert_exactly_once(self, *, dead_letters: int = 0, in_order: bool = True) -> None:
        """Every number stands once, in order for its key, with nothing else and `dead_letters` of them dead."""
        self.assert_nothing_lost(dead_letters=dead_letters)
        assert not self.duplicated, f"duplicates: {self}"
        assert not self.unexpected, f"events that nobody published: {self}"
        if in_order:
            assert not self.out_of_order_per_key, f"out of order: {self}"

    def assert_nothing_lost(self, *, dead_letters: int = 0) -> None:
        """Every number stands at least once."""
        assert not self.lost, f"lost events: {self}"
        assert len({letter.event_id for letter in self.dead_letters}) == dead_letters, f"dead letters: {self}"

    def __str__(self) -> str:
        inversions = [(key.decode(errors="replace"), pair) for key, pairs in self.out_of_order_per_key.items()
                      for pair in pairs]  # fmt: skip
        reasons = Counter(letter.headers.get("reason", "no reason") for letter in self.dead_letters)
        return "\n".join(
            [
                f"{self.published} published, {self.records} records",
                f"  lost: {_shown(self.lost)}",
                f"  duplicated: {_shown([f'{event} x{count}' for event, count in self.duplicated.items()])}",
                f"  out of order: {_shown(inversions)}",
                f"  unexpected: {_shown(self.unexpected)}",
                f"  dead letters: {len(self.dead_letters)} {dict(reasons) or ''}",
            ]
        )


class Judge:
    """Reads the output topics of one test. Opens a connection for each reading."""

    def __init__(self, *, bootstrap_servers: Sequence[str], topics: Topics) -> None:
        self._servers = list(bootstrap_servers)
        self._topics = topics

    def verdict(self, published: Iterable[int]) -> Verdict:
        """Compare the numbers of `published` detections with what a read_committed consumer finds now."""
        topics = [name for kind, name in self._topics.configuration().items() if kind != "dead_letter"]
        records = list(self.read(*topics))
        dead_letters = _not_replayed(list(self.read(self._topics.dead_letter)))
        numbers = list(published)
        expected = set(numbers)
        counts = Counter(record.event_id for record in records + dead_letters)
        found = {event: number_of(event) for event in counts}
        return Verdict(
            published=len(expected),
            records=len(records),
            lost=sorted(expected.difference(number for number in found.values() if number is not None)),
            duplicated={event: count for event, count in counts.items() if count > 1},
            out_of_order_per_key=_inversions(records),
            unexpected=[event for event, number in found.items() if number not in expected],
            dead_letters=dead_letters,
        )

    def read(self, *topics: str, isolation: Isolation = "read_committed", timeout: float = 120.0) -> Iterator[Record]:
        """Yield every record up to the end of the topics as it is now, partition by partition in the order of offsets.

        For a read_committed reader the end lies before the oldest open transaction. `TimeoutError` when the end is not
        reached in time; some 30,000 records a second.
        """
        consumer = KafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation,
            max_poll_records=5_000,
            max_partition_fetch_bytes=8 << 20,
        )
        try:
            yield from _to_the_end(consumer, topics, time.monotonic() + timeout)
        finally:
            consumer.close()


def _not_replayed(records: Sequence[Record]) -> list[Record]:
    """Dead letters without a marker. A marker that no event in the output answers to makes its number lost."""
    marked = {record.event_id for record in records if _is_marker(record)}
    return [record for record in records if not _is_marker(record) and record.event_id not in marked]


def _is_marker(record: Record) -> bool:
    return "replayed_at" in record.headers


def _to_the_end(consumer: Any, topics: Sequence[str], deadline: float) -> Iterator[Record]:
    partitions = []
    for topic in topics:
        known = consumer.partitions_for_topic(topic)
        assert known, f"topic {topic} does not exist"
        partitions += [TopicPartition(topic, number) for number in sorted(known)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    # The position also passes the markers of transactions, which are no records.
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        if time.monotonic() >= deadline:
            at = {f"{p.topic}/{p.partition}": (consumer.position(p), ends[p]) for p in partitions}
            raise TimeoutError(f"the end of the output was not reached; position and end: {at}")
        for partition, records in consumer.poll(timeout_ms=200).items():
            for record in records:
                if record.offset < ends[partition]:
                    yield _record(record)


def _record(record: Any) -> Record:
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    return Record(record.topic, record.partition, record.offset, record.key, record.value or b"", headers)


def _inversions(records: Iterable[Record]) -> dict[bytes, list[tuple[int, int]]]:
    latest: dict[tuple[str, int, bytes], int] = {}
    seen: set[str] = set()
    inversions: dict[bytes, list[tuple[int, int]]] = {}
    for record in records:
        number = number_of(record.event_id)
        if record.key is None or number is None or record.event_id in seen:
            continue
        seen.add(record.event_id)
        before = latest.get((record.topic, record.partition, record.key), -1)
        if number < before:
            inversions.setdefault(record.key, []).append((before, number))
        else:
            latest[record.topic, record.partition, record.key] = number
    return inversions


def _shown(items: Sequence[object]) -> str:
    if not items:
        return "0"
    more = ", ..." if len(items) > _SHOWN else ""
    return f"{len(items)} ({', '.join(str(item) for item in items[:_SHOWN])}{more})"
