"""The spool: what has been accepted and is not yet proven to be in Kafka.

One writer. Everything that one turn brings (new records, what Kafka has, what Kafka refuses) goes into one
transaction, which is the accept point of the new records and the end of the settled ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.records.record import Record
from tie_forwarder.spool import database, recovery
from tie_forwarder.spool.lock import DirectoryLock
from tie_forwarder.spool.row import COLUMNS, Row, pack, unpack
from tie_forwarder.spool.set_aside import set_rows_aside

_INSERT = f"INSERT OR IGNORE INTO entry ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constants only
_RETURNED = "RETURNING position, destination, event_id, received_at_ms, detected_at"
_IDS_PER_STATEMENT = 500
_ROW_OVERHEAD_BYTES = 160
_DROPPED_AT_ONCE = 256
_FREE_PAGES_WORTH_TRIMMING = 4_096
_PAGES_TRIMMED_AT_ONCE = 512


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
        return bool(self.published or self.seen or self.replaced or self.set_aside)


@dataclass
class Outcome:
    """What one turn did. When `removals_pending`, nothing but drops happened and the removals must be asked again."""

    accepted: int = 0
    duplicates: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    published: list[Settled] = field(default_factory=list)
    seen: list[Settled] = field(default_factory=list)
    replaced: int = 0
    rows_dropped: int = 0
    """How many of the dropped had been in the spool; the rest never entered it."""
    removals_pending: bool = False
    error: str = ""
    """The disk's complaint; empty when all was written."""

    def drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


class Spool:
    """The spool's one writer. `apply` belongs to one thread; the properties may be read from any."""

    def __init__(self, *, directory: Path, max_bytes: int, drop_oldest: bool) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._drop_oldest = drop_oldest
        self._lock = DirectoryLock(directory)
        self._connection: sqlite3.Connection | None = None
        self._page_size = 4096
        self._next_position = 1
        self._events = 0
        self._bytes = 0
        self._oldest: tuple[int, int] | None = None

    @property
    def events(self) -> int:
        """How many rows are in the spool."""
        return self._events

    @property
    def bytes(self) -> int:
        """Bytes of the file that hold rows, indexes included; what `max_bytes` limits."""
        return self._bytes

    @property
    def max_bytes(self) -> int:
        """The limit."""
        return self._max_bytes

    @property
    def last_position(self) -> int:
        """The highest position that was ever given."""
        return self._next_position - 1

    @property
    def first_position(self) -> int | None:
        """The lowest position in the spool; None when it is empty."""
        return self._oldest[0] if self._oldest else None

    @property
    def oldest_received_at_ms(self) -> int | None:
        """When the first row was received, in milliseconds since the epoch; None when the spool is empty."""
        return self._oldest[1] if self._oldest else None

    def open(self) -> recovery.Recovery:
        """Takes the directory and opens the file, mending it where needed. Blocks for the disk.

        Raises ForwarderError when another process holds the directory or a newer version wrote the file, OSError and
        sqlite3.Error where the disk refuses.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._lock.acquire()
        self._connection, found = recovery.open_writer(self._directory)
        (self._page_size,) = self._connection.execute("PRAGMA page_size").fetchone()
        (self._events, highest) = self._connection.execute("SELECT count(*), max(position) FROM entry").fetchone()
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
        self._next_position = max(highest or 0, row[0] if row else 0) + 1
        self._measure()
        return found

    def close(self) -> None:
        """Closes the file and gives the directory back. What is in the spool stays in it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lock.release()

    def apply(self, changes: Changes) -> Outcome:
        """Makes all changes in one durable transaction. Blocks for the disk; never raises for a full one.

        After it returns, accepted rows survive the death of every process. When the disk is full, room is made by the
        policy; what finds none is dropped and counted, removals stay pending, and the spool goes on. A damaged file
        raises sqlite3.DatabaseError: it is mended at the next `open`.
        """
        try:
            return self._transaction(changes, make_room=False)
        except sqlite3.DatabaseError as error:
            if not database.is_disk_trouble(error):
                raise
            return self._apply_in_need(changes, error)

    def fetch(self, position: int) -> Row | None:
        """The row at a position; None when it is not there. Raises CorruptRow for a damaged one."""
        assert self._connection is not None
        raw = self._connection.execute(f"SELECT {COLUMNS} FROM entry WHERE position = ?", (position,)).fetchone()  # noqa: S608
        return None if raw is None else unpack(raw)

    def trim(self) -> None:
        """Gives free pages back to the file system, a few at a time: call it in idle turns."""
        assert self._connection is not None
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        if free > _FREE_PAGES_WORTH_TRIMMING:
            self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES_TRIMMED_AT_ONCE})").fetchall()

    def _apply_in_need(self, changes: Changes, error: sqlite3.DatabaseError) -> Outcome:
        self._checkpoint()
        attempts: list[Callable[[], Outcome]] = []
        if changes.incoming:
            attempts.append(lambda: self._transaction(changes, make_room=self._drop_oldest))
        if changes.removes:
            without = Changes(
                published=changes.published, seen=changes.seen, replaced=changes.replaced, set_aside=changes.set_aside
            )
            attempts.append(lambda: _without_incoming(self._transaction(without, make_room=False), changes))
        for attempt in attempts:
            try:
                outcome = attempt()
            except sqlite3.DatabaseError as again:
                error = again
            else:
                outcome.error = str(error)
                return outcome
        outcome = _without_incoming(Outcome(), changes)
        outcome.removals_pending = changes.removes
        outcome.error = str(error)
        return outcome

    def _checkpoint(self) -> None:
        """Moves the log into the file, so that the log's own space can be written again on a full disk."""
        assert self._connection is not None
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.DatabaseError:
            return  # a full disk may refuse this too; the attempts after it tell

    def _transaction(self, changes: Changes, *, make_room: bool) -> Outcome:
        assert self._connection is not None, "open() comes before apply()"
        connection = self._connection
        outcome = Outcome()
        next_position = self._next_position
        connection.execute("BEGIN IMMEDIATE")
        try:
            if make_room:
                self._drop_rows(outcome, "disk_full", 2 * len(changes.incoming), changes.keep_through)
            if changes.incoming:
                next_position = self._insert(changes, outcome, next_position)
            next_position = self._remove(changes, outcome, next_position)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._next_position = next_position
        removed = len(outcome.published) + len(outcome.seen) + outcome.rows_dropped
        self._events += outcome.accepted - removed
        self._measure()
        return outcome

    def _insert(self, changes: Changes, outcome: Outcome, position: int) -> int:
        assert self._connection is not None
        incoming = self._fitting(changes, outcome)
        rows = []
        for record, detected_at in incoming:
            rows.append(pack(position, record, detected_at))
            position += 1
        inserted = self._connection.executemany(_INSERT, rows).rowcount if rows else 0
        outcome.accepted = inserted
        outcome.duplicates = len(rows) - inserted
        return position

    def _fitting(self, changes: Changes, outcome: Outcome) -> Sequence[Incoming]:
        """What of the incoming finds room under the limit, after the policy has made it where it may."""
        incoming = changes.incoming
        need = sum(_size(item.record) for item in incoming)
        if self._used() + need <= self._max_bytes:
            return incoming
        if self._drop_oldest:
            while self._used() + need > self._max_bytes:
                count = max(_DROPPED_AT_ONCE, len(incoming))
                if not self._drop_rows(outcome, "spool_full", count, changes.keep_through):
                    break
        room = self._max_bytes - self._used()
        fitting = 0
        for item in incoming:
            room -= _size(item.record)
            if room < 0:
                break
            fitting += 1
        outcome.drop("spool_full", len(incoming) - fitting)
        return incoming[:fitting]

    def _remove(self, changes: Changes, outcome: Outcome, position: int) -> int:
        assert self._connection is not None
        connection = self._connection
        for first, last in changes.published:
            rows = connection.execute(f"DELETE FROM entry WHERE position BETWEEN ? AND ? {_RETURNED}", (first, last))  # noqa: S608
            outcome.published += map(Settled._make, rows.fetchall())
        for start in range(0, len(changes.seen), _IDS_PER_STATEMENT):
            ids = changes.seen[start : start + _IDS_PER_STATEMENT]
            marks = ",".join("?" * len(ids))
            rows = connection.execute(f"DELETE FROM entry WHERE event_id IN ({marks}) {_RETURNED}", ids)  # noqa: S608
            outcome.seen += map(Settled._make, rows.fetchall())
        for refused, record in changes.replaced:
            row = connection.execute(
                "DELETE FROM entry WHERE position = ? RETURNING detected_at", (refused,)
            ).fetchone()
            if row is not None:
                connection.execute(_INSERT, pack(position, record, row[0]))
                position += 1
                outcome.replaced += 1
        if changes.set_aside:
            for reason in set_rows_aside(connection, self._directory, changes.set_aside):
                outcome.drop(reason, 1)
                outcome.rows_dropped += 1
        return position

    def _drop_rows(self, outcome: Outcome, reason: str, count: int, keep_through: int) -> int:
        """Drops the oldest rows that cannot be in flight."""
        assert self._connection is not None
        oldest = "SELECT position FROM entry WHERE position > ? ORDER BY position LIMIT ?"
        statement = f"DELETE FROM entry WHERE position IN ({oldest})"  # noqa: S608 - constants only
        dropped = self._connection.execute(statement, (keep_through, count)).rowcount
        outcome.drop(reason, dropped)
        outcome.rows_dropped += dropped
        return dropped

    def _used(self) -> int:
        assert self._connection is not None
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * self._page_size

    def _measure(self) -> None:
        assert self._connection is not None
        self._bytes = self._used()
        self._oldest = self._connection.execute(
            "SELECT position, received_at_ms FROM entry ORDER BY position LIMIT 1"
        ).fetchone()


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value) + 2 for name, value in record.headers)
    return len(record.value) + headers + len(record.key or b"") + _ROW_OVERHEAD_BYTES


def _without_incoming(outcome: Outcome, changes: Changes) -> Outcome:
    outcome.drop("disk_full", len(changes.incoming))
    return outcome
