"""Replacing the receiver costs no event: the old one stays until the new one is subscribed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from dxlclient.callbacks import EventCallback
from dxlclient.client import DxlClient
from dxlclient.client_config import DxlClientConfig

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.detections import DETECTION_TOPIC, detection, number_of
from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.lifecycle.running import NoKafka, children_of, reload
from tests.lifecycle.sampling import Samples

RATE = 400
HANG_SECONDS = 20.0
CLIENT_ID = "{5f0d2c1a-9c1b-4a44-8f0e-4d2b0a5c7e11}"


class Plain(EventCallback):  # type: ignore[misc]  # dxlclient carries no types
    """Remembers the number of each detection that a plain dxlclient hands to its callback."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: set[int] = set()

    def on_event(self, event: Any) -> None:
        number = number_of(event.message_id.strip("{}"))
        assert number is not None
        self.numbers.add(number)


@contextmanager
def plain_subscriber(config_file: Path) -> Iterator[Plain]:
    """A client as the documentation of OpenDXL shows it: what the fabric costs anybody."""
    plain = Plain()
    with DxlClient(DxlClientConfig.create_dxl_config_from_file(str(config_file))) as client:
        client.add_event_callback(DETECTION_TOPIC, plain)
        client.connect()
        yield plain


def restarts(forwarder: Forwarder, reason: str) -> float:
    return forwarder.metrics()[f'tie_forwarder_receiver_restarts_total{{reason="{reason}"}}']


def receivers(forwarder: Forwarder) -> list[int]:
    return [child.pid for child in children_of(forwarder) if "tie_forwarder.receiver" in " ".join(child.cmdline())]


def change_receiver(forwarder: Forwarder) -> int:
    """Reloads with another option of the receiver; the process id before."""
    before: int = forwarder.status()["receiver"]["pid"]
    dxl = forwarder.config["dxl"]
    dxl["receiver_queue_events"] = dxl.get("receiver_queue_events", 50_000) + 1
    forwarder.config_file.write_text(yaml.safe_dump(forwarder.config))
    assert reload(forwarder)["new_processes"] == ["receiver"]
    return before


def wait_until_replaced(forwarder: Forwarder, before: int) -> None:
    forwarder.wait_until(
        lambda f: f.status()["receiver"]["pid"] not in (0, before) and len(receivers(f)) == 1,
        timeout=90.0,
        what="the receiver replaced",
    )


def assert_all_arrived(forwarder: Forwarder, judge: Judge, numbers: range) -> None:
    forwarder.wait_until(lambda f: f.ledger()["published"] >= len(numbers), timeout=60.0, what="all published")
    forwarder.wait_until_drained()
    judge.verdict(numbers).assert_exactly_once()
    ledger = forwarder.ledger()
    assert (ledger["dropped"], ledger["imbalance"]) == (0, 0)
    assert ledger["published"] == len(numbers)


def test_reloads_and_a_renewed_certificate_under_load_lose_nothing_and_keep_the_order(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    mosquitto.client_config("forwarder", client_id=CLIENT_ID)
    forwarder.start()
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(100_000), rate=RATE)
    load.start()
    with Samples(forwarder) as samples:
        for _ in range(3):
            wait_until_replaced(forwarder, change_receiver(forwarder))
        before = forwarder.status()["receiver"]["pid"]
        mosquitto.authority.issue(str(forwarder.config["group"]["member"]))
        assert reload(forwarder)["new_processes"] == ["receiver"]
        wait_until_replaced(forwarder, before)
    numbers = load.finish(early=True)
    assert_all_arrived(forwarder, judge, numbers)
    assert [text for code, text in samples.readiness if code != 200] == [], "it is ready all the time"
    assert set(samples.reasons) == {"ok: ok"}
    assert forwarder.ledger()["duplicate"] > 0, "for a moment both receive"
    assert "already connected" not in mosquitto.log(), "no client id is used twice at a time"
    names = re.findall(r"New client connected from \S+ as (\{\S+) ", mosquitto.log())
    assert names == [CLIENT_ID, names[1], CLIENT_ID, names[1], CLIENT_ID], "two client ids take turns"


def test_a_fabric_that_hangs_costs_no_more_than_it_costs_a_plain_client(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    forwarder.config["dxl"]["keep_alive_seconds"] = 5  # as in configurations of old
    forwarder.start()
    with plain_subscriber(mosquitto.client_config("plain")) as plain:
        load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(100_000), rate=RATE / 4)
        load.start()
        forwarder.wait_until(lambda f: f.ledger()["received"] > 100, timeout=20.0)
        mosquitto.hang()
        started = time.monotonic()
        try:
            forwarder.wait_until(lambda f: f.status()["reason"] == "deaf", timeout=18.0, what="the hang noticed")
            wait_until(lambda: time.monotonic() - started > HANG_SECONDS, timeout=30.0, what="the end of the hang")
            assert "is blocked" not in forwarder.status()["problems"][0]["detail"], "nothing shows that"
        finally:
            mosquitto.resume()
        forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200 and len(receivers(f)) == 1, timeout=30.0)
        sent = load.sent
        wait_until(lambda: load.sent > sent + 200, timeout=20.0, what="a few more events")
        numbers = load.finish(early=True)
        wait_until(lambda: len(plain.numbers) == len(numbers), timeout=30.0, what="all at the plain client")
    assert_all_arrived(forwarder, judge, numbers)


def test_a_receiver_that_is_killed_while_it_is_being_replaced_leaves_its_successor_in_place(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    forwarder.start()
    before = change_receiver(forwarder)
    forwarder.wait_until(lambda f: f.status()["receiver"]["successor_pid"] != 0, timeout=10.0, what="a successor")
    successor = forwarder.status()["receiver"]["successor_pid"]
    next(child for child in children_of(forwarder) if child.pid == before).kill()
    forwarder.wait_until(lambda f: f.status()["receiver"]["pid"] == successor, timeout=5.0, what="the successor active")
    forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=15.0)
    make_publisher(mosquitto).publish_detections(range(200))
    assert_all_arrived(forwarder, judge, range(200))
    assert receivers(forwarder) == [successor]


def test_a_successor_that_does_not_get_subscribed_is_given_up_and_the_old_receiver_stays(
    fake_fabric: FakeFabric,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    quick = {"canary_interval_seconds": 0.5, "canary_timeout_seconds": 3}
    forwarder = make_forwarder(fabric=fake_fabric, kafka=kafka, topics=topics, options={"dxl": quick})
    forwarder.start()
    load = BackgroundLoad(publisher=make_publisher(fake_fabric), numbers=range(100_000), rate=RATE / 4)
    load.start()
    for behaviour in (Behaviour.SILENT, Behaviour.REFUSE_SUBSCRIPTIONS, Behaviour.DROP_AFTER_CONNACK):
        fake_fabric.behaviour = behaviour
        tried = restarts(forwarder, "reload")
        with Samples(forwarder) as samples:
            before = change_receiver(forwarder)
            forwarder.wait_until(
                lambda f, tried=tried: restarts(f, "reload") >= tried + 2,  # type: ignore[misc]
                timeout=40.0,
                what="another try",
            )
            status = forwarder.status()
            assert (status["state"], status["reason"]) == ("ok", "receiver_not_replaced"), behaviour
            assert status["remedy"]
            assert status["receiver"]["pid"] == before
            fake_fabric.behaviour = Behaviour.NORMAL
            wait_until_replaced(forwarder, before)
            forwarder.wait_until(lambda f: f.status()["reason"] == "ok", timeout=10.0)
        assert [text for code, text in samples.readiness if code != 200] == [], behaviour
        assert set(samples.reasons) <= {"ok: ok", "ok: receiver_not_replaced"}
    numbers = load.finish(early=True)
    assert_all_arrived(forwarder, judge, numbers)


def test_an_event_without_an_id_that_both_receivers_take_is_one_event(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.start()
    before = change_receiver(forwarder)
    # A client of the broker that is subscribed with the other id is one that receives.
    wait_until(lambda: mosquitto.log().count("New client connected") == 2, timeout=15.0, what="both connected")
    publisher = make_publisher(mosquitto)
    count = 0
    while forwarder.status()["receiver"]["pid"] == before:
        publisher.publish([detection(count, agent=0)], message_ids=["{" + "no-uuid".center(36, "-") + "}"])
        count += 1
    wait_until_replaced(forwarder, before)
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == count, timeout=10.0, what="each event once")
    assert forwarder.ledger()["duplicate"] > 0, "some of them came twice"
    assert forwarder.ledger()["imbalance"] == forwarder.ledger()["dropped"] == 0


def test_what_comes_while_the_old_receiver_is_deaf_and_its_successor_is_subscribed_is_kept(
    fake_fabric: FakeFabric, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    quick = {"canary_interval_seconds": 0.5, "canary_timeout_seconds": 3}
    forwarder = make_forwarder(
        fabric=fake_fabric, kafka=NoKafka(), topics=Topics.unique(), options={"dxl": quick}  # type: ignore[arg-type]
    )  # fmt: skip
    forwarder.start()
    before, connects = forwarder.status()["receiver"]["pid"], fake_fabric.connects
    fake_fabric.mute_connections()
    forwarder.wait_until(lambda f: f.get("/readyz")[0] == 503, timeout=10.0, what="the deafness noticed")
    forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=10.0, what="a successor that receives")
    assert fake_fabric.connects == connects + 1
    make_publisher(fake_fabric).publish_detections(range(100))
    assert forwarder.status()["receiver"]["pid"] == before, "the old one may still have something"
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 100, timeout=15.0, what="all of them")
    assert restarts(forwarder, "canary_late") == 1
    assert forwarder.ledger()["received"] == 100
    wait_until_replaced(forwarder, before)


def test_a_flood_while_the_receiver_is_replaced_loses_nothing(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    forwarder.start()
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(40_000), rate=4_000)
    load.start()
    before = change_receiver(forwarder)
    wait_until_replaced(forwarder, before)
    assert_all_arrived(forwarder, judge, load.finish())
