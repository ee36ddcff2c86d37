"""A topic that the fabric withholds is found by what other members publish, and by nothing that happens otherwise."""

from __future__ import annotations

import pytest

from tests.harness.clock import Clock
from tie_forwarder.supervisor.peers import WithheldTopics

TOPIC, OTHER = "/one", "/other"
LIVE = 60.0


class Watched:
    """A member that is ready from the start, and whose clock is moved by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.now = 0.0
        self.topics = WithheldTopics(topics=[TOPIC, OTHER], live_seconds=LIVE, monotonic=self.clock)
        self.topics.look(ready=True)

    def others_publish(self, *, at: float, topic: str = TOPIC) -> None:
        self.clock.now = at
        self.topics.on_live([topic])

    def withheld(self, *, at: float) -> tuple[str, ...]:
        self.clock.now = at
        self.topics.look(ready=True)
        return self.topics.topics


def deprived() -> Watched:
    """For minutes others publish one event after the other, and none of them arrives."""
    watched = Watched()
    for second in range(300):
        watched.others_publish(at=float(second))
    return watched


def test_a_topic_from_which_nothing_arrives_for_minutes_while_others_publish_is_withheld() -> None:
    watched = deprived()
    assert watched.withheld(at=300.0) == (TOPIC,)
    watched.topics.on_received([OTHER])
    assert watched.withheld(at=301.0) == (TOPIC,)


def test_one_event_ends_it() -> None:
    watched = deprived()
    watched.topics.on_received([TOPIC])
    assert watched.withheld(at=300.0) == ()


def test_rare_events_show_it_too_though_it_takes_longer() -> None:
    watched = Watched()
    for hour in (1, 2, 3):
        assert watched.withheld(at=3600.0 * hour - 1) == ()
        watched.others_publish(at=3600.0 * hour)
    assert watched.withheld(at=3 * 3600.0 + 10) == ()  # the last one may be on its way
    assert watched.withheld(at=3 * 3600.0 + 20) == (TOPIC,)


@pytest.mark.parametrize("lag", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("between", [0.5, 61.0, 3600.0])
def test_a_member_that_receives_a_little_earlier_or_later_than_the_record_is_read_is_well(
    lag: float, between: float
) -> None:
    watched = Watched()
    for number in range(1, 200):
        at = 100.0 + number * between
        watched.others_publish(at=at)
        assert watched.withheld(at=at + lag * 0.9) == ()
        watched.clock.now = at + lag
        watched.topics.on_received([TOPIC])


def test_what_was_missed_while_it_was_not_subscribed_is_no_sign_of_it() -> None:
    watched = Watched()
    for second in range(100, 400):
        watched.topics.look(ready=second % 50 != 0)
        watched.others_publish(at=float(second))
        assert watched.withheld(at=float(second)) == ()


def test_a_burst_that_was_missed_and_a_member_that_has_just_started_are_no_sign_of_it() -> None:
    watched = Watched()
    for _ in range(1_000):
        watched.others_publish(at=10.0)
    for _ in range(1_000):
        watched.others_publish(at=100.0)
    assert watched.withheld(at=7200.0) == ()
