"""What judges the receiver: by its statuses, and a clock that is moved by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.clock import Clock
from tie_forwarder.supervisor.receiver_watch import ReceiverStatus, ReceiverWatch

CANARY_TIMEOUT = 15.0


def status(**changes: Any) -> dict[str, Any]:
    """A frame of a receiver that is well."""
    return {
        "phase": "receiving",
        "connected": True,
        "missing_subscriptions": [],
        "refused_subscription": "",
        "canary_answered_seconds_ago": 0.5,
        "received": 0,
        **changes,
    }


class TestWatch:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def watch(self, clock: Clock) -> ReceiverWatch:
        return ReceiverWatch(canary_timeout_seconds=CANARY_TIMEOUT, monotonic=clock)

    @staticmethod
    def tick(watch: ReceiverWatch, clock: Clock, seconds: int, **changes: Any) -> None:
        """A status each second for so long."""
        for second in range(seconds):
            clock.now += 1.0
            moving = {name: value(second) if callable(value) else value for name, value in changes.items()}
            watch.on_status(status(**moving))
            watch.on_listened()

    @staticmethod
    def listen(watch: ReceiverWatch, clock: Clock, seconds: float) -> None:
        """We listen for so long and nothing comes."""
        clock.now += seconds
        watch.on_listened()

    @staticmethod
    def reason(watch: ReceiverWatch) -> str:
        replacement = watch.reason_to_replace()
        return replacement.reason if replacement else ""

    def test_a_receiver_that_reports_and_sings_is_ready_and_stays(self, watch: ReceiverWatch, clock: Clock) -> None:
        assert (watch.ready, self.reason(watch)) == (False, "")
        self.tick(watch, clock, 100)
        assert (watch.ready, self.reason(watch)) == (True, "")

    def test_no_sign_of_life_after_the_start_is_noticed(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.listen(watch, clock, 15.0)
        assert self.reason(watch) == ""
        self.listen(watch, clock, 0.1)
        assert self.reason(watch) == "heartbeat_late"

    def test_a_heartbeat_that_ends_is_noticed(self, watch: ReceiverWatch, clock: Clock) -> None:
        watch.on_status(status())
        self.listen(watch, clock, 6.0)
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.listen(watch, clock, 0.1)
        assert (watch.ready, self.reason(watch)) == (False, "heartbeat_late")

    def test_messages_are_a_heartbeat_too_since_a_status_waits_behind_them(
        self, watch: ReceiverWatch, clock: Clock
    ) -> None:
        watch.on_status(status())
        for _ in range(10):
            self.listen(watch, clock, 5.0)
            watch.on_messages()
        assert self.reason(watch) == ""
        self.listen(watch, clock, 6.1)
        assert self.reason(watch) == "heartbeat_late"

    def test_silence_does_not_count_while_nobody_listens(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 20)
        clock.now += 100.0
        assert self.reason(watch) == ""
        watch.on_listened()
        assert self.reason(watch) == "heartbeat_late"

    def test_waiting_for_a_broker_may_take_for_ever(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1000, phase="waiting", connected=False, canary_answered_seconds_ago=None)
        assert (watch.ready, self.reason(watch)) == (False, "")

    def test_connecting_may_not(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 100, phase="waiting", canary_answered_seconds_ago=None)
        self.tick(watch, clock, 21, phase="connecting", canary_answered_seconds_ago=None)
        assert self.reason(watch) == ""
        self.tick(watch, clock, 1, phase="connecting", canary_answered_seconds_ago=None)
        assert self.reason(watch) == "canary_late"

    def test_a_first_canary_that_does_not_come_back_is_late(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 16, canary_answered_seconds_ago=None)
        assert (watch.ready, self.reason(watch)) == (False, "")
        self.tick(watch, clock, 1, canary_answered_seconds_ago=None)
        assert self.reason(watch) == "canary_late"

    def test_a_canary_that_stays_away_is_late(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 20)
        self.tick(watch, clock, 15, canary_answered_seconds_ago=lambda second: second + 1.0)
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.tick(watch, clock, 1, canary_answered_seconds_ago=16.0)
        assert (watch.ready, self.reason(watch)) == (False, "canary_late")

    def test_messages_are_signs_of_life_while_canaries_queue_behind_them(
        self, watch: ReceiverWatch, clock: Clock
    ) -> None:
        self.tick(
            watch, clock, 100, canary_answered_seconds_ago=lambda second: second + 1.0, received=lambda second: second
        )
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.tick(watch, clock, 15, canary_answered_seconds_ago=lambda second: 101.0 + second, received=99)
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.tick(watch, clock, 1, canary_answered_seconds_ago=120.0, received=99)
        assert (watch.ready, self.reason(watch)) == (False, "canary_late")

    def test_a_subscription_that_is_missing_has_twelve_seconds(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 13, missing_subscriptions=["/a"])
        assert (watch.ready, self.reason(watch)) == (False, "")
        self.tick(watch, clock, 1, missing_subscriptions=["/a"])
        assert self.reason(watch) == "subscription"

    def test_a_subscription_that_is_refused_is_named_at_once(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1, missing_subscriptions=["/a"], refused_subscription="/a")
        replacement = watch.reason_to_replace()
        assert replacement is not None
        assert replacement.reason == "subscription"
        assert "/a" in replacement.text

    def test_a_refusal_is_remembered_from_process_to_process_until_one_has_received(
        self, watch: ReceiverWatch, clock: Clock
    ) -> None:
        self.tick(watch, clock, 1, missing_subscriptions=["/a"], refused_subscription="/a")
        watch.started()
        self.tick(watch, clock, 1, phase="connecting", connected=False, canary_answered_seconds_ago=None)
        assert watch.refused_subscription == "/a"
        assert self.reason(watch) == ""
        self.tick(watch, clock, 1)
        assert watch.refused_subscription == ""

    def test_a_process_that_cannot_be_started_says_why(self, watch: ReceiverWatch) -> None:
        watch.cannot_start("no room for a process", "make room")
        assert not watch.ready
        assert watch.status.trouble == "no room for a process; make room"

    def test_a_receiver_that_says_it_is_not_connected_is_not_ready(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1, connected=False)
        assert not watch.ready

    def test_a_new_process_begins_anew_with_the_trouble_of_the_last(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1, received=5, lost="the connection was lost (code 1)")
        clock.now += 60.0
        watch.started()
        assert (watch.ready, self.reason(watch)) == (False, "")
        assert watch.status == ReceiverStatus(trouble="the connection was lost (code 1)")

    def test_fields_that_this_version_does_not_know_are_left_out(self) -> None:
        assert ReceiverStatus.of({"phase": "waiting", "news": 1}) == ReceiverStatus(phase="waiting")
