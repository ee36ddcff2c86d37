"""One event at a time: from its publication on the fabric to a read_committed reader, and that from the spool on."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher, encode_detections
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.kafka.producer import BETWEEN_TRANSACTIONS_MS, PRODUCER
from tie_forwarder.spool import Reader as SpoolReader

_PATIENCE_SECONDS = 30.0
_MISSED_SECONDS = 0.5
_BETWEEN_SECONDS = 0.03
_RECORD_BYTES = 900


class Latency(NamedTuple):
    """Milliseconds until a read_committed reader has the event."""

    from_fabric: float
    from_spool: float
    """From the commit that made it visible in the spool."""
    of_kafka_alone: float
    """Of a transaction with one such record by kafka-python alone, which is what no forwarder in Python goes below."""


def median_latency(*, fabric: Mosquitto, kafka: KafkaCluster, directory: Path, events: int = 200) -> Latency:
    """Medians with `exactly_once`, one event after the other."""
    topics = Topics.unique().create(kafka.administration)
    forwarder = Forwarder(
        directory=directory / "latency",
        dxl_config=fabric.client_config("latency"),
        bootstrap_servers=kafka.bootstrap_servers,
        topics=topics,
        name="latency",
        options={"kafka": {"delivery": "exactly_once"}},
    )
    reader = _Reader(kafka, topics.detection)
    try:
        forwarder.start()
        forwarder.wait_until(lambda f: f.status()["group"]["role"] == "publishing", timeout=30.0)
        spool = SpoolReader(forwarder.spool_directory)
        spool.open()
        with FabricPublisher(fabric=fabric, name="latency-load") as publisher:
            trips = [_round_trip(publisher, spool, reader, packet) for packet in encode_detections(range(events))]
        spool.close()
        forwarder.terminate()
        from_fabric, from_spool = map(statistics.median, zip(*filter(None, trips), strict=True))
        return Latency(from_fabric, from_spool, _kafka_alone(kafka, topics.detection, reader, events))
    finally:
        reader.close()
        forwarder.discard()


class _Reader:
    """A read_committed consumer of one topic, in a long poll as consumers are by default."""

    def __init__(self, kafka: KafkaCluster, topic: str) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers, isolation_level="read_committed", group_id=None
        )
        numbers = self._consumer.partitions_for_topic(topic)
        self._consumer.assign([TopicPartition(topic, number) for number in numbers])
        self._consumer.seek_to_beginning()

    def wait(self) -> None:
        """Blocks until there is a record."""
        started = time.monotonic()
        while not self._consumer.poll(timeout_ms=1_000):
            if time.monotonic() - started > _PATIENCE_SECONDS:
                raise TimeoutError("the event did not come")

    def close(self) -> None:
        """Lets go."""
        self._consumer.close()


def _round_trip(
    publisher: FabricPublisher, spool: SpoolReader, reader: _Reader, packet: bytes
) -> tuple[float, float] | None:
    """None when the event was not seen in the spool, where it is for some hundredths of a second only."""
    while spool.oldest() is not None:
        time.sleep(0.001)  # the one before leaves the spool
    time.sleep(_BETWEEN_SECONDS)
    started = time.monotonic()
    publisher.send([packet])
    while (spooled := time.monotonic()) - started < _MISSED_SECONDS and spool.oldest() is None:
        time.sleep(0.0002)
    reader.wait()
    ended = time.monotonic()
    if spooled - started >= _MISSED_SECONDS:
        return None
    return (ended - started) * 1000, (ended - spooled) * 1000


def _kafka_alone(kafka: KafkaCluster, topic: str, reader: _Reader, count: int) -> float:
    settings = {
        **PRODUCER,
        "linger_ms": 0,
        "retry_backoff_ms": BETWEEN_TRANSACTIONS_MS,
        "transactional_id": "latency-of-kafka-alone",
    }
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, **settings)
    producer.init_transactions()
    milliseconds = []
    for _ in range(count):
        time.sleep(_BETWEEN_SECONDS)
        started = time.monotonic()
        producer.begin_transaction()
        producer.send(topic, value=b"x" * _RECORD_BYTES, partition=0).get(timeout=10)
        producer.commit_transaction()
        reader.wait()
        milliseconds.append((time.monotonic() - started) * 1000)
    producer.close()
    return statistics.median(milliseconds)
