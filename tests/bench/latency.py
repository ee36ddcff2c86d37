"""One event at a time: from its publication on the fabric to a read_committed reader, and that from the spool on."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition

from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher, encode_detections
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.spool import Reader

_PATIENCE_SECONDS = 30.0
_MISSED_SECONDS = 0.5


class Latency(NamedTuple):
    """Milliseconds until a read_committed reader has the event."""

    from_fabric: float
    from_spool: float
    """From the commit that made it visible in the spool."""


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
            reader = Reader(forwarder.spool_directory)
            reader.open()
            trips = [_round_trip(publisher, reader, consumer, packet) for packet in encode_detections(range(events))]
            reader.close()
            return Latency(*map(statistics.median, zip(*filter(None, trips), strict=True)))
    finally:
        consumer.close()
        forwarder.discard()


def _round_trip(publisher: FabricPublisher, reader: Reader, consumer: KafkaConsumer, packet: bytes) -> Latency | None:
    """None when the event was not seen in the spool, where it is for some hundredths of a second only."""
    while reader.oldest_received_at_ms() is not None:
        time.sleep(0.001)  # the one before leaves the spool
    time.sleep(0.03)
    started = time.monotonic()
    publisher.send([packet])
    while (spooled := time.monotonic()) - started < _MISSED_SECONDS and reader.oldest_received_at_ms() is None:
        time.sleep(0.0002)
    while not consumer.poll(timeout_ms=1_000):
        _give_up_after(started)
    ended = time.monotonic()
    if spooled - started >= _MISSED_SECONDS:
        return None
    return Latency((ended - started) * 1000, (ended - spooled) * 1000)


def _give_up_after(started: float) -> None:
    if time.monotonic() - started > _PATIENCE_SECONDS:
        raise TimeoutError("the event did not come")
