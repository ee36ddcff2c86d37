"""What judges the receiver: by its statuses, and a clock that is moved by hand."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tests.harness.clock import Clock
from tie_forwarder.supervisor.receiver_watch import Fault, ReceiverStatus, ReceiverWatch, Reception

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


def tick(reception: Reception, watch: ReceiverWatch, clock: Clock, seconds: int, **changes: Any) -> None:
    """A status each second for so long, and the look that the guard has each turn."""
    for second in range(seconds):
        clock.now += 1.0
        moving = {name: value(second) if callable(value) else value for name, value in changes.items()}
        watch.on_status(status(**moving))
        reception.on_listened()
        reception.look()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reception(clock: Clock) -> Reception:
    return Reception(canary_timeout_seconds=CANARY_TIMEOUT, monotonic=clock)


class TestWatch:
    @pytest.fixture
    def watch(self, reception: Reception) -> ReceiverWatch:
        return reception.active

    @pytest.fixture(autouse=True)
    def _all_listen(self, reception: Reception) -> None:
        self.reception = reception

    def tick(self, watch: ReceiverWatch, clock: Clock, seconds: int, **changes: Any) -> None:
        """A status each second for so long."""
        tick(self.reception, watch, clock, seconds, **changes)

    def listen(self, watch: ReceiverWatch, clock: Clock, seconds: float) -> None:
        """We listen for so long and nothing comes."""
        clock.now += seconds
        self.reception.on_listened()

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
        self.reception.on_listened()
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

    def test_a_receiver_that_says_it_is_not_connected_is_not_ready(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1, connected=False)
        assert not watch.ready

    def test_fields_that_this_version_does_not_know_are_left_out(self) -> None:
        assert ReceiverStatus.of({"phase": "waiting", "news": 1}) == ReceiverStatus(phase="waiting")


class TestReception:
    """What is said from one process to the next."""

    WAITING: ClassVar = {"phase": "waiting", "connected": False, "canary_answered_seconds_ago": None}
    CONNECTING: ClassVar = {**WAITING, "phase": "connecting"}
    SILENT: ClassVar = {"canary_answered_seconds_ago": None}

    @staticmethod
    def replace(reception: Reception) -> ReceiverWatch:
        """Another process takes the place of the active one."""
        reception.active = reception.new_watch()
        return reception.active

    @staticmethod
    def reason(reception: Reception) -> str:
        return "" if reception.fault is None else reception.fault.reason

    def test_while_nothing_is_known_there_is_no_fault(self, reception: Reception, clock: Clock) -> None:
        tick(reception, reception.active, clock, 3, **self.CONNECTING)
        assert (reception.ready, reception.fault) == (False, None)

    def test_one_that_was_deaf_stays_deaf_through_processes_that_wait_connect_and_hear_nothing(
        self, reception: Reception, clock: Clock
    ) -> None:
        tick(reception, reception.active, clock, 5)
        tick(reception, reception.active, clock, 30, **{**self.SILENT, "received": 1})
        reasons = {self.reason(reception)}
        for _ in range(3):
            watch = self.replace(reception)
            reception.look()
            reasons.add(self.reason(reception))
            for stage, seconds in ((self.WAITING, 2), (self.CONNECTING, 3), (self.SILENT, 20)):
                for _ in range(seconds):
                    tick(reception, watch, clock, 1, **stage)
                    reasons.add(self.reason(reception))
        assert reasons == {"deaf"}
        tick(reception, watch, clock, 1)
        assert reception.fault is None

    def test_one_that_only_becomes_silent_is_deaf_before_the_verdict(self, reception: Reception, clock: Clock) -> None:
        tick(reception, reception.active, clock, 5)
        clock.now += 6.5
        assert reception.ready, "silence does not count while nobody listens"
        reception.on_listened()
        assert reception.fault == Fault("deaf", "neither the canary nor an event comes back")

    def test_a_refusal_is_remembered_until_a_process_has_received(self, reception: Reception, clock: Clock) -> None:
        tick(reception, reception.active, clock, 1, missing_subscriptions=["/a"], refused_subscription="/a")
        watch = self.replace(reception)
        tick(reception, watch, clock, 1, **self.CONNECTING)
        assert reception.fault == Fault("subscription_refused", "/a")
        tick(reception, watch, clock, 1)
        assert reception.fault is None

    def test_the_trouble_of_the_last_process_is_told_until_there_is_another(
        self, reception: Reception, clock: Clock
    ) -> None:
        tick(reception, reception.active, clock, 5)
        tick(reception, reception.active, clock, 1, connected=False, lost="the connection was lost (code 1)")
        watch = self.replace(reception)
        tick(reception, watch, clock, 1, **self.WAITING)
        assert reception.fault == Fault("fabric_unreachable", "the connection was lost (code 1)")
        tick(reception, watch, clock, 1, **self.WAITING, trouble="Connection refused")
        tick(reception, watch, clock, 1, **self.CONNECTING)
        assert reception.fault == Fault("fabric_unreachable", "Connection refused")

    def test_a_process_that_cannot_be_started_or_ends_says_why(self, reception: Reception) -> None:
        reception.on_exit("it crashed", connection_lost=False)
        assert reception.fault == Fault("fabric_unreachable", "it crashed")
        reception.cannot_start("no room for a process", "make room")
        assert reception.fault == Fault("fabric_unreachable", "no room for a process; make room")

    def test_a_successor_that_receives_is_enough_to_be_ready(self, reception: Reception, clock: Clock) -> None:
        tick(reception, reception.active, clock, 20, **self.SILENT)
        assert not reception.ready
        reception.successor = reception.new_watch()
        tick(reception, reception.successor, clock, 1)
        assert reception.ready

    def test_events_without_a_canary_are_told_from_silence(self, reception: Reception, clock: Clock) -> None:
        tick(reception, reception.active, clock, 20, received=lambda second: second)
        tick(reception, reception.active, clock, 20, received=19, canary_answered_seconds_ago=lambda second: second)
        seen = [reception.only_events_come]  # no: both have ceased
        tick(reception, reception.active, clock, 1, received=20, canary_answered_seconds_ago=20.0)
        seen.append(reception.only_events_come)
        tick(reception, self.replace(reception), clock, 1, **self.CONNECTING)
        seen.append(reception.only_events_come)
        tick(reception, reception.active, clock, 20, received=lambda second: second)
        assert [*seen, reception.only_events_come] == [False, True, True, False]
