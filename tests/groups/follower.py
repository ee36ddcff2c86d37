"""A consumer of the output as its users run one: read_committed, from the beginning, as the records come.

Owns: when each detection was first seen, by the monotonic clock, and how often. It shares no code with the judge, so
that the two confirm each other. Must not: ask the forwarders anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import pairwise

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tests.harness.detections import number_of


class Follower:
    """Follows some topics on a thread of its own, from `start()` to `stop()`; Kafka may come and go meanwhile."""

    def __init__(self, *, bootstrap_servers: Sequence[str], topics: Sequence[str]) -> None:
        self.seen_at: dict[int, float] = {}
        """When each number was seen first."""
        self.repeated: list[int] = []
        """Numbers that came again; empty when all is well."""
        self._servers = list(bootstrap_servers)
        self._topics = list(topics)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Connects and begins to read."""
        self._consumer = KafkaConsumer(
            bootstrap_servers=self._servers,
            isolation_level="read_committed",
            group_id=None,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
            reconnect_backoff_max_ms=200,
            max_partition_fetch_bytes=4 << 20,
        )
        found = [
            TopicPartition(topic, number)
            for topic in self._topics
            for number in self._consumer.partitions_for_topic(topic) or ()
        ]
        self._consumer.assign(found)
        self._consumer.seek_to_beginning(*found)
        self._thread.start()

    def stop(self) -> None:
        """Ends the reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def has_seen(self, numbers: Sequence[int]) -> bool:
        """Whether all of these have come."""
        return all(number in self.seen_at for number in numbers)

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time without a detection in a span of the monotonic clock, in seconds."""
        moments = sorted({since, until, *(at for at in list(self.seen_at.values()) if since < at < until)})
        return max((after - before for before, after in pairwise(moments)), default=0.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                polled = self._consumer.poll(timeout_ms=50)
            except KafkaError:
                continue
            now = time.monotonic()
            for records in polled.values():
                for record in records:
                    self._note(dict(record.headers).get("ce_id"), now)

    def _note(self, event_id: bytes | None, now: float) -> None:
        number = number_of((event_id or b"").decode())
        if number is None:
            return
        if number in self.seen_at:
            self.repeated.append(number)
        else:
            self.seen_at[number] = now
