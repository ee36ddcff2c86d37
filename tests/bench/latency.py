"""One event at a time: from its publication on the fabric to a read_committed reader, and that from the spool on."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher, encode_detections
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics


def median_latency_ms(*, fabric: Mosquitto, kafka: KafkaCluster, directory: Path, events: int = 200) -> float:
    """Median milliseconds from the fabric to a read_committed reader with `exactly_once`, one event after the other."""
    topics = Topics.unique().create(kafka.administration)
    forwarder = Forwarder(
        directory=directory / "latency",
        dxl_config=fabric.client_config("latency"),
        bootstrap_servers=kafka.bootstrap_servers,
        topics=topics,
        name="latency",
        options={"kafka": {"delivery": "exactly_once"}},
    )
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, isolation_level="read_committed", group_id=None, fetch_max_wait_ms=1
    )
    try:
        forwarder.start()
        forwarder.wait_until(lambda f: f.status()["group"]["role"] == "publishing", timeout=30.0)
        numbers = consumer.partitions_for_topic(topics.detection)
        consumer.assign([TopicPartition(topics.detection, number) for number in numbers])
        consumer.seek_to_beginning()
        with FabricPublisher(fabric=fabric, name="latency-load") as publisher:
            return statistics.median(
                _round_trip(publisher, consumer, packet) for packet in encode_detections(range(events))
            )
    finally:
        consumer.close()
        forwarder.discard()


def _round_trip(publisher: FabricPublisher, consumer: KafkaConsumer, packet: bytes) -> float:
    time.sleep(0.03)
    started = time.monotonic()
    publisher.send([packet])
    while not consumer.poll(timeout_ms=1_000):
        if time.monotonic() - started > 30.0:
            raise TimeoutError("the event did not come")
    return (time.monotonic() - started) * 1000
