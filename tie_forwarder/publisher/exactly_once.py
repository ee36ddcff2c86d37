"""Delivery exactly once: the rules of a group (`member`) carried out on Kafka, the spool and the pipe to the parent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from kafka.errors import KafkaError

from tie_forwarder.group.batch_size import BatchSize
from tie_forwarder.group.commands import (
    AskGap,
    Barrier,
    BatchResult,
    Command,
    CommitHanging,
    Committed,
    DropProducer,
    Fenced,
    Hidden,
    Idle,
    LeaveSeat,
    Leaving,
    MarkEnd,
    Oldest,
    OldestEvent,
    OpenProducer,
    PeekBeyond,
    PublishBatch,
    ReachedMark,
    ReadTail,
    RefusedAlone,
    Role,
    SeatIsVacant,
    SeekTail,
    Seen,
    Show,
    Suspected,
)
from tie_forwarder.group.member import Member, Memory
from tie_forwarder.kafka.diagnosis import Seat
from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict, classify
from tie_forwarder.kafka.producer import Refused
from tie_forwarder.kafka.tail import Found, Positions, Tail, TopicCut, TopicIds, UnknownTopic
from tie_forwarder.kafka.transactions import Refusal, Transactions
from tie_forwarder.processes.log import log
from tie_forwarder.publisher.parent import Barriers, Grants, LinkReports
from tie_forwarder.publisher.unseen import Mark, Unseen
from tie_forwarder.records.record import Row
from tie_forwarder.spool import Reader

_IDLE_SECONDS = 0.5
_UNSEEN_SECONDS = 0.01
_LAST_LOOK_SECONDS = 1.0
_STANDBY_READS_SECONDS = 0.1
_REMEMBER_SECONDS = 0.5
_FAR_BEHIND_RECORDS = 500
_BETWEEN_LIVE_SECONDS = 5.0


class ExactlyOnce:
    """Runs one life of a member. One thread; `run` raises PublisherError or Fenced, or returns when stopped."""

    def __init__(
        self,
        *,
        member: Member,
        tail: Tail,
        reader: Reader,
        grants: Grants,
        batch_size: BatchSize,
        barriers: Barriers,
        seat: Seat,
        reports: LinkReports,
        make_transactions: Callable[[], Transactions],
        start: tuple[Positions, TopicIds] | None,
        margin_ms: int,
        live_ms: int,
        stop: threading.Event,
        on_alive: Callable[[bool, Verdict | None], None],
    ) -> None:
        self._member = member
        self._tail = tail
        self._mark = Mark(distance=tail)
        self._unseen = Unseen(stable_ends=tail.stable_ends)
        self._reader = reader
        self._grants = grants
        self._batch_size = batch_size
        self._barriers = barriers
        self._seat = seat
        self._reports = reports
        self._make_transactions = make_transactions
        self._start = start
        self._margin_ms = margin_ms
        self._live_ms = live_ms
        self._stop = stop
        self._on_alive = on_alive
        self._transactions: Transactions | None = None
        self._role = Role.STANDBY
        self._read_to = 0
        self._tail_read_at = self._live_at = 0.0
        self._far_behind = False
        self._remembered_at = 0.0
        self._remembered: Memory | None = None
        self._restamped: set[int] = set()
        self._commands: dict[type[Any], Callable[[Any], Any]] = {
            SeekTail: self._seek_tail,
            ReadTail: self._read_tail,
            MarkEnd: self._mark_end,
            ReachedMark: lambda _: self._mark.reached(),
            PeekBeyond: lambda _: self._tail.peek_beyond(),
            Barrier: self._pass_barrier,
            OldestEvent: self._oldest_event,
            SeatIsVacant: lambda _: self._seat.is_vacant(),
            AskGap: lambda _: self._grants.gap,
            LeaveSeat: self._leave_seat,
            OpenProducer: self._open_producer,
            CommitHanging: self._commit_hanging,
            DropProducer: self._drop_producer,
            PublishBatch: self._publish_batch,
            Show: self._show,
        }

    def run(self) -> None:
        """One life. Raises Fenced or PublisherError; returns when the process is to stop, the seat left vacant."""
        life = self._member.life()
        answer: Any = None
        try:
            self._tail.open()
            while True:
                command = life.send(answer)
                if self._stop.is_set():
                    raise Leaving  # noqa: TRY301 - leaving is the same wherever it is noticed
                answer = self._carry_out(command)
        except Leaving:
            self._leave()
        except Fenced:
            self._member.fenced()
            self._remember()
            raise
        except (PublisherError, UnknownTopic):
            raise
        except KafkaError as error:
            raise PublisherError(_at_the_tail(classify(error))) from error

    def _carry_out(self, command: Command) -> Any:
        self._on_alive(isinstance(command, OpenProducer), self._mark.trouble or self._unseen.trouble)
        try:
            return self._commands[type(command)](command)
        except UnknownTopic as error:
            detail = f"the topic {error.topic} does not exist, or this user may not see it"
            raise PublisherError(
                Verdict(ErrorClass.BLOCKED, "unknown_topic", detail, REMEDIES["unknown_topic"])
            ) from error
        except TopicCut as error:
            detail = f"the topic {error.topic} was made anew, or ends before the place up to which it was read"
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "topic_cut", detail)) from error

    def _seek_tail(self, _: SeekTail) -> None:
        if self._start is None:
            self._tail.seek_by_time(self._since_ms(), margin_ms=self._margin_ms)
        else:
            self._tail.seek(*self._start, since_ms=self._since_ms, margin_ms=self._margin_ms)

    def _since_ms(self) -> int:
        """The time from which on the output must be known: now, or when the first event that waits was received."""
        earliest_ms = self._reader.earliest_received_at_ms(on_progress=lambda: self._on_alive(False, None))
        return _now_ms() if earliest_ms is None else min(_now_ms(), earliest_ms)

    def _read_tail(self, _: ReadTail) -> list[Seen]:
        at_leisure = self._role is not Role.TAKING_OVER and not self._far_behind
        if at_leisure:
            # Nobody waits for a standby: fewer and larger reads cost it less.
            self._stop.wait(max(0.0, self._tail_read_at + _STANDBY_READS_SECONDS - time.monotonic()))
            self._tail_read_at = time.monotonic()
        found = self._tail.read(ahead=not at_leisure)
        self._far_behind = len(found) > _FAR_BEHIND_RECORDS
        if found:
            self._reports.seen(found)
            self._report_live(found)
            self._remember_at_times()
        return [item.seen for item in found]

    def _report_live(self, found: Sequence[Found]) -> None:
        """Tells now and then on which topics other members have just received events, so that this one must have too.

        What was received some time ago may have come before this member was there.
        """
        if time.monotonic() - self._live_at < _BETWEEN_LIVE_SECONDS:
            return
        now_ms, name = _now_ms(), self._member.name
        topics = {
            item.dxl_topic
            for item in found
            if item.seen.forwarder != name
            and item.seen.received_at_ms is not None
            and abs(now_ms - item.seen.received_at_ms) <= self._live_ms
        }
        if topics:
            self._live_at = time.monotonic()
            self._reports.live(sorted(topic.decode("utf-8", "replace") for topic in topics))

    def _oldest_event(self, _: OldestEvent) -> Oldest | None:
        oldest = self._reader.oldest()
        if oldest is None:
            return None
        self._remember_at_times()  # how long it has waited must survive this process
        return Oldest(*oldest)

    def _pass_barrier(self, _: Barrier) -> None:
        self._remember()
        self._barriers.ask(self._reports.barrier, stop=self._stop)
        self._read_to = 0

    def _leave_seat(self, _: LeaveSeat) -> None:
        self._unseen.clear()  # the tail reads what is not reported as published
        vacant = self._seat.is_vacant() or self._seat.vacate()
        log(
            logging.INFO, "publisher.lets_others_first", seat="vacant" if vacant else "unknown",
            why="another member may have events that this one has missed",
        )  # fmt: skip

    def _mark_end(self, command: MarkEnd) -> None:
        self._tail.mark_end(high_watermark=command.high_watermark)
        self._mark.begin()

    def _open_producer(self, _: OpenProducer) -> None:
        self._unseen.clear()
        self._transactions = self._make_transactions()
        self._transactions.open()

    def _commit_hanging(self, _: CommitHanging) -> None:
        assert self._transactions is not None, "only who has initialised may end what hangs"
        held_back = self._tail.held_back()
        if held_back:
            self._transactions.commit_empty(held_back)
        elif self._unseen:
            detail = "records that were committed do not stand in the output any more"
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "topic_cut", detail))

    def _drop_producer(self, _: DropProducer) -> None:
        assert self._transactions is not None
        transactions, self._transactions = self._transactions, None
        give_up_at = time.monotonic() + _LAST_LOOK_SECONDS
        while self._unseen and time.monotonic() < give_up_at:
            self._report_seen()
            self._stop.wait(_UNSEEN_SECONDS)
        self._unseen.clear()  # whoever publishes next reads the output first
        self._remember()
        if not transactions.close():
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "renewed", "the producer could not be ended"))

    def _publish_batch(self, command: PublishBatch) -> BatchResult:
        assert self._transactions is not None, "a producer is opened before anything is published"
        if self._unseen.due:
            self._report_seen()
        if self._unseen.overdue():
            return Hidden()
        patience = _UNSEEN_SECONDS if self._unseen else _IDLE_SECONDS
        through = self._grants.wait_beyond(self._read_to, timeout_seconds=patience, gap=self._member.memory.gap)
        if not through:
            return Idle(outstanding=bool(self._unseen))
        limit = min(command.limit, self._batch_size.rows)
        page = self._reader.read(after=self._read_to, through=through, limit=limit)
        if page.corrupt:
            self._reports.corrupt(page.corrupt)
        if not page.rows:
            self._read_to = page.last_position if page.corrupt else through
            return Idle(outstanding=bool(self._unseen))
        return self._publish_rows(page.rows, page.last_position)

    def _publish_rows(self, rows: Sequence[Row], last_position: int) -> BatchResult:
        assert self._transactions is not None
        self._on_alive(True, None)
        # None of them was ever sent, so they are no part of any transaction, and can be reported at once.
        rows, refused = self._transactions.sift(rows)
        for each in refused:
            self._reports.refused(each)
        if not rows:
            self._read_to = last_position
            return Idle(outstanding=bool(self._unseen))
        self._batch_size.started(len(rows))
        started = time.monotonic()
        result = self._transactions.publish(rows, restamped=self._restamped)
        if isinstance(result, Refusal):
            self._batch_size.refused()
            alone = self._transactions.refused(rows, result.verdict)
            return Suspected(before=result.before) if alone is None else self._refused_alone(alone)
        seconds = time.monotonic() - started
        self._batch_size.succeeded(seconds)
        self._unseen.add([row.position for row in rows], result, seconds)
        self._read_to = last_position
        return Committed(len(rows))

    def _report_seen(self) -> None:
        """First what has been published, then how far the tail knows it.

        The other way round a death in between would make the next process pass over rows that are still in the spool.
        """
        self._on_alive(True, self._unseen.trouble)
        for batch in self._unseen.release():
            self._reports.published(batch.positions, batch.seconds)
            self._tail.advance(batch.ends)
        self._remember_at_times()

    def _refused_alone(self, refused: Refused) -> BatchResult:
        if refused.verdict.code != "invalid_timestamp":
            self._reports.refused(refused)
            return RefusedAlone()
        if refused.row.position in self._restamped:
            raise PublisherError(Verdict(ErrorClass.BLOCKED, "clock", refused.verdict.detail, REMEDIES["clock"]))
        # This machine's clock was wrong at receipt; the time of receipt stays in the headers.
        self._restamped.add(refused.row.position)
        return Suspected(before=0)

    def _show(self, command: Show) -> None:
        self._role = command.role
        if command.role is Role.TAKING_OVER:
            self._remember()
        self._reports.role(command.role, command.reason)

    def _remember_at_times(self) -> None:
        """What is remembered late is only read again by the next process, and each question for a position costs."""
        if time.monotonic() - self._remembered_at >= _REMEMBER_SECONDS or self._member.memory != self._remembered:
            self._remember()

    def _remember(self) -> None:
        self._remembered_at, self._remembered = time.monotonic(), replace(self._member.memory)
        self._reports.remember(self._tail.positions(), self._tail.topic_ids, asdict(self._member.memory))

    def _leave(self) -> None:
        """An orderly end: what publishes leaves its seat vacant."""
        if self._role is Role.PUBLISHING and self._transactions is not None and self._transactions.close():
            self._seat.vacate()
        with suppress(Exception):  # a client that failed may raise anything while it closes
            self._tail.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _at_the_tail(verdict: Verdict) -> Verdict:
    """A missing right at the tail is the right to read."""
    if verdict.code == "topic_authorization":
        remedy = "grant this user Read on every output topic: exactly_once reads what stands there"
        return verdict._replace(remedy=remedy)
    return verdict
