"""A real Prometheus with the shipped rules watches a real forwarder: what is broken for real fires, and resolves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.prometheus import Prometheus
from tests.harness.topics import Topics
from tests.monitoring.rules import quick_rules


@pytest.fixture
def forwarder(mosquitto: Mosquitto, own_kafka: KafkaCluster, make_forwarder: MakeForwarder) -> Forwarder:
    topics = Topics.unique().create(own_kafka.administration)
    return make_forwarder(fabric=mosquitto, kafka=own_kafka, topics=topics)


@pytest.fixture
def prometheus(forwarder: Forwarder, tmp_path: Path) -> Iterator[Prometheus]:
    forwarder.start()
    rules = quick_rules(tmp_path / "rules.yml")
    target = f"127.0.0.1:{forwarder.http_port}"
    with Prometheus(directory=tmp_path / "prometheus", targets=[target], rules=[rules]) as server:
        server.wait_for("the target is up", lambda: bool(server.query("up == 1")), timeout=10.0)
        yield server


def fires(prometheus: Prometheus, alert: str) -> None:
    prometheus.wait_for(f"{alert} fires", lambda: alert in prometheus.alerts(), timeout=30.0)


def resolves(prometheus: Prometheus, alert: str) -> None:
    prometheus.wait_for(f"{alert} is over", lambda: alert not in prometheus.alerts(), timeout=60.0)


def test_an_alert_fires_for_a_fault_that_is_made_and_resolves_when_it_ends(
    forwarder: Forwarder,
    prometheus: Prometheus,
    mosquitto: Mosquitto,
    own_kafka: KafkaCluster,
    make_publisher: MakePublisher,
) -> None:
    make_publisher(mosquitto, "first").publish_detections(range(500))
    forwarder.wait_until_drained()
    prometheus.wait_for(
        "the events are counted",
        lambda: bool(prometheus.query("tie_forwarder_end_to_end_latency_seconds_count >= 500")),
        timeout=10.0,
    )
    assert set(prometheus.alerts()) <= {"TieForwarderCertificateEndsIn30Days"}

    own_kafka.kill()
    make_publisher(mosquitto, "second").publish_detections(range(500, 800))
    fires(prometheus, "TieForwarderLateEventsFast")
    prometheus.wait_for(
        "the reason is told",
        lambda: bool(prometheus.query('tie_forwarder_problem{state="buffering",reason="connection"} == 1')),
        timeout=20.0,
    )
    own_kafka.start()
    forwarder.wait_until_drained()
    make_publisher(mosquitto, "third").publish_detections(range(800, 7_000))
    resolves(prometheus, "TieForwarderLateEventsFast")

    mosquitto.kill()
    fires(prometheus, "TieForwarderDeaf")
    assert "Reason: fabric_unreachable." in prometheus.alerts()["TieForwarderDeaf"][0]["annotations"]["description"]
    mosquitto.start()
    resolves(prometheus, "TieForwarderDeaf")

    forwarder.kill_all()
    fires(prometheus, "TieForwarderDown")
    forwarder.start()
    resolves(prometheus, "TieForwarderDown")
