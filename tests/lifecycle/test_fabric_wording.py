"""What is said of a fabric that does not deliver: one state and one reason, however many receivers come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.lifecycle.running import NoKafka
from tests.lifecycle.sampling import Samples
from tie_forwarder.demo.certificates import Authority

SECONDS = 30.0
QUICK = {"canary_interval_seconds": 0.5, "canary_timeout_seconds": 4}


class RestrictedMosquitto(Mosquitto):
    """Grants every subscription, as a DXL broker does, and passes on only what the rights allow."""

    canary = ""
    group = "topic readwrite"

    def _configuration(self) -> str:
        rights = self.directory / "rights.acl"
        granted = {"/mcafee/#": "topic readwrite", "/tie-forwarder/group/#": self.group}
        granted["/tie-forwarder/canary/#"] = self.canary
        rights.write_text("".join(f"{right} {topic}\n" for topic, right in granted.items() if right))
        return f"{super()._configuration()}acl_file {rights.absolute()}\n"


def restarts(forwarder: Forwarder, reason: str) -> float:
    return forwarder.metrics()[f'tie_forwarder_receiver_restarts_total{{reason="{reason}"}}']


def sampled(forwarder: Forwarder, *, restarts_by: str) -> Samples:
    """What is said for half a minute, in which several receivers come and go."""
    before, started = restarts(forwarder, restarts_by), time.monotonic()
    with Samples(forwarder) as samples:
        wait_until(lambda: time.monotonic() - started > SECONDS, timeout=2 * SECONDS, what="the end of the samples")
    assert restarts(forwarder, restarts_by) - before >= 1
    assert len(samples.readiness) > SECONDS
    assert samples.without_reason == []
    return samples


def lonely(make_forwarder: MakeForwarder, fabric: Mosquitto | FakeFabric) -> Forwarder:
    return make_forwarder(
        fabric=fabric, kafka=NoKafka(), topics=Topics.unique(), options={"dxl": QUICK}  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def restricted_mosquitto(provisioned: None, authority: Authority, tmp_path: Path) -> RestrictedMosquitto:
    return RestrictedMosquitto(directory=tmp_path / "restricted", authority=authority)


def test_a_canary_that_may_not_be_received_is_one_steady_reason_that_names_its_topic(
    restricted_mosquitto: RestrictedMosquitto, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    restricted_mosquitto.canary = "topic write"
    with restricted_mosquitto as fabric:
        forwarder = lonely(make_forwarder, fabric)
        forwarder.start(wait_ready=False)
        forwarder.wait_until(lambda f: f.status()["reason"] == "deaf", timeout=30.0)
        assert "/tie-forwarder/canary/#" in forwarder.status()["remedy"]
        samples = sampled(forwarder, restarts_by="canary_late")
        assert samples.reasons == ["degraded: deaf"]
        assert {code for code, _ in samples.readiness} == {503}

        published = 0
        publisher = make_publisher(fabric)
        while "is blocked" not in forwarder.status()["problems"][0]["detail"]:
            publisher.publish_detections(range(published, published + 20))
            published += 20
            forwarder.wait_until(lambda f, n=published: f.ledger()["in_spool"] == n, timeout=10.0)  # type: ignore[misc]
            forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=3.0, what="events are a sign of life")
            forwarder.wait_until(lambda f: f.get("/readyz")[0] == 503, timeout=10.0, what="silence again")
            assert published <= 100, "it is known by now"
        assert "restart" not in forwarder.status()["remedy"]
        assert forwarder.ledger()["imbalance"] == forwarder.ledger()["dropped"] == 0


def test_a_broker_that_disconnects_who_may_not_send_the_canary_is_one_steady_reason_that_names_its_topic(
    restricted_mosquitto: RestrictedMosquitto, make_forwarder: MakeForwarder
) -> None:
    restricted_mosquitto.canary = "topic read"
    with restricted_mosquitto as fabric:
        forwarder = lonely(make_forwarder, fabric)
        forwarder.start(wait_ready=False)
        forwarder.wait_until(lambda f: f.status()["reason"] == "fabric_unreachable", timeout=30.0)
        samples = sampled(forwarder, restarts_by="connection_lost")
        assert samples.reasons == ["degraded: fabric_unreachable"]
        assert all("/tie-forwarder/canary/#" in text for _, text in samples.readiness)


def test_a_broker_that_disconnects_who_may_not_announce_a_member_is_received_from_all_the_same(
    restricted_mosquitto: RestrictedMosquitto, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    restricted_mosquitto.canary, restricted_mosquitto.group = "topic readwrite", "topic read"
    with restricted_mosquitto as fabric:
        forwarder = lonely(make_forwarder, fabric)
        forwarder.start(wait_ready=False)
        forwarder.wait_until(lambda f: "receiver.presence_off" in f.log(), timeout=30.0, what="no presence")
        forwarder.wait_ready()
        before = restarts(forwarder, "connection_lost")
        with Samples(forwarder) as samples:
            make_publisher(fabric).publish_detections(range(100))
            forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 100, timeout=10.0, what="100 events")
            wait_until(lambda: len(samples.readiness) > 50, timeout=60.0, what="some seconds of samples")
        assert {code for code, _ in samples.readiness} == {200}
        assert restarts(forwarder, "connection_lost") == before


def silence(fabric: FakeFabric) -> None:
    fabric.behaviour = Behaviour.SILENT
    fabric.drop_connections()


def deafen(fabric: FakeFabric) -> None:
    fabric.behaviour = Behaviour.DEAF


def block_canary(fabric: FakeFabric) -> None:
    fabric.deaf_topics.add("/tie-forwarder/canary/#")


@pytest.mark.parametrize("well_before", [False, True], ids=["from_the_start", "after_a_while"])
@pytest.mark.parametrize(
    ("fault", "reason"), [(silence, "fabric_unreachable"), (deafen, "deaf"), (block_canary, "deaf")]
)
def test_a_broker_that_accepts_and_says_or_delivers_nothing_is_one_steady_reason(
    fault: Callable[[FakeFabric], None],
    reason: str,
    well_before: bool,
    fake_fabric: FakeFabric,
    make_forwarder: MakeForwarder,
) -> None:
    forwarder = lonely(make_forwarder, fake_fabric)
    if well_before:
        forwarder.start()
        fault(fake_fabric)
    else:
        fault(fake_fabric)
        forwarder.start(wait_ready=False)
    forwarder.wait_until(lambda f: f.status()["reason"] == reason, timeout=40.0)
    samples = sampled(forwarder, restarts_by="canary_late")
    assert samples.reasons == [f"degraded: {reason}"]
    fake_fabric.behaviour = Behaviour.NORMAL
    fake_fabric.deaf_topics.clear()
    forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=30.0, what="ready again")
