"""What is asked of the spool in one turn, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tie_forwarder.records.record import Record


class Incoming(NamedTuple):
    """A record on its way into the spool."""

    record: Record
    detected_at: int | None


class Settled(NamedTuple):
    """A row that has left the spool because Kafka has it."""

    position: int
    destination: str
    event_id: bytes
    received_at_ms: int
    detected_at: int | None


@dataclass(frozen=True)
class Changes:
    """What one turn asks of the spool."""

    incoming: Sequence[Incoming] = ()
    published: Sequence[tuple[int, int]] = ()
    """Ranges of positions, both ends included, that this forwarder's own publisher has proven to be in Kafka."""
    settled: Sequence[tuple[int, int]] = ()
    """Ranges of positions, both ends included, whose events were seen in the output."""
    seen: Sequence[bytes] = ()
    """Packed ids of events that were seen in the output."""
    replaced: Sequence[tuple[int, Record]] = ()
    """Rows that Kafka refuses, each with the dead letter that takes its place at the end of the spool."""
    set_aside: Sequence[tuple[int, str]] = ()
    """Positions whose rows can go nowhere (damaged, or refused even as a dead letter), each with its drop reason."""
    keep_through: int = 0
    """The position up to which rows may be in flight: a full spool never drops these."""

    @property
    def removes(self) -> bool:
        """Whether rows are to leave the spool."""
        return bool(self.published or self.settled or self.seen or self.replaced or self.set_aside)

    def without_incoming(self) -> Changes:
        """Only the removals."""
        return replace(self, incoming=())


@dataclass
class Outcome:
    """What one turn did. When `removals_pending`, nothing but drops happened and the removals must be asked again."""

    accepted: int = 0
    duplicates: int = 0
    """Events that came again while they were in the spool, or in the very turn in which they left it."""
    dropped: dict[str, int] = field(default_factory=dict)
    published: list[Settled] = field(default_factory=list)
    seen: list[Settled] = field(default_factory=list)
    replaced: int = 0
    rows_dropped: int = 0
    """How many of the dropped had been in the spool; the rest never entered it."""
    removals_pending: bool = False
    error: str = ""
    """The disk's complaint, also while the spool lives on without room to grow; empty when all is well."""

    def drop(self, reason: str, count: int) -> None:
        """Counts events that are lost for good."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def drop_rows(self, reason: str, count: int) -> None:
        """Counts rows of the spool that are lost for good."""
        self.drop(reason, count)
        self.rows_dropped += count


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same positions in as few ranges as possible, in order. Ranges include both ends."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
