"""One member's main process: its spool, its window, the frames of its publisher process, and that one's successors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.simulation.world import Process, World
from tie_forwarder.backoff import Backoff
from tie_forwarder.supervisor.peers import Peers
from tie_forwarder.supervisor.window import Arrival, Window

Positions = list[int]


class Row:
    """A row of the spool."""

    __slots__ = ("dead_letter", "event_id", "received_at_ms")

    def __init__(self, event_id: bytes, received_at_ms: int, *, dead_letter: bool = False) -> None:
        self.event_id = event_id
        self.received_at_ms = received_at_ms
        self.dead_letter = dead_letter


class Forwarder:
    """What outlives the publisher process, and of it the spool alone what outlives this process."""

    def __init__(
        self,
        *,
        name: str,
        world: World,
        window_seconds: float,
        clock_ahead: float,
        frame_lag: float,
        start_publisher: Callable[[Forwarder], Process],
    ) -> None:
        self.name = name
        self.world = world
        self._window_seconds = window_seconds
        self._clock_ahead = clock_ahead
        self._frame_lag = frame_lag
        self._start_publisher = start_publisher
        self.spool: dict[int, Row] = {}
        self._positions: dict[bytes, int] = {}
        self.last_position = 0
        self.accepted: dict[bytes, int] = {}
        """Every event that the spool has ever taken, with its first position."""
        self.stopped_until = 0.0
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
        self._frames_until = self.world.now
        self._backoff = Backoff(first_seconds=0.1, most_seconds=5.0, uniform=self.world.random.uniform)

    def now_ms(self) -> int:
        """The clock of this machine."""
        return int((1_000_000 + self.world.now + self._clock_ahead) * 1000)

    def receive(self, event_id: bytes) -> None:
        """The event arrives from the fabric."""
        if self.world.now < self.stopped_until:
            self.world.at(self.stopped_until, lambda: self.receive(event_id))
            return
        arrival = self.window.arrive(event_id)
        if arrival is Arrival.NEW and event_id not in self._positions:
            self._insert(Row(event_id, self.now_ms()))
        if self.world.tracing:
            self.world.tell(self.name, f"event {int.from_bytes(event_id, 'big')} arrives: {arrival.value}")

    def frame(self, apply: Callable[[], None]) -> None:
        """The publisher process has written a frame; frames are applied in order, some time later."""
        incarnation = self._incarnation
        at = self.world.now + self.world.random.uniform(0.0, self._frame_lag)
        self._frames_until = max(self._frames_until, at)
        self.world.under_way += 1
        self._apply_at(self._frames_until, apply, incarnation)

    def _apply_at(self, at: float, apply: Callable[[], None], incarnation: int) -> None:
        def now() -> None:
            if incarnation == self._incarnation and self.world.now < self.stopped_until:
                self._frames_until = max(self._frames_until, self.stopped_until)
                self._apply_at(self.stopped_until, apply, incarnation)
                return
            self.world.under_way -= 1
            if incarnation == self._incarnation:
                apply()

        self.world.at(at, now)

    def seen(self, event_ids: list[bytes]) -> None:
        """They stand in the output: first the window remembers them, then they leave the spool."""
        self.window.remember(event_ids, arrived=False)
        for event_id in event_ids:
            position = self._positions.get(event_id)
            if position is not None:
                self._remove(position)

    def published(self, positions: list[int]) -> None:
        """They are proven to be committed."""
        self._backoff.reset()
        for position in positions:
            if position in self.spool:
                self._remove(position)

    def refused(self, position: int) -> None:
        """Kafka refuses the row: it becomes a dead letter."""
        row = self.spool.pop(position, None)
        if row is not None:
            del self._positions[row.event_id]
            self._insert(Row(row.event_id, row.received_at_ms, dead_letter=True))

    def remember(self, positions: Positions, memory: dict[str, Any]) -> None:
        """For the next publisher process."""
        self.resume = (positions, memory)

    def oldest_received_at_ms(self) -> int | None:
        """As the spool file says."""
        for row in self.spool.values():
            return row.received_at_ms
        return None

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
        """The publisher process is gone: what it had written is applied before another one starts."""
        if self.publisher is None:
            return
        self.world.tell(self.name, f"publisher process ends: {why}")
        self.publisher.kill()
        self.publisher = None
        incarnation = self._incarnation
        delay = self._backoff.next_seconds()
        self.world.at(self.world.now + delay, lambda: self._start_again(incarnation))

    def _start_again(self, incarnation: int) -> None:
        if incarnation != self._incarnation or self.publisher is not None:
            return
        ready_at = max(self._frames_until, self.stopped_until)
        if self.world.now <= ready_at and self.starts:
            self.world.at(ready_at + 0.001, lambda: self._start_again(incarnation))
            return
        self.starts += 1
        self.publisher = self._start_publisher(self)

    def _insert(self, row: Row) -> None:
        self.last_position += 1
        self.spool[self.last_position] = row
        self._positions[row.event_id] = self.last_position
        self.accepted.setdefault(row.event_id, self.last_position)

    def _remove(self, position: int) -> None:
        row = self.spool.pop(position)
        del self._positions[row.event_id]
        self.window.remember([row.event_id], arrived=True)
