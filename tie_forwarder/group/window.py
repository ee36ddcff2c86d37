"""The window: ids of events that Kafka has, for as long as the same event may still arrive from the fabric.

Kept in memory, packed: some 25 bytes an id, where a dictionary takes a hundred and leaves the heap in crumbs. After a
restart the tail of the output brings back what matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import Enum

_GENERATIONS = 10
_ID_BYTES = 16
_ENTRY_BYTES = _ID_BYTES + 2
_GENERATION = _ID_BYTES
_ARRIVED = _ID_BYTES + 1
_SHELF_MASK = 2047


class Arrival(Enum):
    """What the window says of an event that arrives."""

    NEW = "new"
    SETTLED = "settled"
    """Another member, or this one before a crash, has published it, and it arrives here for the first time."""
    DUPLICATE = "duplicate"
    """It has arrived here before."""


class Window:
    """Remembers packed ids for at least `seconds`, at most a tenth longer. One thread.

    A shelf holds the ids of one hash, the longest remembered first: id, generation, whether it has arrived. A shelf is
    short enough to be searched whole.
    """

    def __init__(self, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._span = seconds / _GENERATIONS
        self._monotonic = monotonic
        self._shelves: dict[int, bytearray] = {}
        self._generation = 0
        self._turned_at = monotonic()

    def __len__(self) -> int:
        return sum(map(len, self._shelves.values())) // _ENTRY_BYTES

    def arrive(self, event_id: bytes) -> Arrival:
        """Tells whether an event that arrives is in the window, and notes that it has arrived."""
        shelf = self._shelves.get(_shelf_number(event_id))
        at = -1 if shelf is None else _find(shelf, event_id)
        if shelf is None or at < 0:
            return Arrival.NEW
        arrived = shelf[at + _ARRIVED]
        shelf[at + _ARRIVED] = 1
        return Arrival.DUPLICATE if arrived else Arrival.SETTLED

    def remember(self, event_ids: Iterable[bytes], *, arrived: bool) -> None:
        """Puts ids into the window; `arrived` tells whether the events had come from the fabric to this member."""
        self._turn()
        for event_id in event_ids:
            shelf = self._shelves.setdefault(_shelf_number(event_id), bytearray())
            at = _find(shelf, event_id)
            noted = arrived
            if at >= 0:
                noted = arrived or bool(shelf[at + _ARRIVED])
                del shelf[at : at + _ENTRY_BYTES]
            shelf += event_id
            shelf += bytes((self._generation, noted))

    def _turn(self) -> None:
        turns = int((self._monotonic() - self._turned_at) / self._span)
        if turns <= 0:
            return
        self._turned_at += turns * self._span
        if turns > _GENERATIONS:
            self._shelves = {}
        for _ in range(min(turns, _GENERATIONS)):
            self._generation = (self._generation + 1) % (_GENERATIONS + 1)
            self._forget(self._generation)

    def _forget(self, generation: int) -> None:
        """Drops the generation whose number is used again; its ids stand first."""
        for number, shelf in list(self._shelves.items()):
            end = 0
            while end < len(shelf) and shelf[end + _GENERATION] == generation:
                end += _ENTRY_BYTES
            if end == len(shelf):
                del self._shelves[number]
            elif end:
                del shelf[:end]


def _shelf_number(event_id: bytes) -> int:
    # Python's own hash differs from process to process, so nobody can make ids that all lie on one shelf.
    return hash(event_id) & _SHELF_MASK


def _find(shelf: bytearray, event_id: bytes) -> int:
    """Where the entry begins; -1 when it is not there."""
    at = shelf.find(event_id)
    while at >= 0 and at % _ENTRY_BYTES:
        at = shelf.find(event_id, at + 1)
    return at
