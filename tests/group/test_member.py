"""The rules of a group, one at a time: which command follows which answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import count, cycle, repeat
from typing import Any

import pytest

from tie_forwarder.group import commands as c
from tie_forwarder.group.batch_size import MOST_ROWS
from tie_forwarder.group.member import LEAVE_EVERY_SECONDS, MOST_BOOST, STAY_OFF_SECONDS, Member, Memory, Rules
from tie_forwarder.status.wording import describe

T = 10.0
START_MS = 1_000_000_000


class Stage:
    """Answers a member's commands; the clock goes on by half a second with every read."""

    def __init__(self, memory: Memory | None = None, *, now: float = 0.0) -> None:
        self.now = now
        self.reads: list[list[c.Seen]] = []
        self.steady: Iterator[c.Seen] | None = None
        """What the output has after that, a record with every read."""
        self.oldest_ms: int | None = None
        """When the oldest row was received; it is always the same row."""
        self.clock_ahead_ms = 0
        self.vacant = False
        self.beyond = False
        self.gap = c.NO_GAP
        self.results: list[c.BatchResult] = []
        self.said: list[c.Command] = []
        self.on_idle: Callable[[], object] = lambda: None
        self.member = Member(
            name="me",
            rules=Rules(takeover_after=T),
            memory=memory or Memory(),
            monotonic=lambda: self.now,
            now_ms=lambda: START_MS + self.clock_ahead_ms + int(self.now * 1000),
            uniform=lambda low, _: low,
        )

    def play(self, until: Callable[[c.Command], bool], *, most: int = 500) -> list[c.Command]:
        """Lets the member live up to the first such command, or for so many commands; returns all of them."""
        life = self.member.life()
        command = next(life)
        for _ in range(most):
            self.said.append(command)
            if until(command):
                break
            command = life.send(self._answer(command))
        life.close()
        return self.said

    def takeover(self) -> c.Reason | None:
        """The first reason for which it takes over; None when it stands by all the time."""
        last = self.play(lambda command: isinstance(command, c.Show) and command.reason is not None)[-1]
        return last.reason if isinstance(last, c.Show) else None

    def _answer(self, command: c.Command) -> Any:
        if isinstance(command, c.ReadTail):
            self.now += 0.5
            if self.reads:
                return self.reads.pop(0)
            return [next(self.steady)] if self.steady else []
        if isinstance(command, c.ReachedMark):
            return not self.reads or self.reads[0] == []
        if isinstance(command, c.PublishBatch):
            self.now += 0.5
            self.on_idle()
            return self.results.pop(0)
        if isinstance(command, c.LeaveSeat):
            self.vacant = True
        answers = {
            c.OldestEvent: None if self.oldest_ms is None else c.Oldest(1, self.oldest_ms),
            c.SeatIsVacant: self.vacant,
            c.PeekBeyond: self.beyond,
            c.AskGap: self.gap,
        }
        return answers.get(type(command))


def other(after: float = 0.0) -> c.Seen:
    return c.Seen("other", START_MS + int(after * 1000))


def mine() -> c.Seen:
    return c.Seen("me", START_MS)


@pytest.mark.parametrize(
    ("memory", "read", "reason"),
    [
        (Memory(), [], c.Reason.STARTED),
        (Memory(), [other(), mine()], c.Reason.STARTED),
        (Memory(), [mine(), other()], None),
        (Memory(newest="other"), [], None),
        (Memory(newest="me"), [], c.Reason.STARTED),
        (Memory(newest="other"), [mine()], c.Reason.STARTED),
        (Memory(boost=1.5), [], None),
        (Memory(boost=1.5), [mine()], None),
        (Memory(reigned=True), [], c.Reason.RESUMED),
        (Memory(reigned=True), [mine()], c.Reason.RESUMED),
        (Memory(reigned=True), [other(), mine()], None),
    ],
)
def test_at_its_start_it_takes_over_only_what_is_its_own(
    memory: Memory, read: list[c.Seen], reason: c.Reason | None
) -> None:
    stage = Stage(memory)
    stage.reads = [read] if read else []
    assert stage.takeover() is reason


def stand_by(stage: Stage) -> Stage:
    stage.reads = [[other()]]
    return stage


def test_it_stands_by_for_ever_while_its_spool_is_empty() -> None:
    assert stand_by(Stage()).takeover() is None


def test_it_takes_over_when_events_wait_and_the_output_stands_still() -> None:
    stage = stand_by(Stage())
    stage.oldest_ms = START_MS
    assert stage.takeover() is c.Reason.SILENT
    assert T < stage.now < T + 2


def test_it_is_more_patient_after_it_was_fenced() -> None:
    stage = stand_by(Stage(Memory(boost=2.0)))
    stage.oldest_ms = START_MS
    assert stage.takeover() is c.Reason.SILENT
    assert 2 * T < stage.now < 2 * T + 2


def test_records_beyond_the_last_stable_offset_are_a_sign_of_life() -> None:
    stage = stand_by(Stage())
    stage.oldest_ms, stage.beyond = START_MS, True
    assert stage.takeover() is None


def passing(stage: Stage, received_s: Iterable[float | None]) -> Stage:
    """Every half second the output has a record of another member, received at these times, relative to the start."""
    stage.steady = (c.Seen("other", None if at is None else START_MS + int(at * 1000)) for at in received_s)
    return stand_by(stage)


PASSED = 3 * T + 1


def test_it_takes_over_when_the_publisher_has_passed_by_its_event() -> None:
    stage = passing(Stage(), repeat(0.0))
    stage.oldest_ms = START_MS - int(PASSED * 1000)
    assert stage.takeover() is c.Reason.PASSED_BY
    assert stage.now < 6


HOURS = 2 * 3600.0


@pytest.mark.parametrize(
    "received",
    [
        (-PASSED, -PASSED, -PASSED, -PASSED, 0.0),  # one record of a backlog was received with a wrong clock
        (HOURS,) * 6,  # all of them were
        (None,),  # nothing says when they were received
    ],
)
def test_records_with_wrong_times_of_receipt_are_no_sign_that_it_was_passed_by(received: tuple[float, ...]) -> None:
    stage = passing(Stage(), cycle(received))
    stage.oldest_ms = START_MS - int(PASSED * 1000)
    assert stage.takeover() is None


def test_a_record_that_was_received_ahead_of_this_clock_counts_as_received_now() -> None:
    stage = passing(Stage(), (3 * T - 5 + at / 2 for at in count()))
    stage.oldest_ms = START_MS
    assert stage.takeover() is c.Reason.PASSED_BY
    assert 3 * T < stage.now < 3 * T + 6


@pytest.mark.parametrize("hours", [2, -2])
def test_an_event_that_was_received_with_a_wrong_clock_waits_no_longer_than_another(hours: int) -> None:
    stage = stand_by(Stage())
    stage.oldest_ms = START_MS + hours * 3_600_000
    assert stage.takeover() is c.Reason.SILENT
    assert T < stage.now < T + 3  # one look later at most


def test_a_clock_that_is_set_forward_makes_nothing_wait_longer() -> None:
    stage = stand_by(Stage())
    stage.oldest_ms, stage.clock_ahead_ms = START_MS, 7_200_000
    assert stage.takeover() is c.Reason.SILENT
    assert T < stage.now < T + 2


def test_an_event_that_was_received_with_a_clock_ahead_is_found_to_be_passed_by() -> None:
    stage = passing(Stage(), (at / 2 for at in count()))
    stage.oldest_ms = START_MS + 7_200_000
    assert stage.takeover() is c.Reason.PASSED_BY
    assert 3 * T < stage.now < 3 * T + 6


def test_waiting_goes_on_where_the_process_before_ended() -> None:
    memory, lives, now = Memory(newest="other"), 0, 0.0
    while lives < 20:
        stage = Stage(Memory(**asdict(memory)), now=now)
        stage.oldest_ms = START_MS
        found = stage.play(lambda command: isinstance(command, c.Show) and command.reason is not None, most=20)[-1]
        if isinstance(found, c.Show):
            assert found.reason is c.Reason.SILENT
            assert lives > 2
            assert T < stage.now - 60.0 < 2 * T
            return
        memory, now, lives = stage.member.memory, stage.now + 60.0 * (lives == 0), lives + 1
    pytest.fail("a publisher process that is replaced every few seconds never takes over")


def test_an_outage_between_two_processes_is_no_silence_of_the_output() -> None:
    stage = Stage(Memory(newest="other", still_seconds=1.0, waiting_since=0.0), now=3600.0)
    stage.oldest_ms = START_MS
    assert stage.takeover() is c.Reason.SILENT
    assert stage.now > 3600.0 + T - 2


def test_it_takes_a_vacant_seat_without_patience() -> None:
    stage = stand_by(Stage())
    stage.oldest_ms, stage.vacant = START_MS, True
    assert stage.takeover() is c.Reason.VACANT
    assert stage.now < 3


def kinds(said: Sequence[c.Command]) -> list[type[Any]]:
    return [type(command) for command in said]


def test_before_it_takes_over_it_reads_to_the_last_stable_offset_and_looks_again() -> None:
    stage = stand_by(Stage())
    stage.oldest_ms = START_MS
    stage.takeover()
    assert kinds(stage.said)[-6:] == [c.OldestEvent, c.MarkEnd, c.ReachedMark, c.Barrier, c.OldestEvent, c.Show]
    assert c.MarkEnd(high_watermark=True) not in stage.said


def test_between_the_initialisation_and_the_first_batch_it_reads_to_the_high_watermark_and_waits_for_main() -> None:
    stage = Stage()
    said = stage.play(lambda command: isinstance(command, c.PublishBatch))
    opened = said.index(c.OpenProducer())
    assert said[opened:] == [
        c.OpenProducer(),
        c.MarkEnd(high_watermark=True),
        c.ReachedMark(),
        c.Barrier(),
        c.Show(c.Role.PUBLISHING),
        c.AskGap(),
        c.PublishBatch(MOST_ROWS),
    ]


def limits(results: list[c.BatchResult]) -> list[int]:
    stage = Stage()
    stage.results = results
    said = stage.play(lambda command: isinstance(command, c.PublishBatch) and not stage.results)
    return [command.limit for command in said if isinstance(command, c.PublishBatch)]


def test_a_refused_batch_is_cut_before_its_first_failed_row_which_then_comes_alone() -> None:
    assert limits([c.Suspected(3), c.Committed(3), c.RefusedAlone()]) == [MOST_ROWS, 3, 1, 1]


def test_after_a_refusal_the_batches_grow_again() -> None:
    assert limits([c.Suspected(0), *[c.Committed(1)] * 11])[1:] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 1_000]


def test_after_a_refusal_it_goes_on_with_a_new_producer() -> None:
    stage = Stage()
    stage.results = [c.Suspected(0)]
    said = kinds(stage.play(lambda command: isinstance(command, c.PublishBatch) and not stage.results))
    dropped = said.index(c.DropProducer)
    assert c.OpenProducer in said[dropped:]


def test_a_fence_ends_its_reign_and_a_commit_its_patience() -> None:
    stage = Stage()
    stage.results = [c.Committed(1), c.Idle()]
    stage.member.memory.boost = 4.0
    stage.member.memory.reigned = True
    stage.play(lambda command: isinstance(command, c.PublishBatch) and not stage.results)
    memory = stage.member.memory
    assert (memory.reigned, memory.boost, memory.newest) == (True, 1.0, "me")
    for _ in range(10):
        stage.member.fenced()
    assert not memory.reigned
    assert memory.boost == MOST_BOOST


GAP = c.Gap(1)


def missed_events(memory: Memory | None = None, *, read: Sequence[c.Seen] = (), gap: c.Gap = GAP) -> Stage:
    """A member with an event that waits, which may have missed others."""
    stage = Stage(memory)
    stage.oldest_ms, stage.gap = START_MS, gap
    stage.reads = [list(read)] if read else []
    return stage


@pytest.mark.parametrize(
    ("memory", "read"), [(Memory(), [mine()]), (Memory(newest="me"), []), (Memory(newest="me", reigned=True), [])]
)
def test_after_a_gap_it_leaves_its_seat_at_the_start_and_stays_off_it_for_a_bounded_time(
    memory: Memory, read: list[c.Seen]
) -> None:
    stage = missed_events(memory, read=read)
    assert stage.takeover() is c.Reason.VACANT
    assert STAY_OFF_SECONDS <= stage.now < STAY_OFF_SECONDS + 3
    assert kinds(stage.said).count(c.LeaveSeat) == 1
    assert not any(isinstance(command, c.OpenProducer) for command in stage.said)


def test_while_it_receives_nothing_it_stays_off_a_vacant_seat_but_not_for_ever() -> None:
    stage = missed_events(Memory(newest="me"), gap=c.Gap(1, is_open=True))
    assert stage.takeover() is c.Reason.SILENT
    assert T < stage.now < T + 3


def test_it_does_not_leave_a_seat_that_may_be_of_another_member() -> None:
    assert missed_events(Memory()).takeover() is c.Reason.STARTED
    stage = missed_events(Memory(newest="other"))
    stage.takeover()
    assert c.LeaveSeat() not in stage.said


def test_once_others_have_published_the_vacant_seat_is_for_everybody() -> None:
    stage = missed_events(Memory(newest="me"), gap=c.Gap(1, is_open=True))
    stage.reads = [[], [other()], [other()]]
    assert stage.takeover() is c.Reason.VACANT
    assert stage.now < 4


def publishing(stage: Stage) -> list[c.Command]:
    """It publishes, then there is a gap; up to its next takeover."""
    stage.results = [c.Committed(1)] * 3
    life = stage.member.life()
    command = next(life)
    published = False
    for _ in range(200):
        stage.said.append(command)
        if published and isinstance(command, c.Show) and command.role is c.Role.TAKING_OVER:
            break
        published = published or isinstance(command, c.PublishBatch)
        stage.gap = GAP if published else c.NO_GAP
        command = life.send(stage._answer(command))
    life.close()
    return stage.said[stage.said.index(c.PublishBatch(MOST_ROWS)) + 1 :]


def test_a_publishing_member_with_a_gap_ends_its_producer_and_reads_the_output_before_it_leaves_its_seat() -> None:
    stage = missed_events(gap=c.NO_GAP)
    said = publishing(stage)
    assert said[:7] == [
        c.AskGap(),
        c.DropProducer(),
        c.Show(c.Role.STANDBY),
        c.MarkEnd(high_watermark=False),
        c.ReachedMark(),
        c.Barrier(),
        c.AskGap(),
    ]
    assert said[7] == c.LeaveSeat()
    assert said[-1] == c.Show(c.Role.TAKING_OVER, c.Reason.VACANT)
    assert stage.now >= STAY_OFF_SECONDS


def test_a_member_that_was_fenced_without_noticing_does_not_leave_the_seat_of_the_one_that_publishes() -> None:
    stage = missed_events(gap=c.NO_GAP)
    answer = stage._answer

    def answer_and_let_another_publish(command: c.Command) -> Any:
        if isinstance(command, c.DropProducer):
            stage.reads = [[other()]]
        return answer(command)

    stage._answer = answer_and_let_another_publish  # type: ignore[method-assign]
    said = publishing(stage)
    assert c.LeaveSeat() not in said
    assert said[-1] == c.Show(c.Role.TAKING_OVER, c.Reason.SILENT)
    assert not stage.member.memory.reigned


def test_where_gaps_come_all_the_time_it_leaves_its_seat_now_and_then_and_publishes_in_between() -> None:
    stage = missed_events(Memory(newest="me", reigned=True))
    stage.results = [c.Idle()] * 400
    life, command = stage.member.life(), None
    life_said: list[c.Command] = []
    command = next(life)
    while stage.results and stage.now < 20 * LEAVE_EVERY_SECONDS:
        life_said.append(command)
        if isinstance(command, c.PublishBatch):
            stage.now += 1.0
            stage.gap = c.Gap(stage.gap.number + 1)
        command = life.send(stage._answer(command))
    life.close()
    leaves = life_said.count(c.LeaveSeat())
    assert leaves in range(10, 21)
    assert kinds(life_said).count(c.PublishBatch) > 10 * leaves


def test_a_new_process_stays_off_the_seat_that_the_one_before_it_left() -> None:
    stage = missed_events(Memory(newest="me", gap=1, left=True))
    stage.vacant = True
    assert stage.takeover() is c.Reason.VACANT
    assert stage.now >= STAY_OFF_SECONDS
    assert c.LeaveSeat() not in stage.said


def test_a_publishing_member_without_events_stands_by_once_another_one_publishes() -> None:
    stage = Stage(Memory(newest="me"))
    stage.results = [c.Committed(1), *[c.Idle()] * 50]
    stage.on_idle = lambda: stage.reads.append([other(), other()]) if len(stage.results) == 25 else None
    said = stage.play(lambda command: command == c.Show(c.Role.STANDBY) and len(stage.said) > 10)
    assert said[-2:] == [c.DropProducer(), c.Show(c.Role.STANDBY)]
    assert 15 < len(stage.results) < 25
    memory = stage.member.memory
    assert (memory.reigned, memory.boost, memory.newest) == (False, 1.0, "other")


def test_a_publishing_member_without_events_looks_seldom_and_not_at_all_while_its_own_records_are_hidden() -> None:
    stage = Stage()
    stage.results = [c.Idle()] * 40
    said = kinds(stage.play(lambda command: isinstance(command, c.PublishBatch) and not stage.results))
    assert said[said.index(c.PublishBatch) :].count(c.MarkEnd) in range(4, 8)
    stage = Stage()
    stage.results = [c.Idle(outstanding=True)] * 40
    said = kinds(stage.play(lambda command: isinstance(command, c.PublishBatch) and not stage.results))
    assert c.MarkEnd not in said[said.index(c.PublishBatch) :]


def test_every_change_of_role_has_its_words() -> None:
    told = {describe(role.value, reason.value) for role in c.Role for reason in c.Reason}
    assert len(told) == len(c.Reason) + 2
    assert not any(f": {reason.value}" in text for text in told for reason in c.Reason)
