"""The tail of the output on a real Kafka: it passes over nothing that an open transaction still holds back."""

from __future__ import annotations

import time
import uuid

from kafka import KafkaProducer

from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.kafka.tail import Tail


def test_a_tail_that_starts_beside_an_open_transaction_finds_its_records_once_it_commits(
    kafka: KafkaCluster, topics: Topics
) -> None:
    event_id = uuid.uuid4()
    headers = [("ce_id", str(event_id).encode()), ("ce_forwarder", b"other")]
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"open-{event_id}")
    tail = Tail(
        connection={"bootstrap_servers": kafka.bootstrap_servers}, topics=[topics.detection, topics.dead_letter]
    )
    try:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topics.detection, value=b"{}", headers=headers, partition=0).get(timeout=10)
        tail.open()
        tail.seek_by_time(time.time_ns() // 1_000_000, margin_ms=600_000)
        assert tail.read() == []
        producer.commit_transaction()
        found: list[bytes] = []

        def seen() -> bool:
            found.extend(item.event_id for item in tail.read())
            return bool(found)

        wait_until(seen, timeout=10.0, what="the committed record")
        assert found == [event_id.bytes]
    finally:
        tail.close()
        producer.close(timeout=1)
