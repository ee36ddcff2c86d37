"""Order per key across a crash, a deaf receiver and a stop of one of two members, on real servers.

Both members receive the same fabric. The publishing one misses some seconds of it, comes back before the other one
would take over, and must not publish newer events before the other one has published what was missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge, Verdict
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.group.member import STAY_OFF_SECONDS
from tie_forwarder.supervisor.peers import FILE_NAME

MOST_LATE = 0.02
MOST_SECONDS = 12.0
"""How long events wait at most for a member that does not come: twice the time for which the other stays off."""
DEAF_SECONDS = 8.0
UNIT_RESTARTS_AFTER_SECONDS = 5.0
"""`RestartSec` of the systemd unit."""


def late_events(verdict: Verdict) -> int:
    """How many events come behind a newer one of their key."""
    return sum(map(len, verdict.out_of_order_per_key.values()))


def kill_and_start_again(member: Forwarder) -> None:
    member.kill_all()
    time.sleep(UNIT_RESTARTS_AFTER_SECONDS)
    member.start()


def kill_and_start_at_once(member: Forwarder) -> None:
    member.kill_all()
    member.start()


def deafen(member: Forwarder) -> None:
    receiver = member.part("receiver")
    receiver.suspend()
    time.sleep(DEAF_SECONDS)
    if receiver.is_running():
        receiver.resume()


def lose_the_receiver(member: Forwarder) -> None:
    """It is started again at once; its second is missed."""
    member.kill_part("receiver")


class Pair:
    """Two members of one fabric; `one` publishes, and each has heard the other."""

    def __init__(self, one: Forwarder, two: Forwarder) -> None:
        self.one, self.two = one, two

    def start(self, publish_a_little: Callable[[], object]) -> None:
        self.one.start()
        publish_a_little()
        self.one.wait_until(lambda f: f.ledger()["published"] > 0, timeout=30.0, what="a first event published")
        self.two.start()
        for member, other in ((self.one, "two"), (self.two, "one")):
            member.wait_until(lambda f, other=other: hears(f, other), timeout=30.0, what=f"{other} heard")  # type: ignore[misc]
        self.two.wait_until_drained(timeout=30.0)


def hears(member: Forwarder, other: str) -> bool:
    found = {each["name"]: each["heard"] for each in member.status()["group"]["members"]}
    return found.get(other) is not None


@pytest.fixture
def pair(mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder) -> Pair:
    return Pair(*(make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, name=name) for name in ("one", "two")))


@pytest.mark.parametrize("accident", [kill_and_start_again, kill_and_start_at_once, deafen, lose_the_receiver])
@pytest.mark.parametrize("count", [6_000, pytest.param(20_000, marks=pytest.mark.long)])
def test_order_per_key_holds_when_the_publishing_member_misses_some_seconds(
    accident: Callable[[Forwarder], None],
    count: int,
    pair: Pair,
    mosquitto: Mosquitto,
    make_publisher: MakePublisher,
    judge: Judge,
) -> None:
    first, numbers = range(200), range(200, count)
    publisher = make_publisher(mosquitto)
    pair.start(lambda: publisher.publish_detections(first))
    load = BackgroundLoad(publisher=publisher, numbers=numbers, rate=count / 20.0)
    load.start()
    wait_until(lambda: load.sent > count / 5, timeout=20.0, what="a part of the load")
    accident(pair.one)
    load.finish()
    for member in (pair.one, pair.two):
        member.wait_until_drained(timeout=90.0)
    verdict = judge.verdict([*first, *numbers])
    late = late_events(verdict)
    takeovers = [member.status()["group"]["takeovers"] for member in (pair.one, pair.two)]
    print(f"{accident.__name__}: {late} of {count} late; takeovers {takeovers}")
    verdict.assert_exactly_once(in_order=False)
    assert late <= MOST_LATE * count


def wait_until_published(member: Forwarder) -> None:
    """Block until all of the 200 events since its start are in the output."""
    member.wait_until(
        lambda f: f.ledger()["received"] == 200 and f.ledger()["in_spool"] == 0, timeout=30.0, what="all published"
    )


def test_two_members_that_are_killed_and_start_at_once_do_not_wait_for_each_other(
    pair: Pair, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    publisher = make_publisher(mosquitto)
    pair.start(lambda: publisher.publish_detections(range(200)))
    for member in (pair.one, pair.two):
        member.kill_all()
    for member in (pair.one, pair.two):
        member.start(wait_ready=False)
    for member in (pair.one, pair.two):
        member.wait_ready()
    started = time.monotonic()
    publisher.publish_detections(range(200, 400))
    for member in (pair.one, pair.two):
        wait_until_published(member)
    seconds = time.monotonic() - started
    takeovers = [sum(member.status()["group"]["takeovers"].values()) for member in (pair.one, pair.two)]
    print(f"published after {seconds:.1f} s; takeovers {takeovers}")
    judge.verdict(range(400)).assert_exactly_once()
    assert seconds < MOST_SECONDS
    assert sum(takeovers) <= 3


def test_a_member_whose_partner_is_gone_waits_for_it_a_bounded_time_at_its_start_and_a_lone_one_does_not(
    pair: Pair, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    publisher = make_publisher(mosquitto)
    pair.start(lambda: publisher.publish_detections(range(200)))
    pair.two.kill_all()
    seconds = []
    for first in (200, 400):
        pair.one.kill_all()
        pair.one.start()
        started = time.monotonic()
        publisher.publish_detections(range(first, first + 200))
        wait_until_published(pair.one)
        seconds.append(time.monotonic() - started)
        (pair.one.spool_directory / FILE_NAME).write_text("{}")
    print(f"published after {seconds[0]:.1f} s, alone after {seconds[1]:.1f} s")
    judge.verdict(range(600)).assert_exactly_once()
    assert STAY_OFF_SECONDS - 1.0 < seconds[0] < MOST_SECONDS
    assert seconds[1] < 4.0
