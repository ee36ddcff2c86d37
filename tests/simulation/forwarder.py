"""One member's main process: its spool, its window, the frames of its publisher process, and that one's successors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.simulation.kafka import wall_clock_ms
from tests.simulation.mutants import Mutant
from tests.simulation.world import Process, World
from tie_forwarder.backoff import Backoff
from tie_forwarder.group.batch_size import FIRST_ROWS
from tie_forwarder.group.commands import Oldest
from tie_forwarder.group.window import Arrival, Window
from tie_forwarder.supervisor.peers import Peers

Positions = list[int]
Apply = Callable[[], None]

_GRANTED_SHARE = 4
_TURN_SECONDS = 0.2


class Row:
    """A row of the spool."""

    __slots__ = ("dead_letter", "event_id", "received_at_ms")

    def __init__(self, event_id: bytes, received_at_ms: int, *, dead_letter: bool = False) -> None:
        self.event_id = event_id
        self.received_at_ms = received_at_ms
        self.dead_letter = dead_letter


class Pipe:
    """The frames of one publisher process, in order, and what its main process tells it."""

    def __init__(self) -> None:
        self.until = 0.0
        """When the last frame is applied."""
        self.held_until = 0.0
        """Until then nothing is read from it, though its process may be dead."""
        self.superseded = False
        """Whether the process has a successor."""
        self.answered = 0
        """The number of the last barrier that was answered."""
        self.granted = 0
        """The last position that the process may read."""


class Forwarder:
    """What outlives the publisher process, and of it the spool alone what outlives this process."""

    def __init__(
        self,
        *,
        name: str,
        world: World,
        mutant: Mutant,
        window_seconds: float,
        clock_ahead: float,
        frame_lag: float,
        late_frames: float,
        max_rows: int | None,
        start_publisher: Callable[[Forwarder, Pipe], Process],
    ) -> None:
        """`late_frames` is how often a successor is started before all frames of a dead process were read."""
        self.name = name
        self.world = world
        self._mutant = mutant
        self._window_seconds = window_seconds
        self.clock_ahead = clock_ahead
        """How many seconds the clock of this machine is ahead."""
        self._frame_lag = frame_lag
        self._late_frames = late_frames
        self._max_rows = max_rows
        self._start_publisher = start_publisher
        self.spool: dict[int, Row] = {}
        self._positions: dict[bytes, int] = {}
        self.last_position = 0
        self.accepted: dict[bytes, int] = {}
        """Every event that the spool has ever taken, with its first position."""
        self.dropped: set[bytes] = set()
        """Events that a full spool has dropped, and that have not arrived again since."""
        self.stopped_until = 0.0
        self.disk_refuses_until = 0.0
        self.publisher: Process | None = None
        self.starts = 0
        self._incarnation = 0
        self._boot()

    def _boot(self) -> None:
        self._incarnation += 1
        heard_at = self.peers.heard_at if self._incarnation > 1 else {}
        self.peers: Peers = Peers(
            directory=Path(os.devnull),
            own=self.name,
            monotonic=lambda: self.world.now,
            now=lambda: self.world.now,
        )
        self.peers.heard_at = heard_at
        self.window = Window(seconds=self._window_seconds, monotonic=lambda: self.world.now)
        self.resume: tuple[Positions, dict[str, Any]] | None = None
        self._pipe = Pipe()
        self.batch_rows = FIRST_ROWS
        self._removals: list[Apply] = []
        self._barriers: list[tuple[Pipe, int]] = []
        self._in_flight_through = 0
        self._forgotten_until = 0.0
        self._backoff = Backoff(first_seconds=0.1, most_seconds=5.0, uniform=self.world.random.uniform)

    def now_ms(self) -> int:
        """The clock of this machine."""
        return wall_clock_ms(self.world.now + self.clock_ahead)

    def receive(self, event_id: bytes) -> None:
        """The event arrives from the fabric."""
        if self.world.now < self.stopped_until:
            self.world.at(self.stopped_until, lambda: self.receive(event_id))
            return
        arrival = self.window.arrive(event_id)
        new = arrival is Arrival.NEW and event_id not in self._positions
        if new and self.world.now >= self.disk_refuses_until:
            self._insert(Row(event_id, self.now_ms()))
        if self.world.tracing:
            self.world.tell(self.name, f"event {int.from_bytes(event_id, 'big')} arrives: {arrival.value}")

    def frame(self, pipe: Pipe, apply: Apply, *, about_rows: bool = False) -> None:
        """The publisher process has written a frame; its frames are applied in order, some time later.

        Only those about rows are applied when the process has a successor: they stay true.
        """
        at = self.world.now + self.world.random.uniform(0.0, self._frame_lag)
        pipe.until = max(pipe.until, at)
        self.world.under_way += 1
        self._apply_at(pipe.until, pipe, apply, about_rows, self._incarnation)

    def _apply_at(self, at: float, pipe: Pipe, apply: Apply, about_rows: bool, incarnation: int) -> None:
        def now() -> None:
            ready_at = max(self.stopped_until, pipe.held_until)
            if incarnation == self._incarnation and self.world.now < ready_at:
                pipe.until = max(pipe.until, ready_at)
                self._apply_at(ready_at, pipe, apply, about_rows, incarnation)
                return
            self.world.under_way -= 1
            counts = about_rows or not pipe.superseded or self._mutant.has("late_barrier")
            if incarnation == self._incarnation and counts:
                apply()

        self.world.at(at, now)

    def barrier(self, pipe: Pipe, number: int) -> None:
        """The process of this pipe asks for an answer once everything before is applied."""
        if self._mutant.has("late_barrier"):
            pipe = self._pipe
        if self._mutant.has("barrier_without_disk"):
            pipe.answered = max(pipe.answered, number)
            return
        self._barriers.append((pipe, number))
        self._settle()

    def seen(self, event_ids: list[bytes]) -> None:
        """They stand in the output: first the window remembers them, then they leave the spool."""
        self.window.remember(event_ids, arrived=False)

        def remove() -> None:
            for event_id in event_ids:
                position = self._positions.get(event_id)
                if position is not None:
                    self._remove(position)

        self._removals.append(remove)
        self._settle()

    def published(self, positions: list[int]) -> None:
        """They are proven to be committed."""
        self._backoff.reset()

        def remove() -> None:
            for position in positions:
                if position in self.spool:
                    self._remove(position)

        self._removals.append(remove)
        self._settle()

    def refused(self, position: int) -> None:
        """Kafka refuses the row: it becomes a dead letter."""

        def replace() -> None:
            row = self.spool.pop(position, None)
            if row is not None:
                del self._positions[row.event_id]
                self._append(Row(row.event_id, row.received_at_ms, dead_letter=True))

        self._removals.append(replace)
        self._settle()

    def note_batch_rows(self, rows: int) -> None:
        """With how many rows in a batch the next publisher process begins."""
        self.batch_rows = rows

    def remember(self, positions: Positions, memory: dict[str, Any]) -> None:
        """For the next publisher process."""
        self.resume = (positions, memory)

    def refuse_disk(self, until: float) -> None:
        """The disk takes nothing until then: what arrives is lost, and nothing leaves the spool."""
        self.disk_refuses_until = max(self.disk_refuses_until, until)
        incarnation = self._incarnation

        def settle() -> None:
            if incarnation == self._incarnation:
                self._settle()

        self.world.at(self.disk_refuses_until, settle)

    def _settle(self) -> None:
        """Makes the changes that wait, and answers the barriers that wait for them."""
        if self.world.now < self.disk_refuses_until:
            return
        removals, self._removals = self._removals, []
        for remove in removals:
            remove()
        barriers, self._barriers = self._barriers, []
        for pipe, number in barriers:
            pipe.answered = max(pipe.answered, number)
        self._grant()

    def oldest(self) -> Oldest | None:
        """As the spool file says."""
        for position, row in self.spool.items():
            return Oldest(position, row.received_at_ms)
        return None

    def earliest_received_at_ms(self) -> int | None:
        """As the spool file says."""
        return min((row.received_at_ms for row in self.spool.values()), default=None)

    def start(self) -> None:
        """Starts the first publisher process."""
        self._start_again(self._incarnation)

    def stop(self, until: float) -> None:
        """The whole member stands still."""
        self.world.tell(self.name, f"member is stopped until {until:.2f}")
        self.stopped_until = max(self.stopped_until, until)
        if self.publisher is not None:
            self.publisher.stop(until)

    def crash(self, rest: float) -> None:
        """kill -9 of every process of the member; it comes back after a rest, with its spool alone."""
        self.world.tell(self.name, f"member is killed, back in {rest:.2f} s")
        if self.publisher is not None:
            self.publisher.kill()
            self.publisher = None
        self._boot()
        self.stopped_until = max(self.stopped_until, self.world.now + rest)
        incarnation = self._incarnation
        self.world.at(self.stopped_until, lambda: self._start_again(incarnation))

    def publisher_ended(self, why: str) -> None:
        """The publisher process is gone: what it had written is applied before another one starts, or long after."""
        if self.publisher is None:
            return
        self.world.tell(self.name, f"publisher process ends: {why}")
        self.publisher.kill()
        self.publisher = None
        if self._late_frames and self.world.random.random() < self._late_frames:
            self._pipe.held_until = self.world.now + self.world.random.uniform(0.5, 8.0)
            self._pipe.until = 0.0  # nobody waits for it
        incarnation = self._incarnation
        delay = self._backoff.next_seconds()
        self.world.at(self.world.now + delay, lambda: self._start_again(incarnation))

    def _start_again(self, incarnation: int) -> None:
        if incarnation != self._incarnation or self.publisher is not None:
            return
        ready_at = max(self._pipe.until, self.stopped_until)
        if self.world.now <= ready_at and self.starts:
            self.world.at(ready_at + 0.001, lambda: self._start_again(incarnation))
            return
        self.starts += 1
        self._pipe.superseded = True
        self._pipe = Pipe()
        self._grant()
        if self._mutant.has("grants_forgotten"):
            self._forgotten_until = self.world.now + _TURN_SECONDS
        self.publisher = self._start_publisher(self, self._pipe)

    def _grant(self) -> None:
        """Lets the publisher process read on, and raises the position up to which nothing is dropped."""
        self._pipe.granted = self._raise_limit()

    def _raise_limit(self) -> int:
        """What any process may have in flight, also a dead one: it never falls."""
        through = self.last_position
        if self._max_rows is not None and self.spool:
            through = min(through, next(iter(self.spool)) + max(1, self._max_rows // _GRANTED_SHARE) - 1)
        self._in_flight_through = max(self._in_flight_through, through)
        return self._in_flight_through

    def _insert(self, row: Row) -> None:
        if self._max_rows is not None and len(self.spool) >= self._max_rows:
            kept_through = 0 if self.world.now < self._forgotten_until else self._raise_limit()
            position = next((position for position in self.spool if position > kept_through), None)
            if position is None:
                return  # there is no room: the new one is dropped, and was never accepted
            dropped = self.spool.pop(position)
            del self._positions[dropped.event_id]
            self.dropped.add(dropped.event_id)
            self.world.tell(self.name, f"drops row {position}")
        self._append(row)
        self._grant()

    def _append(self, row: Row) -> None:
        self.last_position += 1
        self.spool[self.last_position] = row
        self._positions[row.event_id] = self.last_position
        self.accepted.setdefault(row.event_id, self.last_position)
        self.dropped.discard(row.event_id)

    def _remove(self, position: int) -> None:
        row = self.spool.pop(position)
        del self._positions[row.event_id]
        self.window.remember([row.event_id], arrived=True)
