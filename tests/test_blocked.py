"""What a person must mend pauses the publisher, says so with its remedy, loses nothing and mends itself afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.demo.certificates import Authority

BLOCKED_SECONDS = 45.0
MENDED_SECONDS = 45.0


@pytest.fixture(scope="module")
def secured_kafka(
    provisioned: None, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """SASL over TLS, and nobody may do what was not granted."""
    security = Security(protocol="SASL_SSL", users={"forwarder": "right-password-9317"}, authority=authority)
    with KafkaCluster(directory=tmp_path_factory.mktemp("secured-kafka"), security=security, acls=True) as cluster:
        yield cluster


def secured(authority: Authority, password_file: Path, **changes: Any) -> dict[str, Any]:
    sasl = {"mechanism": "SCRAM-SHA-512", "username": "forwarder", "password_file": str(password_file)}
    return {"protocol": "sasl_ssl", "ca_file": str(authority.ca_file), "sasl": sasl, **changes}


def assert_blocked(forwarder: Forwarder, *reasons: str) -> Mapping[str, Any]:
    forwarder.wait_until(
        lambda f: f.status()["state"] == "blocked" and f.status()["reason"] in reasons,
        timeout=BLOCKED_SECONDS,
        what=f"blocked for {reasons}",
    )
    status = forwarder.status()
    assert status["remedy"]
    assert forwarder.get("/readyz")[0] == 200
    return status


def assert_mended(forwarder: Forwarder, judge: Judge, count: int) -> None:
    forwarder.wait_until(lambda f: f.ledger()["published"] == count, timeout=MENDED_SECONDS, what="mended")
    forwarder.wait_until(lambda f: f.status()["state"] == "ok", timeout=10.0)
    assert forwarder.ledger()["imbalance"] == 0
    judge.verdict(range(count)).assert_exactly_once()


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"protocol": "plaintext", "ca_file": None, "sasl": {}}, ("connection", "tls", "sasl_mechanism", "unknown")),
        ({"ca_file": None}, ("tls",)),
    ],
)
def test_a_wrong_way_to_connect_never_looks_well(
    changes: dict[str, Any],
    reasons: tuple[str, ...],
    tmp_path: Path,
    mosquitto: Mosquitto,
    secured_kafka: KafkaCluster,
    authority: Authority,
    make_forwarder: MakeForwarder,
) -> None:
    password = tmp_path / "password"
    password.write_text("right-password-9317")
    options = {"kafka": {"security": secured(authority, password, **changes)}}
    forwarder = make_forwarder(fabric=mosquitto, kafka=secured_kafka, topics=Topics.unique(), options=options)
    forwarder.start()
    forwarder.wait_until(
        lambda f: f.status()["state"] in ("blocked", "buffering") and f.status()["reason"] in reasons,
        timeout=BLOCKED_SECONDS,
        what=f"one of {reasons}",
    )


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_missing_topic_is_named_and_used_once_it_is_created(
    delivery: str,
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    topics = Topics.unique()
    options = {"kafka": {"delivery": delivery}, "group": {"name": topics.detection}}
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options)
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(50))
    status = assert_blocked(forwarder, "unknown_topic")
    assert topics.detection in str(status["problems"]) or topics.dead_letter in str(status["problems"])
    topics.create(kafka.administration)
    assert_mended(forwarder, Judge(bootstrap_servers=kafka.internal_servers, topics=topics), 50)
    starts = sum(value for name, value in forwarder.metrics().items() if "publisher_restarts_total" in name)
    assert starts < 15


@pytest.mark.timeout(240)
def test_a_cluster_that_cannot_do_transactions_is_blocked_with_both_ways_out(
    mosquitto: Mosquitto, make_kafka: MakeKafka, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    kafka = make_kafka(properties={"transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2})
    topics = Topics.unique().create(kafka.administration)
    options = {"kafka": {"delivery": "exactly_once"}}
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options)
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(10))
    forwarder.wait_until(
        lambda f: f.status()["reason"] == "transactions_unavailable", timeout=70.0, what="transactions_unavailable"
    )
    status = forwarder.status()
    assert status["state"] == "blocked"
    assert "at_least_once" in status["remedy"]
    assert status["ledger"]["in_spool"] == 10


@pytest.mark.timeout(240)
def test_too_few_replicas_are_waited_for_and_named(
    mosquitto: Mosquitto, make_kafka: MakeKafka, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    kafka = make_kafka(nodes=3)
    topics = Topics.unique().create(kafka.administration, configs={"min.insync.replicas": 3})
    options = {"kafka": {"delivery": "at_least_once"}}
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options)
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(100))
    forwarder.wait_until(lambda f: f.ledger()["published"] == 100, timeout=30.0)
    kafka.nodes[2].stop()
    make_publisher(mosquitto, "second").publish_detections(range(100, 200))
    forwarder.wait_until(
        lambda f: f.status()["reason"] == "not_enough_replicas", timeout=60.0, what="not_enough_replicas"
    )
    assert forwarder.status()["state"] == "buffering"
    kafka.nodes[2].start()
    assert_mended(forwarder, Judge(bootstrap_servers=kafka.internal_servers, topics=topics), 200)
