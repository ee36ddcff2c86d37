"""One publisher process: the real rules on the model of Kafka, effect by effect in the order of the real edges."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import asdict
from typing import Any

from tests.simulation.connection import Connection, transient
from tests.simulation.forwarder import Forwarder, Pipe, Positions, Row
from tests.simulation.kafka import Concurrent, Record, Refused
from tests.simulation.mutants import Mutant
from tests.simulation.times import Times
from tests.simulation.world import World
from tie_forwarder.group import commands as c
from tie_forwarder.group.batch_size import BatchSize
from tie_forwarder.group.member import Memory
from tie_forwarder.kafka.errors import PublisherError

_NOT_TRACED = (c.ReadTail, c.ReachedMark, c.OldestEvent, c.AskGap)
_BARRIER_SECONDS = 20.0

Effects = Generator[float, None, Any]


class Publisher:
    """Runs one life; `run` is the flow of its process."""

    def __init__(
        self,
        *,
        world: World,
        forwarder: Forwarder,
        pipe: Pipe,
        connection: Connection,
        times: Times,
        partial_polls: bool,
        seconds_per_row: float,
        batch_rows: int | None,
        mutant: Mutant,
        on_takeover: Callable[[str, c.Reason], None],
        on_effect: Callable[[str], None],
    ) -> None:
        self._world = world
        self._forwarder = forwarder
        self._pipe = pipe
        self._asked = 0
        self._connection = connection
        self._kafka = connection.kafka
        self._times = times
        self._partial_polls = partial_polls
        self._seconds_per_row = seconds_per_row
        self._batch_rows = batch_rows
        self._batch_size = BatchSize() if mutant.has("same_batch_again") else BatchSize(forwarder.batch_rows)
        self._mutant = mutant
        self._on_takeover = on_takeover
        self._on_effect = on_effect
        resume = forwarder.resume
        self._start = None if resume is None else resume[0]
        self._member = mutant.member(
            name=forwarder.name,
            rules=mutant.rules(takeover_after=times.takeover_after),
            memory=Memory() if resume is None else Memory(**resume[1]),
            monotonic=lambda: world.now,
            now_ms=forwarder.now_ms,
            uniform=(lambda low, _: low) if mutant.has("no_jitter") else world.random.uniform,
        )
        self._tail: Positions = []
        self._mark: Positions = []
        self._peeked: dict[int, int] = {}
        self._unseen: list[tuple[float, list[int], dict[int, int]]] = []
        self._complained_at = 0.0
        self._epoch: int | None = None
        self._read_to = 0
        self.role = c.Role.STANDBY
        self.publishing_since = 0.0
        self.leaving = False
        self._edges: dict[type[Any], Callable[[Any], Effects]] = {
            c.SeekTail: self._seek_tail,
            c.ReadTail: self._read_tail,
            c.MarkEnd: self._mark_end,
            c.ReachedMark: self._reached_mark,
            c.PeekBeyond: self._peek_beyond,
            c.Barrier: self._barrier,
            c.OldestEvent: self._oldest,
            c.SeatIsVacant: self._seat_is_vacant,
            c.AskGap: self._gap,
            c.LeaveSeat: lambda _: self._leave_seat(),
            c.OpenProducer: lambda _: self._open_producer(),
            c.CommitHanging: self._commit_hanging,
            c.DropProducer: self._drop_producer,
            c.PublishBatch: self._publish_batch,
            c.Show: self._show,
        }

    def run(self) -> Effects:
        """One life, and the end of its process."""
        life = self._member.life()
        answer: Any = None
        try:
            while True:
                command = life.send(answer)
                if self.leaving:
                    break
                answer = yield from self._edges[type(command)](command)
                if self._world.tracing and not isinstance(command, _NOT_TRACED):
                    self._world.tell(self._forwarder.name, f"{command} -> {answer}")
            yield from self._leave()
            why = "left"
        except c.Fenced:
            self._member.fenced()
            yield self._between()
            self._remember()
            why = "fenced"
        except PublisherError as error:
            why = str(error.verdict.detail)
        yield self._between()
        self._forwarder.publisher_ended(why)

    def _between(self, effect: str = "") -> float:
        """The time between two effects, at which anything may happen; `effect` is the one just done."""
        if effect:
            self._on_effect(effect)
        return self._world.random.random() * 0.01

    def _gap(self, _: c.AskGap) -> Effects:
        yield from ()
        return self._forwarder.peers.gap

    def _frame(self, apply: Callable[[], None], *, about_rows: bool = False) -> None:
        self._forwarder.frame(self._pipe, apply, about_rows=about_rows)

    def _oldest(self, _: c.OldestEvent) -> Effects:
        yield from ()
        oldest = self._forwarder.oldest()
        if oldest is not None:
            self._remember()
        return oldest

    def _seek_tail(self, _: c.SeekTail) -> Effects:
        partitions = self._kafka.partitions
        if self._start is not None:
            self._tail = list(self._start)
            return
        now_ms = self._forwarder.now_ms()
        earliest_ms = self._forwarder.earliest_received_at_ms()
        since_ms = now_ms if earliest_ms is None else min(now_ms, earliest_ms)
        margin_ms = int(self._times.margin * 1000)
        stable = not self._mutant.has("start_at_watermark")
        ends = yield from self._connection.ask(
            lambda: [p.last_stable_offset if stable else p.high_watermark for p in partitions]
        )
        newest = yield from self._connection.ask(lambda: [p.newest_ms or since_ms for p in partitions])
        if self._mutant.has("seeks_by_own_clock"):
            newest = [since_ms] * len(partitions)
        since = [min(since_ms, each) - margin_ms for each in newest]
        found = yield from self._connection.ask(
            lambda: [p.offset_for_time(each) for p, each in zip(partitions, since, strict=True)]
        )
        self._tail = [end if offset is None else offset for offset, end in zip(found, ends, strict=True)]

    def _read_tail(self, _: c.ReadTail) -> Effects:
        yield self._world.random.uniform(0.1, 1.0) * (self._times.standby_read if self.role is c.Role.STANDBY else 0.02)
        if self._world.now < self._kafka.down_until:
            yield 0.1
            return []
        found: list[tuple[Record, int]] = []
        for number, partition in enumerate(self._kafka.partitions):
            first, end = self._tail[number], partition.last_stable_offset
            if first >= end or self._world.now < partition.leaderless_until:
                continue
            if self._partial_polls:
                end = first + int(self._world.random.uniform(0.0, 1.5) * (end - first))
                end = min(end, partition.last_stable_offset)
            found += partition.stamped(first, end, committed=True)
            self._tail[number] = end
        if found:
            yield self._between()
            ids = [record.event_id for record, _ in found]
            if self._world.tracing:
                self._world.tell(self._forwarder.name, f"sees {[i[-1] for i in ids]} of {found[0][0].forwarder}")
            self._frame(lambda: self._forwarder.seen(ids), about_rows=True)
            yield self._between()
            self._remember()
        by_broker = self._mutant.has("broker_timestamps")
        return [c.Seen(record.forwarder, at if by_broker else record.received_at_ms) for record, at in found]

    def _mark_end(self, command: c.MarkEnd) -> Effects:
        high = command.high_watermark or self._mutant.has("mark_watermark_only")
        if self._mutant.has("mark_stable_only"):
            high = False
        partitions = self._kafka.partitions
        self._mark = yield from self._connection.ask(
            lambda: [p.high_watermark if high else p.last_stable_offset for p in partitions]
        )
        if command.high_watermark and self._mutant.has("no_read_after_init"):
            self._mark = [0] * len(partitions)

    def _reached_mark(self, _: c.ReachedMark) -> Effects:
        yield from ()
        return all(position >= end for position, end in zip(self._tail, self._mark, strict=True))

    def _peek_beyond(self, _: c.PeekBeyond) -> Effects:
        if self._mutant.has("no_peek"):
            return False
        partitions = self._kafka.partitions
        stable = yield from self._connection.ask(lambda: [p.last_stable_offset for p in partitions])
        ends = yield from self._connection.ask(lambda: [p.high_watermark for p in partitions])
        held_back = [number for number in range(len(partitions)) if ends[number] > stable[number]]
        starts = {number: max(stable[number], self._peeked.get(number, 0)) for number in held_back}
        self._peeked = {number: ends[number] for number in held_back}
        return any(
            True for number in held_back for _ in partitions[number].ours(starts[number], ends[number], committed=False)
        )

    def _barrier(self, _: c.Barrier) -> Effects:
        self._remember()
        self._read_to = 0
        if self._mutant.has("no_barrier"):
            return
        self._asked = number = self._asked + 1
        self._frame(lambda: self._forwarder.barrier(self._pipe, number))
        give_up_at = self._world.now + _BARRIER_SECONDS
        while self._world.now < give_up_at:
            yield 0.02
            if self._pipe.answered >= number:
                return
        raise transient("the main process does not confirm")

    def _seat_is_vacant(self, _: c.SeatIsVacant) -> Effects:
        yield self._connection.rest()
        return self._world.now >= self._kafka.down_until and self._kafka.vacant

    def _leave_seat(self) -> Effects:
        self._epoch = None
        if not self._kafka.vacant:
            yield self._between()
            yield from self._open_producer(vacate=True)

    def _open_producer(self, *, vacate: bool = False) -> Effects:
        self._unseen = []
        give_up_at = self._world.now + 2 * self._times.answer
        timeout = self._times.transaction_timeout * (0.3 if vacate else 1.0)
        while self._world.now < give_up_at:
            try:
                self._epoch = yield from self._connection.change(
                    lambda: self._kafka.initialise(timeout, vacate=vacate), patience=self._times.answer
                )
            except Concurrent:
                yield 0.02
                continue
            return
        raise transient("the coordinator does not answer")

    def _commit_hanging(self, _: c.CommitHanging) -> Effects:
        if self._mutant.has("no_hanging"):
            return
        partitions, epoch = self._kafka.partitions, self._epoch
        assert epoch is not None
        held_back = yield from self._connection.ask(
            lambda: [n for n, p in enumerate(partitions) if p.last_stable_offset < p.high_watermark]
        )
        give_up_at = self._world.now + self._times.answer
        while held_back and self._world.now < give_up_at:
            try:
                yield from self._connection.change(
                    lambda: self._kafka.commit_empty(epoch, held_back), patience=self._times.answer, places=held_back
                )
            except Concurrent:
                yield 0.005
                continue
            return

    def _drop_producer(self, _: c.DropProducer) -> Effects:
        self._epoch = None
        self._remember()
        yield self._between()

    def _publish_batch(self, command: c.PublishBatch) -> Effects:
        if self._unseen and (yield from self._report_seen()):
            return c.Hidden()
        rows = self._rows(command.limit)
        if not rows:
            yield self._world.random.uniform(0.02, 0.05 if self._unseen else 0.3)
            return c.Idle(outstanding=bool(self._unseen))
        started = self._world.now
        self._batch_size.started(len(rows))
        self._report_status()
        yield self._between("read")
        offsets: dict[int, int] = {}
        refused = yield from self._send(rows, offsets)
        if refused is not None:
            self._batch_size.refused()
            if len(rows) > 1:
                return c.Suspected(refused)
            self._frame(lambda: self._forwarder.refused(rows[0][0]))
            return c.RefusedAlone()
        epoch = self._epoch
        assert epoch is not None
        yield self._between("sent")
        yield from self._connection.change(lambda: self._kafka.commit(epoch), patience=self._times.answer)
        stood_still = self._world.now - started > self._times.transaction_timeout / 2
        if stood_still and not self._mutant.has("no_time_limit"):
            raise transient("the process stood still in a transaction")
        self._batch_size.succeeded(self._world.now - started)
        self._report_status()
        yield self._between("committed")
        self._unseen.append((self._world.now, [position for position, _ in rows], offsets))
        self._read_to = rows[-1][0]
        return c.Committed(len(rows))

    def _rows(self, limit: int) -> list[tuple[int, Row]]:
        """The next ones that were granted, with their positions; none after a gap that is not dealt with."""
        if self._forwarder.peers.gap.number > self._member.memory.gap:
            return []
        limit = min(limit, self._batch_size.rows, self._batch_rows or limit)
        rows: list[tuple[int, Row]] = []
        for position, row in self._forwarder.spool.items():
            if position > self._pipe.granted or len(rows) == limit:
                break
            if position > self._read_to:
                rows.append((position, row))
        return rows

    def _report_status(self) -> None:
        rows = self._batch_size.next_process_rows
        self._frame(lambda: self._forwarder.note_batch_rows(rows))

    def _report_seen(self) -> Generator[float, None, bool]:
        """Reports what readers can see; whether something has been hidden for too long."""
        partitions = self._kafka.partitions
        ends = yield from self._connection.ask(lambda: [p.last_stable_offset for p in partitions])
        blind = self._mutant.has("no_visibility")
        while self._unseen and (blind or all(end <= ends[place] for place, end in self._unseen[0][2].items())):
            _, positions, offsets = self._unseen.pop(0)
            yield from self._report(positions, offsets)
        now = self._world.now
        if self._unseen and now - self._unseen[0][0] > 3.0 and now - self._complained_at > 30.0:
            self._complained_at = now
            return True
        return False

    def _report(self, positions: list[int], offsets: dict[int, int]) -> Effects:
        """First what was published, then how far the tail knows it."""
        early = self._mutant.has("remember_first")
        if not early:
            self._frame(lambda: self._forwarder.published(positions), about_rows=True)
            yield self._between("published")
        for partition, end in offsets.items():
            self._tail[partition] = max(self._tail[partition], end)
        self._remember()
        yield self._between("remembered")
        if early:
            self._frame(lambda: self._forwarder.published(positions), about_rows=True)

    def _send(self, rows: list[tuple[int, Row]], ends: dict[int, int]) -> Generator[float, None, int | None]:
        """One request for each partition; tells where the first refused row stands. The ends are filled in."""
        epoch = self._epoch
        assert epoch is not None
        batches: dict[int, list[Record]] = {}
        first: dict[int, int] = {}
        name = self._forwarder.name
        for index, (position, row) in enumerate(rows):
            record = Record(row.event_id, name, row.received_at_ms, position, row.dead_letter)
            place = self._kafka.partition_of(record)
            batches.setdefault(place, []).append(record)
            first.setdefault(place, index)
        give_up_at = self._world.now + self._times.answer
        for place, records in batches.items():
            while True:
                try:
                    offsets = yield from self._connection.change(
                        lambda place=place, records=records: self._kafka.produce(epoch, place, records),  # type: ignore[misc]
                        patience=max(0.0, give_up_at - self._world.now),
                        places=[place],
                        seconds=self._seconds_per_row * len(records),
                    )
                except Concurrent:
                    if self._world.now > give_up_at:
                        raise transient("the transaction before does not end") from None
                    yield 0.005
                    continue
                except Refused:
                    return first[place]
                ends[place] = offsets[-1] + 1
                break
        return None

    def _show(self, command: c.Show) -> Effects:
        self.role = command.role
        if command.role is c.Role.TAKING_OVER:
            self._remember()
        if command.role is c.Role.PUBLISHING:
            self.publishing_since = self._world.now
        if command.reason is not None:
            self._on_takeover(self._forwarder.name, command.reason)
        yield from ()

    def _remember(self) -> None:
        positions, memory = list(self._tail), asdict(self._member.memory)
        self._frame(lambda: self._forwarder.remember(positions, memory))

    def _leave(self) -> Effects:
        if self.role is c.Role.PUBLISHING:
            yield self._between()
            yield from self._open_producer(vacate=True)
