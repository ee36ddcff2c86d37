"""Whatever the fabric does, deafness is noticed and mended without a person, and what has arrived is kept.

The hazards are those at which dxlclient itself stays deaf for ever. Kafka is away in all of them: the spool shows what
was received.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.fabric import Fabric
from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics

NOTICED_WITHIN_SECONDS = 30.0
QUICK = {"keep_alive_seconds": 3, "canary_interval_seconds": 0.5, "canary_timeout_seconds": 3}
"""Shorter times than the defaults, in the same order, so that a hazard takes seconds."""


class NoKafka:
    """An address at which nobody listens."""

    bootstrap_servers = ("127.0.0.1:9",)


class MakeLonely:
    """Makes forwarders whose Kafka is not there."""

    def __init__(self, make_forwarder: MakeForwarder) -> None:
        self._make = make_forwarder

    def __call__(self, fabric: Fabric, **dxl: Any) -> Forwarder:
        return self._make(
            fabric=fabric, kafka=NoKafka(), topics=Topics.unique(), options={"dxl": {**QUICK, **dxl}}  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.fixture
def make_lonely(make_forwarder: MakeForwarder) -> MakeLonely:
    return MakeLonely(make_forwarder)


def is_ready(forwarder: Forwarder) -> bool:
    return forwarder.get("/readyz")[0] == 200


def is_not_ready(forwarder: Forwarder) -> bool:
    return forwarder.get("/readyz")[0] == 503


def restarts(forwarder: Forwarder, reason: str) -> float:
    return forwarder.metrics()[f'tie_forwarder_receiver_restarts_total{{reason="{reason}"}}']


def assert_receives(forwarder: Forwarder, fabric: Fabric, make_publisher: MakePublisher, *, count: int = 50) -> None:
    """The forwarder is ready again, takes what is published now, and its accounts are in order."""
    forwarder.wait_until(is_ready, timeout=NOTICED_WITHIN_SECONDS, what="ready again")
    before = forwarder.ledger()["received"]
    with make_publisher(fabric, f"load-{before}") as publisher:
        publisher.publish_detections(range(before, before + count))
    forwarder.wait_until(lambda f: f.ledger()["received"] == before + count, timeout=30.0, what="the detections")
    ledger = forwarder.ledger()
    assert ledger["in_spool"] == ledger["received"]
    assert ledger["imbalance"] == 0


def test_a_broker_that_is_killed_and_comes_back(
    mosquitto: Mosquitto, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    forwarder = make_lonely(mosquitto)
    forwarder.start()
    assert_receives(forwarder, mosquitto, make_publisher)
    mosquitto.kill()
    forwarder.wait_until(is_not_ready, timeout=30.0, what="the loss noticed")
    assert forwarder.status()["reason"] == "fabric_unreachable"
    forwarder.wait_until(lambda f: "Connection refused" in f.get("/readyz")[1], timeout=30.0, what="the reason said")
    mosquitto.start()
    assert_receives(forwarder, mosquitto, make_publisher)
    assert restarts(forwarder, "connection_lost") == 1


def test_a_broker_that_hangs_and_goes_on(
    mosquitto: Mosquitto, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    forwarder = make_lonely(mosquitto)
    forwarder.start()
    mosquitto.hang()
    forwarder.wait_until(is_not_ready, timeout=30.0, what="the hang noticed")
    mosquitto.resume()
    assert_receives(forwarder, mosquitto, make_publisher)


def test_no_broker_at_the_start(mosquitto: Mosquitto, make_lonely: MakeLonely, make_publisher: MakePublisher) -> None:
    forwarder = make_lonely(mosquitto)
    mosquitto.stop()
    forwarder.start(wait_ready=False)
    forwarder.wait_until(lambda f: "Connection refused" in f.get("/readyz")[1], timeout=30.0, what="the reason said")
    assert forwarder.get("/healthz")[0] == 200
    assert forwarder.status()["reason"] == "starting"
    mosquitto.start()
    assert_receives(forwarder, mosquitto, make_publisher)
    assert restarts(forwarder, "connection_lost") == 0


def test_connections_that_drop_right_after_the_welcome_for_five_seconds(
    fake_fabric: FakeFabric, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    forwarder = make_lonely(fake_fabric)
    forwarder.start()
    fake_fabric.behaviour = Behaviour.DROP_AFTER_CONNACK
    fake_fabric.drop_connections()
    started, connects = time.monotonic(), fake_fabric.connects
    forwarder.wait_until(lambda f: time.monotonic() - started > 5.0, timeout=30.0)
    assert is_not_ready(forwarder)
    assert 1 <= fake_fabric.connects - connects <= 12, "it tries again, and not all the time"
    fake_fabric.behaviour = Behaviour.NORMAL
    assert_receives(forwarder, fake_fabric, make_publisher)


def test_a_refused_subscription_is_named_with_its_remedy_and_mends_when_it_is_allowed(
    fake_fabric: FakeFabric, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    fake_fabric.behaviour = Behaviour.REFUSE_SUBSCRIPTIONS
    forwarder = make_lonely(fake_fabric)
    forwarder.start(wait_ready=False)
    forwarder.wait_until(lambda f: f.status()["reason"] == "subscription_refused", timeout=30.0)
    status = forwarder.status()
    assert status["state"] == "degraded"
    assert "topic authorization" in status["remedy"]
    forwarder.wait_until(lambda f: restarts(f, "subscription") >= 2, timeout=30.0)
    assert forwarder.log().count("state.changed") <= 2, "it does not flap while receivers come and go"
    fake_fabric.behaviour = Behaviour.NORMAL
    assert_receives(forwarder, fake_fabric, make_publisher)
    assert "subscription_refused" not in forwarder.get("/status")[1]


def test_a_malformed_packet_that_ends_the_network_thread(
    fake_fabric: FakeFabric, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    forwarder = make_lonely(fake_fabric)
    forwarder.start()
    assert_receives(forwarder, fake_fabric, make_publisher)
    fake_fabric.send_garbage()
    forwarder.wait_until(is_not_ready, timeout=30.0, what="the deafness noticed")
    assert_receives(forwarder, fake_fabric, make_publisher)


def test_a_broker_that_accepts_connections_and_stays_silent(
    fake_fabric: FakeFabric, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    fake_fabric.behaviour = Behaviour.SILENT
    forwarder = make_lonely(fake_fabric)
    forwarder.start(wait_ready=False)
    forwarder.wait_until(lambda f: restarts(f, "canary_late") >= 1, timeout=30.0, what="given up")
    fake_fabric.behaviour = Behaviour.NORMAL
    assert_receives(forwarder, fake_fabric, make_publisher)


def test_a_broker_that_answers_pings_and_delivers_nothing(
    fake_fabric: FakeFabric, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    forwarder = make_lonely(fake_fabric)
    forwarder.start()
    fake_fabric.behaviour = Behaviour.DEAF
    forwarder.wait_until(is_not_ready, timeout=30.0, what="the deafness noticed")
    forwarder.wait_until(lambda f: restarts(f, "canary_late") >= 1, timeout=30.0)
    fake_fabric.behaviour = Behaviour.NORMAL
    assert_receives(forwarder, fake_fabric, make_publisher)


def test_detections_alone_prove_that_the_subscription_lives(
    fake_fabric: FakeFabric, make_lonely: MakeLonely, make_publisher: MakePublisher
) -> None:
    forwarder = make_lonely(fake_fabric)
    forwarder.start()
    canary = next(topic for topic in fake_fabric.subscriptions if "canary" in topic)
    load = BackgroundLoad(publisher=make_publisher(fake_fabric), numbers=range(10_000), rate=100)
    load.start()
    fake_fabric.deaf_topics.add(canary)
    started = time.monotonic()
    forwarder.wait_until(lambda f: time.monotonic() - started > 6.0, timeout=30.0)
    assert is_ready(forwarder)
    assert restarts(forwarder, "canary_late") == 0
    numbers = load.finish(early=True)
    forwarder.wait_until(lambda f: f.ledger()["received"] == len(numbers), timeout=30.0)
    forwarder.wait_until(lambda f: restarts(f, "canary_late") == 1, timeout=30.0, what="the silence noticed")


def test_a_burst_at_full_speed_ends_no_connection_and_is_not_taken_for_deafness(
    mosquitto: Mosquitto, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    forwarder = make_forwarder(fabric=mosquitto, kafka=NoKafka(), topics=Topics.unique())  # type: ignore[arg-type]
    forwarder.start()
    receiver = forwarder.part("receiver").pid
    seen: set[int] = set()
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.1):
            seen.add(forwarder.get("/readyz")[0])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        make_publisher(mosquitto).publish_detections(range(50_000))
        forwarder.wait_until(lambda f: f.ledger()["received"] == 50_000, timeout=60.0, what="the whole burst")
    finally:
        watching.set()
        thread.join()
    assert seen == {200}
    assert forwarder.part("receiver").pid == receiver
    assert forwarder.ledger()["dropped"] == forwarder.ledger()["imbalance"] == 0
