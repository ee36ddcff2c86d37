"""The spool: what has been accepted and is not yet proven to be in Kafka.

One writer. Everything that one turn brings (new records, what Kafka has, what Kafka refuses) goes into one
transaction, which is the accept point of the new records and the end of the settled ones.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from tie_forwarder.errors import ForwarderError
from tie_forwarder.records.record import Row
from tie_forwarder.spool import database, lock, recovery
from tie_forwarder.spool import recovery as suspicion
from tie_forwarder.spool.capacity import Reserve, drop_oldest_rows, fit, used_bytes
from tie_forwarder.spool.changes import Changes, Outcome, Settled
from tie_forwarder.spool.database import pieces
from tie_forwarder.spool.files import make_private, refuse_foreign, refuse_links
from tie_forwarder.spool.lock import DirectoryLock
from tie_forwarder.spool.row import COLUMNS, RawRow, destination_text, pack, row_bytes, unpack
from tie_forwarder.spool.set_aside import SetAsideFile

_INSERT = f"INSERT OR IGNORE INTO entry ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constants only
_RETURNED = "RETURNING position, destination, event_id, received_at_ms, detected_at"
_DELETE_RANGE = f"DELETE FROM entry WHERE position BETWEEN ? AND ? {_RETURNED}"  # noqa: S608 - constants only
_IDS_PER_STATEMENT = 500
PackedIds: TypeAlias = Sequence[bytes]
_FREE_PAGES_WORTH_TRIMMING = 4_096
_PAGES_TRIMMED_AT_ONCE = 512
_BETWEEN_RESCUES_SECONDS = 5.0
_LONGEST_BETWEEN_RESCUES_SECONDS = 300.0


class Spool:
    """The spool's one writer. `apply` belongs to one thread; the properties may be read from any."""

    def __init__(self, *, directory: Path, max_bytes: int, drop_oldest: bool) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._drop_oldest = drop_oldest
        self._lock = DirectoryLock(directory)
        self._reserve = Reserve(directory=directory, spool_bytes=max_bytes)
        self._set_aside = SetAsideFile(directory)
        self._connection: sqlite3.Connection | None = None
        self._page_size = 4096
        self._next_position = 1
        self._events = 0
        self._bytes = 0
        self._oldest: tuple[int, int] | None = None
        self._places: dict[Path, database.Identity | None] = {}
        self._rescue_after = 0.0
        self._rescue_pause = _BETWEEN_RESCUES_SECONDS
        self.displaced = ""
        """Why the open files are not in their place and no copy could be put there; empty when all is well."""

    @property
    def identity(self) -> database.Identity | None:
        """Which file a reader in another process must find; None before `open`."""
        return self._places.get(self._directory / database.FILE_NAME)

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

        Raises ForwarderError when another process holds the directory, it belongs to another user, a file in it is a
        link or a newer version wrote the file; OSError and sqlite3.Error where the disk refuses.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        refuse_foreign(self._directory)
        refuse_links([self._directory / name for name in (lock.FILE_NAME, suspicion.FILE_NAME)])
        self._lock.acquire()
        try:
            make_private(self._directory)
            connection, found = recovery.open_writer(self._directory)
            self._take(connection)
        except BaseException:
            self.close()
            raise
        self._reserve.hold()
        return found

    def look_after(self, *, on_progress: Callable[[], None], at_once: bool = False) -> recovery.Recovery | None:
        """Puts a copy of everything in the place of open files that were deleted or replaced; meant for each second.

        Returns what was done where something was. Blocks while it copies, and calls `on_progress` meanwhile. Where the
        disk refuses, `displaced` says so, the spool goes on with the files that it has open, and it is tried again some
        seconds later, or `at_once`. Raises ForwarderError where another process has locked the directory meanwhile, and
        sqlite3.DatabaseError where a reader has met damage, which the next `open` mends.
        """
        assert self._connection is not None
        try:
            reason = self._displacement()
            if reason and not at_once and time.monotonic() < self._rescue_after:
                return None
            if not reason:
                if self.displaced:
                    recovery.discard_copies(self._directory / database.FILE_NAME)
                    self.displaced, self._rescue_pause = "", _BETWEEN_RESCUES_SECONDS
                if self._lock.lost():
                    self._lock.take_again()
                if suspicion.is_on(self._directory):
                    raise sqlite3.DatabaseError(f"a reader has met damage: {suspicion.read(self._directory)}")
                return None
            return self._rescue(reason, on_progress)
        except OSError as error:
            self.displaced = f"the spool's directory cannot be used: {error}"
            return None

    def _displacement(self) -> str:
        """Which of the open files is not in its place; empty when all are."""
        for path, opened in self._places.items():
            found = database.identity(path)
            if found != opened:
                return f"{path} was {'deleted' if found is None else 'replaced'} while it was in use"
        return ""

    def _rescue(self, reason: str, on_progress: Callable[[], None]) -> recovery.Recovery | None:
        assert self._connection is not None
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            refuse_foreign(self._directory)
            if self._lock.lost():
                self._lock.take_again()
            self._require_room()
            self._reserve.release()
            connection, found = recovery.rescue(
                self._connection,
                self._directory,
                opened=self._places,
                events=self._events,
                reason=reason,
                on_progress=on_progress,
            )
        except recovery.NotReopenedError:
            raise
        except (OSError, sqlite3.Error, ForwarderError) as error:
            self.displaced = f"{reason}, and a copy could not be put there: {error}"
            # Copying gigabytes in vain, again and again, would keep the flow from receiving.
            self._rescue_after = time.monotonic() + self._rescue_pause
            self._rescue_pause = min(2 * self._rescue_pause, _LONGEST_BETWEEN_RESCUES_SECONDS)
            return None
        self._take(connection)
        self.displaced, self._rescue_pause = "", _BETWEEN_RESCUES_SECONDS
        return found

    def _require_room(self) -> None:
        """Raise OSError if the disk has no room for a copy, which would fill it and keep new events out."""
        disk = os.statvfs(self._directory)
        free = disk.f_bavail * disk.f_frsize
        if free < self._bytes:
            raise OSError(errno.ENOSPC, f"it needs {self._bytes:,} bytes, and {free:,} are free")

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
        except (sqlite3.DatabaseError, OSError) as error:
            if not database.is_disk_trouble(error):
                suspicion.raise_on(self._directory, str(error))
                raise
            return self._apply_in_need(changes, error)

    def fetch(self, position: int) -> Row | None:
        """The row at a position; None when it is not there. Raises CorruptRow for a damaged one."""
        assert self._connection is not None
        raw = self._connection.execute(f"SELECT {COLUMNS} FROM entry WHERE position = ?", (position,)).fetchone()  # noqa: S608
        return None if raw is None else unpack(raw)

    def positions_of(self, event_ids: PackedIds) -> list[int] | None:
        """The positions of those events that are in the spool; None where the disk cannot be read."""
        assert self._connection is not None
        found: list[int] = []
        try:
            for condition, ids in _by_id(event_ids):
                rows = self._connection.execute(f"SELECT position FROM entry WHERE {condition}", ids)  # noqa: S608
                found += [position for (position,) in rows]
        except sqlite3.DatabaseError as error:
            if not database.is_disk_trouble(error):
                suspicion.raise_on(self._directory, str(error))
                raise
            return None
        return found

    def trim(self) -> None:
        """Gives free pages back to the file system, a few at a time, and takes the reserve again: for idle turns."""
        assert self._connection is not None
        with suppress(sqlite3.OperationalError):  # a disk that refuses now may take it in the next idle turn
            (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            if free > _FREE_PAGES_WORTH_TRIMMING:
                self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES_TRIMMED_AT_ONCE})").fetchall()
            self._reserve.hold()

    def _apply_in_need(self, changes: Changes, error: Exception) -> Outcome:
        self._reserve.release()
        self._checkpoint()
        attempts: list[Callable[[], Outcome]] = []
        if changes.incoming:
            attempts.append(lambda: self._transaction(changes, make_room=self._drop_oldest))
        if changes.removes:
            attempts.append(lambda: _lose_incoming(self._transaction(changes.without_incoming()), changes))
        for attempt in attempts:
            try:
                outcome = attempt()
            except (sqlite3.DatabaseError, OSError) as again:
                error = again
            else:
                outcome.error = str(error)
                return outcome
        outcome = _lose_incoming(Outcome(), changes)
        outcome.removals_pending = changes.removes
        outcome.error = str(error)
        return outcome

    def _checkpoint(self) -> None:
        """Moves the log into the file, so that the log's own space can be written again on a full disk."""
        assert self._connection is not None
        with suppress(sqlite3.DatabaseError):  # a full disk may refuse this too; the attempts after it tell
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _transaction(self, changes: Changes, *, make_room: bool = False) -> Outcome:
        assert self._connection is not None, "open() comes before apply()"
        connection = self._connection
        outcome = Outcome()
        next_position = self._next_position
        connection.execute("BEGIN IMMEDIATE")
        try:
            if make_room:
                needed = sum(row_bytes(pack(1, item.record, None)) for item in changes.incoming)
                outcome.drop_rows("disk_full", drop_oldest_rows(connection, 2 * needed, changes.keep_through))
            if changes.incoming:
                next_position = self._insert(changes, outcome, next_position)
            next_position = self._remove(changes, outcome, next_position)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._set_aside.undo()
            raise
        self._set_aside.keep()
        self._next_position = next_position
        removed = len(outcome.published) + len(outcome.seen) + outcome.rows_dropped
        self._events += outcome.accepted - removed
        self._measure()
        return outcome

    def _insert(self, changes: Changes, outcome: Outcome, position: int) -> int:
        assert self._connection is not None
        rows: Sequence[RawRow] = [
            pack(position + index, record, detected_at) for index, (record, detected_at) in enumerate(changes.incoming)
        ]
        total = len(rows)
        if self._bytes + sum(map(row_bytes, rows)) > self._max_bytes:
            found = fit(
                self._connection,
                rows,
                limit=self._max_bytes,
                page_size=self._page_size,
                drop_oldest=self._drop_oldest,
                keep_through=changes.keep_through,
            )
            rows = found.rows
            outcome.drop_rows("spool_full", found.dropped_stored)
            outcome.drop("spool_full", found.dropped_incoming)
        inserted = self._connection.executemany(_INSERT, rows).rowcount if rows else 0
        outcome.accepted = inserted
        outcome.duplicates = len(rows) - inserted
        return position + total

    def _remove(self, changes: Changes, outcome: Outcome, position: int) -> int:
        assert self._connection is not None
        connection = self._connection
        for first, last in changes.published:
            outcome.published += _settled(connection.execute(_DELETE_RANGE, (first, last)))
        for first, last in changes.settled:
            outcome.seen += _settled(connection.execute(_DELETE_RANGE, (first, last)))
        for condition, ids in _by_id(changes.seen):
            statement = f"DELETE FROM entry WHERE {condition} {_RETURNED}"  # noqa: S608 - marks only
            outcome.seen += _settled(connection.execute(statement, ids))
        for refused, record in changes.replaced:
            row = connection.execute(
                "DELETE FROM entry WHERE position = ? RETURNING detected_at", (refused,)
            ).fetchone()
            if row is not None:
                connection.execute(_INSERT, pack(position, record, row[0]))
                position += 1
                outcome.replaced += 1
        if changes.set_aside:
            for reason in self._set_aside.take(connection, changes.set_aside):
                outcome.drop_rows(reason, 1)
        return position

    def _take(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        (self._page_size,) = connection.execute("PRAGMA page_size").fetchone()
        (self._events, highest) = connection.execute("SELECT count(*), max(position) FROM entry").fetchone()
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
        self._next_position = max(highest or 0, row[0] if row else 0) + 1
        self._measure()
        # The log and its index are there once something was read.
        self._places = {path: database.identity(path) for path in pieces(self._directory / database.FILE_NAME)[:3]}

    def _measure(self) -> None:
        assert self._connection is not None
        self._bytes = used_bytes(self._connection, self._page_size)
        self._oldest = self._connection.execute(
            "SELECT position, received_at_ms FROM entry ORDER BY position LIMIT 1"
        ).fetchone()


def _by_id(event_ids: PackedIds) -> Iterator[tuple[str, PackedIds]]:
    """Conditions for these ids, each with its parameters: a statement takes only so many."""
    for start in range(0, len(event_ids), _IDS_PER_STATEMENT):
        ids = event_ids[start : start + _IDS_PER_STATEMENT]
        yield f"event_id IN ({','.join('?' * len(ids))})", ids


def _settled(cursor: sqlite3.Cursor) -> list[Settled]:
    return [
        Settled(position, destination_text(destination), event_id, received_at_ms, detected_at)
        for position, destination, event_id, received_at_ms, detected_at in cursor.fetchall()
    ]


def _lose_incoming(outcome: Outcome, changes: Changes) -> Outcome:
    outcome.drop("disk_full", len(changes.incoming))
    return outcome
