"""The window: ids of events that Kafka has, for as long as the same event may still arrive from the fabric.

Kept in memory: after a restart the tail of the output brings back what matters. About 100 bytes an id.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

_GENERATIONS = 10


class Arrival(Enum):
    """What the window says of an event that arrives."""

    NEW = "new"
    SETTLED = "settled"
    """Another member, or this one before a crash, has published it, and it arrives here for the first time."""
    DUPLICATE = "duplicate"
    """It has arrived here before."""


class Window:
    """Remembers packed ids for at least `seconds`, at most a tenth longer. One thread."""

    def __init__(self, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._span = seconds / _GENERATIONS
        self._monotonic = monotonic
        self._generations: deque[dict[bytes, bool]] = deque([{}], maxlen=_GENERATIONS + 1)
        self._turned_at = monotonic()

    def __len__(self) -> int:
        return sum(map(len, self._generations))

    def arrive(self, event_id: bytes) -> Arrival:
        """Tells whether an event that arrives is in the window, and notes that it has arrived."""
        for generation in self._generations:
            arrived = generation.get(event_id)
            if arrived is not None:
                generation[event_id] = True
                return Arrival.DUPLICATE if arrived else Arrival.SETTLED
        return Arrival.NEW

    def remember(self, event_ids: Iterable[bytes], *, arrived: bool) -> None:
        """Puts ids into the window; `arrived` tells whether the events had come from the fabric to this member."""
        self._turn()
        newest = self._generations[-1]
        for event_id in event_ids:
            newest[event_id] = arrived or newest.get(event_id, False)

    def _turn(self) -> None:
        while self._monotonic() - self._turned_at >= self._span:
            self._turned_at += self._span
            self._generations.append({})
