"""Others who write to the output topic, with transactions that they hold open or plainly; and what Kafka leaves behind.

Owns: their records, which carry no id of an event. Must not: use the group's transactional id, except to initialise it
and to leave a transaction hanging.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_WRITE_SECONDS = 0.05


class _Writer:
    """Writes on a thread of its own, from the beginning of `with` to its end."""

    def __init__(self, *, bootstrap_servers: Sequence[str], topic: str, **settings: Any) -> None:
        self._topic = topic
        self._settings = {"bootstrap_servers": list(bootstrap_servers), "acks": "all", **settings}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="foreign-writer", daemon=True)

    def _write(self, producer: Any) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        producer = KafkaProducer(**self._settings)
        try:
            self._write(producer)
        except KafkaError:
            return  # Kafka has gone: so does this writer
        finally:
            producer.close(timeout=5)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


class PlainWriter(_Writer):
    """Writes twenty records a second without transactions."""

    written = 0
    """How many stand in the topic."""

    def wait_until_written(self, count: int) -> None:
        """Blocks until so many stand in the topic."""
        wait_until(lambda: self.written >= count, timeout=30.0, what=f"{count} foreign records")

    def _write(self, producer: Any) -> None:
        while not self._stop.wait(_WRITE_SECONDS):
            producer.send(self._topic, b"foreign").get(timeout=10)
            self.written += 1


class TransactionalWriter(_Writer):
    """One transaction after the other, each held open; every other one is aborted, the first one committed."""

    def __init__(self, *, bootstrap_servers: Sequence[str], topic: str, held_seconds: float) -> None:
        super().__init__(
            bootstrap_servers=bootstrap_servers,
            topic=topic,
            transactional_id=f"foreign-{uuid.uuid4().hex[:8]}",
            transaction_timeout_ms=120_000,
        )
        self._held_seconds = held_seconds
        self._open = threading.Event()

    def wait_until_open(self) -> None:
        """Blocks until the first transaction has records in the topic."""
        if not self._open.wait(30.0):
            raise TimeoutError("the foreign transaction was not opened")

    def _write(self, producer: Any) -> None:
        producer.init_transactions()
        commit = True
        while not self._stop.is_set():
            producer.begin_transaction()
            for partition in sorted(producer.partitions_for(self._topic)):
                producer.send(self._topic, b"foreign", partition=partition).get(timeout=10)
            self._open.set()
            self._stop.wait(self._held_seconds)
            producer.commit_transaction() if commit else producer.abort_transaction()
            commit = not commit

    @staticmethod
    def initialise(*, bootstrap_servers: Sequence[str], transactional_id: str) -> None:
        """Initialises a transactional id once, which fences whoever uses it."""
        producer = KafkaProducer(bootstrap_servers=list(bootstrap_servers), transactional_id=transactional_id)
        try:
            producer.init_transactions()
        finally:
            producer.close(timeout=5)


def leave_hanging(
    *,
    kafka: KafkaCluster,
    topic: str,
    transactional_id: str,
    event_ids: Sequence[str],
    header: tuple[str, bytes] = ("ce_forwarder", b"b"),
) -> None:
    """Leaves records of these events in a transaction of that id which the coordinator knows nothing of any more.

    So it is after Kafka was killed in a commit and took the partitions for deleted when it was back. A client can bring
    it about by not announcing the partition, if the cluster has `transaction.partition.verification.enable=false`.
    """
    producer: Any = KafkaProducer(bootstrap_servers=kafka.internal_servers, transactional_id=transactional_id)
    producer.init_transactions()
    producer.begin_transaction()
    for number, event_id in enumerate(event_ids):
        partition = TopicPartition(topic, number % len(producer.partitions_for(topic)))
        producer._transaction_manager._partitions_in_transaction.add(partition)
        headers = [("ce_id", event_id.encode()), header]
        producer.send(topic, value=b"{}", headers=headers, partition=partition.partition).get(timeout=10)
    producer._sender.force_close()
