"""Rates, growth and the last dead letters: bounded, and true for the time that they say they cover."""

from __future__ import annotations

import json

import pytest

from tests.data.payloads import message
from tests.harness.clock import Clock
from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.dead_letter import render_dead_letter
from tie_forwarder.status.trends import COUNTS, Growth, Rates, Waiting
from tie_forwarder.supervisor.accounts import LastLetters

MIB = 1 << 20


def counts(received: int) -> dict[str, int]:
    return {**dict.fromkeys(COUNTS, 0), "received": received}


class TestRates:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    def test_a_young_process_says_how_much_of_the_hour_it_knows(self, clock: Clock) -> None:
        rates = Rates(monotonic=clock)
        for second in range(90):
            clock.now += 1.0
            rates.look(counts(10 * second))
        report = rates.report()
        assert (report["last_hour"]["seconds"], report["last_hour"]["received"]) == (90.0, 890)
        assert report["last_day"] == report["last_hour"]
        assert (report["now"]["seconds"], report["now"]["received"]) == (10.0, 100)
        assert report["by_minute"]["received"] == [590]

    def test_an_old_process_forgets_what_is_older_than_a_day(self, clock: Clock) -> None:
        rates = Rates(monotonic=clock)
        received = 0
        for minute in range(3 * 24 * 60):
            clock.now += 60.0
            received += 1 if minute < 2 * 24 * 60 else 2
            rates.look(counts(received))
        report = rates.report()
        assert (report["last_hour"]["seconds"], report["last_hour"]["received"]) == (3_600.0, 120)
        assert (report["last_day"]["seconds"], report["last_day"]["received"]) == (86_400.0, 2_880)
        assert report["by_minute"]["received"] == [2] * 60
        assert all(len(marks) == 24 * 60 + 1 for marks in rates._marks.values())

    def test_a_process_that_was_stopped_for_a_week_goes_on(self, clock: Clock) -> None:
        rates = Rates(monotonic=clock)
        rates.look(counts(5))
        clock.now += 7 * 86_400.0
        rates.look(counts(5))
        clock.now += 30.0
        rates.look(counts(9))
        assert rates.report()["last_hour"]["received"] == 4
        assert rates.report()["last_day"]["seconds"] == pytest.approx(86_430.0)


class TestGrowth:
    def test_an_outage_is_not_averaged_with_the_calm_before_it(self) -> None:
        clock = Clock()
        growth = Growth(monotonic=clock)
        for _ in range(600):
            clock.now += 1.0
            growth.look(MIB)
        assert growth.full_in_seconds(101 * MIB) is None
        for second in range(30):
            clock.now += 1.0
            growth.look(MIB + second * MIB)
        assert growth.full_in_seconds(101 * MIB) == pytest.approx(71, rel=0.2)

    def test_a_spool_that_shrinks_or_was_not_watched_for_long_is_never_full(self) -> None:
        clock = Clock()
        growth = Growth(monotonic=clock)
        assert growth.full_in_seconds(MIB) is None
        for second in range(60):
            clock.now += 1.0
            growth.look((100 - second) * MIB)
        assert growth.full_in_seconds(101 * MIB) is None
        clock.now += 5.0
        growth.look(90 * MIB)
        assert growth.full_in_seconds(101 * MIB) is None


class TestLastLetters:
    def test_only_the_newest_ten_are_kept_and_all_are_counted(self) -> None:
        letters = LastLetters(monotonic=lambda: 12.0)
        for number in range(50):
            record = render_dead_letter(
                message(b"x" * 1_000_000), event_id=str(number), reason=Reason.NOT_JSON, detail="line 1"
            )
            letters.note(record, kind="detection")
        assert (letters.total, letters.noted_at) == (50, 12.0)
        assert [letter["event_id"] for letter in letters.report()] == [str(n) for n in range(49, 39, -1)]
        assert letters.report()[0]["bytes"] == 1_000_000
        assert len(json.dumps(letters.report())) < 10_000
        assert letters.report() is letters.report()

    def test_a_hostile_payload_is_shown_as_escaped_text(self) -> None:
        letters = LastLetters()
        payload = b"\x1b[2J</script>\r\n\xe2\x80\xaegpj.exe\xff\x00"
        record = render_dead_letter(message(payload), event_id="1", reason=Reason.NOT_JSON, detail="d\x1bd\u202e")
        letters.note(record, kind="detection")
        [shown] = letters.report()
        assert shown["first_bytes"] == r"\x1b[2J</script>\x0d\x0a\u202egpj.exe\xff\x00"
        assert all(value.isprintable() for value in shown.values() if isinstance(value, str))
        assert shown["meaning"] == Reason.NOT_JSON.description


HOUR_MS = 3_600_000


def waited(waiting: Waiting, clock: Clock, received_at_ms: int) -> float:
    """Seconds, by a wall clock that shows an hour since the epoch more than the monotonic one."""
    now = clock.now + 3600.0
    at = waiting.received_at(received_at_ms, now=now)
    assert at is not None
    return now - at


def test_how_long_an_event_has_waited_does_not_depend_on_the_clock_with_which_it_was_received() -> None:
    clock = Clock()
    waiting = Waiting(monotonic=clock)
    waiting.look(oldest=None, newest=10)
    clock.now += 100.0
    for _ in range(500):
        waiting.look(oldest=11, newest=20)
        clock.now += 0.2
    for received_at_ms in (0, HOUR_MS, 3 * HOUR_MS):
        assert waited(waiting, clock, received_at_ms) == pytest.approx(100.0)
    assert waiting.unmoved_seconds == pytest.approx(100.0)
    waiting.look(oldest=15, newest=21)
    assert waited(waiting, clock, HOUR_MS) == pytest.approx(100.0)
    assert waiting.unmoved_seconds == 0.0
    waiting.look(oldest=21, newest=21)
    assert waited(waiting, clock, HOUR_MS) < 3.0
    waiting.look(oldest=None, newest=21)
    assert (waiting.received_at(None, now=clock.now), waiting.unmoved_seconds) == (None, 0.0)


def test_of_events_that_were_there_at_the_start_their_time_of_receipt_is_believed_unless_it_cannot_be() -> None:
    clock = Clock()
    waiting = Waiting(monotonic=clock)
    waiting.look(oldest=1, newest=10)
    clock.now += 50.0
    assert waited(waiting, clock, HOUR_MS - 600_000) == pytest.approx(clock.now + 600.0)
    assert waited(waiting, clock, 3 * HOUR_MS) == pytest.approx(50.0)


def test_a_backlog_of_a_day_takes_little_memory_to_watch() -> None:
    clock = Clock()
    waiting = Waiting(monotonic=clock)
    for second in range(0, 86_400, 2):
        clock.now = float(second)
        waiting.look(oldest=1, newest=second)
    assert len(waiting._marks) <= 2_000
    assert waited(waiting, clock, 0) > 3600.0
