"""Kafka and the daemon are killed and hung under load, and nothing is lost: with either delivery, on real servers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge, Verdict
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics

DELIVERIES = pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
RATE = 500


def options(delivery: str, **sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {**sections, "kafka": {"delivery": delivery, **sections.get("kafka", {})}}


def settle(forwarder: Forwarder, published: range, *, timeout: float = 90.0) -> None:
    """Waits until the forwarder has received the load and delivered it, and checks its accounts."""
    forwarder.wait_until(
        lambda f: f.ledger()["received"] + f.ledger()["in_spool_at_start"] >= len(published) and
        f.ledger()["in_spool"] == 0,
        timeout=timeout,
        what="everything received and delivered",
    )  # fmt: skip
    assert forwarder.ledger()["imbalance"] == 0
    assert forwarder.ledger()["dropped"] == 0


def assert_delivered(verdict: Verdict, delivery: str) -> None:
    if delivery == "exactly_once":
        verdict.assert_exactly_once()
    else:
        verdict.assert_nothing_lost()


@DELIVERIES
def test_20000_detections_at_full_speed_all_arrive_once_and_in_order(
    delivery: str,
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options(delivery))
    forwarder.start()
    numbers = range(20_000)
    make_publisher(mosquitto).publish_detections(numbers)
    settle(forwarder, numbers)
    judge.verdict(numbers).assert_exactly_once()
    assert forwarder.status()["state"] == "ok"


@DELIVERIES
@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_kafka_is_killed_or_hung_under_load_and_nothing_is_lost(
    delivery: str,
    fault: str,
    mosquitto: Mosquitto,
    own_kafka: KafkaCluster,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    topics = Topics.unique().create(own_kafka.administration)
    forwarder = make_forwarder(fabric=mosquitto, kafka=own_kafka, topics=topics, options=options(delivery))
    forwarder.start()
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(RATE * 24), rate=RATE)
    load.start()
    forwarder.wait_until(lambda f: f.ledger()["published"] > RATE, timeout=30.0)
    if fault == "killed":
        own_kafka.kill()
        forwarder.wait_until(lambda f: f.status()["state"] == "buffering", timeout=30.0)
        own_kafka.restart()
    else:
        own_kafka.nodes[0].hang()
        stopped_at = time.monotonic()
        forwarder.wait_until(lambda f: f.status()["state"] == "buffering", timeout=20.0)
        forwarder.wait_until(lambda f: time.monotonic() - stopped_at > 20.0, timeout=25.0)
        assert forwarder.get("/healthz")[0] == 200
        assert forwarder.get("/readyz")[0] == 200
        own_kafka.nodes[0].resume()
    numbers = load.finish()
    settle(forwarder, numbers)
    judge = Judge(bootstrap_servers=own_kafka.internal_servers, topics=topics)
    assert_delivered(judge.verdict(numbers), delivery)
    forwarder.wait_until(lambda f: f.status()["state"] == "ok", timeout=10.0)


@DELIVERIES
def test_the_whole_daemon_is_killed_under_load_and_what_it_had_accepted_arrives(
    delivery: str,
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options(delivery))
    forwarder.start()
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(60_000), rate=2_000)
    received: list[int] = []
    load_is_on = False
    for _ in range(3):
        if not load_is_on:
            load.start()
            load_is_on = True
        before = forwarder.ledger()["received"]
        forwarder.wait_until(lambda f, before=before: f.ledger()["received"] > before + 2_000, timeout=30.0)  # type: ignore[misc]
        received.append(forwarder.ledger()["received"])
        forwarder.kill_all()
        forwarder.start()
    numbers = load.finish(early=True)
    forwarder.wait_until_drained()
    forwarder.wait_until(lambda f: f.ledger()["imbalance"] == 0, timeout=5.0)
    verdict = judge.verdict(numbers)
    # What came while nobody was subscribed is gone, and of nothing else: at least what the ledgers had counted stands.
    assert verdict.records >= sum(received)
    if delivery == "exactly_once":
        assert not verdict.duplicated, verdict
    assert not verdict.unexpected
