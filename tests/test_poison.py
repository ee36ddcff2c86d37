"""One record that Kafka refuses stops no other: it ends among the dead letters, or set aside where nothing takes it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.detections import detection, message_id
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics

DELIVERIES = pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])


def large(number: int, size: int) -> bytes:
    fields = json.loads(detection(number, agent=number % 50))
    fields["note"] = "x" * size
    return json.dumps(fields).encode()


def payloads(count: int, poisoned: Iterable[int], size: int) -> list[bytes]:
    bad = set(poisoned)
    return [large(n, size) if n in bad else detection(n, agent=n % 50) for n in range(count)]


@DELIVERIES
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "poisoned", [[0, 499, 500, 999], range(300, 330)], ids=["first, middle and last", "thirty in a row"]
)
def test_records_too_large_for_kafka_are_dead_lettered_alone(
    delivery: str,
    poisoned: Iterable[int],
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    topics = Topics.unique().create(kafka.administration)
    kafka.administration.set_topic_config(topics.detection, **{"max.message.bytes": 20_000})
    options = {"kafka": {"delivery": delivery}, "group": {"name": topics.detection}}
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options)
    forwarder.start()
    numbers = range(1_000)
    make_publisher(mosquitto).publish(
        payloads(1_000, poisoned, 60_000), message_ids=[message_id(number) for number in numbers]
    )
    forwarder.wait_until(
        lambda f: f.ledger()["received"] == 1_000 and f.ledger()["in_spool"] == 0, timeout=120.0, what="all settled"
    )
    assert forwarder.ledger()["imbalance"] == 0
    assert forwarder.ledger()["dropped"] == 0
    verdict = Judge(bootstrap_servers=kafka.internal_servers, topics=topics).verdict(numbers)
    if delivery == "exactly_once":
        verdict.assert_exactly_once(dead_letters=len(list(poisoned)))
    else:
        verdict.assert_nothing_lost(dead_letters=len(list(poisoned)))
    for letter in verdict.dead_letters:
        assert letter.headers["reason"] == "refused_too_large"
        assert int(letter.headers["original_size"]) > 60_000
        assert len(letter.headers["sha256"]) == 64


@DELIVERIES
@pytest.mark.timeout(240)
def test_what_not_even_the_dead_letters_take_is_set_aside_and_counted(
    delivery: str,
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    topics = Topics.unique().create(kafka.administration)
    kafka.administration.set_topic_config(topics.detection, **{"max.message.bytes": 5_000})
    kafka.administration.set_topic_config(topics.dead_letter, **{"max.message.bytes": 150})
    options = {"kafka": {"delivery": delivery}, "group": {"name": topics.detection}}
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options)
    forwarder.start()
    make_publisher(mosquitto).publish(payloads(20, [7], 9_000), message_ids=[message_id(n) for n in range(20)])
    forwarder.wait_until(
        lambda f: f.ledger()["received"] == 20 and f.ledger()["in_spool"] == 0, timeout=100.0, what="all settled"
    )
    ledger = forwarder.ledger()
    assert (ledger["published"], ledger["dropped"], ledger["imbalance"]) == (19, 1, 0)
    assert forwarder.metrics()['tie_forwarder_events_dropped_total{reason="refused"}'] == 1
    assert message_id(7).strip("{}").replace("-", "") in (forwarder.spool_directory / "set-aside.ndjson").read_text()
    assert forwarder.status()["reason"] == "events_dropped"
