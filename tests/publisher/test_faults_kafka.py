"""Kafka, the publisher and the daemon are killed and hung under load, and nothing is lost: on real servers."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.deliveries import DELIVERIES, Contender, side_by_side, start
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.stopped_thread import stopped_main_thread
from tests.harness.waiting import wait_until

RATE = 250
HUNG_SECONDS = 20.0


def wait_until_under_way(contenders: list[Contender]) -> None:
    for contender in contenders:
        contender.forwarder.wait_until(lambda f: f.ledger()["published"] > RATE, timeout=30.0, what="a load under way")


def wait_until_published_beyond(count: int, forwarder: Forwarder) -> None:
    forwarder.wait_until(lambda f: f.ledger()["published"] > count, timeout=40.0, what="a record again")


def wait_until_received_beyond(count: int, forwarder: Forwarder) -> None:
    forwarder.wait_until(lambda f: f.ledger()["received"] > count, timeout=30.0, what=f"{count} received")


def wait_until_replaced(forwarder: Forwarder, *, pid: int, reason: str, count: float) -> None:
    def replaced(f: Forwarder) -> bool:
        status = f.status()
        publisher = status["publisher"]
        connected = publisher["pid"] not in (0, pid) and publisher["connected"]
        return f.metrics()[restarts(reason)] > count and connected and status["state"] == "ok"

    forwarder.wait_until(replaced, timeout=30.0, what=f"replaced, {reason}")


def restarts(reason: str) -> str:
    return f'tie_forwarder_publisher_restarts_total{{reason="{reason}"}}'


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_20000_detections_at_full_speed_all_arrive_once_and_in_order(
    delivery: str,
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka, deliveries=[delivery])
    start(contenders)
    numbers = range(20_000)
    began = time.monotonic()
    make_publisher(mosquitto).publish_detections(numbers)
    contenders[0].settle(len(numbers))
    print(f"{delivery}: {len(numbers) / (time.monotonic() - began):.0f} detections/s")
    contenders[0].assert_delivered(numbers)


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_kafka_is_killed_or_hung_under_load_and_nothing_is_lost(
    fault: str,
    mosquitto: Mosquitto,
    own_kafka: KafkaCluster,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=own_kafka)
    start(contenders)
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(RATE * 25), rate=RATE)
    load.start()
    wait_until_under_way(contenders)
    if fault == "killed":
        own_kafka.kill()
    else:
        own_kafka.hang()
    began = time.monotonic()
    for contender in contenders:
        contender.forwarder.wait_until(lambda f: f.status()["state"] == "buffering", timeout=20.0, what="buffering")
    if fault == "hung":
        wait_until(lambda: time.monotonic() - began > HUNG_SECONDS, timeout=HUNG_SECONDS + 5, what="the time to pass")
    for contender in contenders:
        # Kafka's trouble is no trouble of whoever receives.
        assert contender.forwarder.get("/healthz")[0] == contender.forwarder.get("/readyz")[0] == 200
    before = [contender.forwarder.ledger()["published"] for contender in contenders]
    if fault == "killed":
        own_kafka.restart()
    else:
        own_kafka.resume()
    back_at = time.monotonic()
    for contender, published in zip(contenders, before, strict=True):
        wait_until_published_beyond(published, contender.forwarder)
        print(f"{fault}, {contender.delivery}: a record {time.monotonic() - back_at:.1f} s after Kafka was back")
    numbers = load.finish()
    for contender in contenders:
        contender.settle(len(numbers))
        assert contender.forwarder.ledger()["dropped"] == 0
        contender.assert_delivered(numbers, outcomes_known=False)


def test_the_publisher_is_killed_hung_and_told_to_end_under_load_and_nothing_is_lost(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka)
    start(contenders)
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(RATE * 60), rate=RATE)
    load.start()
    wait_until_under_way(contenders)
    for reason, number in (("exited", signal.SIGKILL), ("exited", signal.SIGKILL), ("heartbeat_late", signal.SIGSTOP)):
        before = {}
        for contender in contenders:
            part = contender.forwarder.part("publisher")
            before[contender.delivery] = part.pid, contender.forwarder.metrics()[restarts(reason)]
            # What a person sends by mistake is left to the parent, which decides when a child ends.
            part.send_signal(signal.SIGTERM)
            part.send_signal(number)
        for contender in contenders:
            pid, count = before[contender.delivery]
            wait_until_replaced(contender.forwarder, pid=pid, reason=reason, count=count)
    numbers = load.finish(early=True)
    for contender in contenders:
        contender.settle(len(numbers))
        assert contender.forwarder.ledger()["dropped"] == 0
        contender.assert_delivered(numbers, outcomes_known=False)


@pytest.mark.long
def test_a_publisher_whose_main_thread_hangs_is_replaced_although_its_status_still_comes(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka)
    start(contenders)
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(100))
    with ExitStack() as stack:
        for contender in contenders:
            contender.settle(100)
            stack.enter_context(stopped_main_thread(contender.forwarder.part("publisher").pid))
        publisher.publish_detections(range(100, 200))
        for contender in contenders:
            contender.forwarder.wait_until(
                lambda f: f.metrics()[restarts("heartbeat_late")] == 1, timeout=90.0, what="the replacement"
            )
            assert "its main thread has stood still for" in contender.forwarder.log()
    for contender in contenders:
        contender.settle(200)
        contender.assert_delivered(range(200))


def test_the_whole_daemon_is_killed_under_load_and_what_it_had_accepted_arrives(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka)
    start(contenders)
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(60_000), rate=500)
    load.start()
    received = {contender.delivery: 0 for contender in contenders}
    for _ in range(2):
        for contender in contenders:
            forwarder = contender.forwarder
            wait_until_received_beyond(forwarder.ledger()["received"] + 1_000, forwarder)
            received[contender.delivery] += forwarder.ledger()["received"]
            forwarder.kill_all()
        start(contenders)
    numbers = load.finish(early=True)
    for contender in contenders:
        received[contender.delivery] += contender.forwarder.ledger()["received"]
        contender.settle(0)
        verdict = contender.judge.verdict(numbers)
        # What came while nobody was subscribed is gone, and nothing else: what the ledgers had counted stands there.
        assert verdict.records - sum(n - 1 for n in verdict.duplicated.values()) >= received[contender.delivery]
        assert not verdict.unexpected
        assert not verdict.out_of_order_per_key
        if contender.delivery == "exactly_once":
            assert not verdict.duplicated, verdict
