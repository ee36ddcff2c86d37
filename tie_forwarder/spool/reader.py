"""Reading the spool in order, beside its writer: what the publisher process does with the file."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.records.record import Row
from tie_forwarder.spool import database, recovery
from tie_forwarder.spool.row import COLUMNS, CorruptRow, unpack

_PAGE_BYTES = 8 * 1024 * 1024
_SELECT = f"SELECT {COLUMNS} FROM entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"  # noqa: S608

_EARLIEST = (
    "SELECT max(position), min(received_at_ms) FROM"
    " (SELECT position, received_at_ms FROM entry WHERE position > ? ORDER BY position LIMIT ?)"
)
_ROWS_PER_LOOK = 10_000


class Page(NamedTuple):
    """Some rows in order of position, and the positions between them whose rows are damaged."""

    rows: list[Row]
    corrupt: list[int]
    last_position: int
    """Where the next read goes on; equal to the `after` of this read when nothing was there."""


class Reader:
    """Reads rows in short transactions, so that the writer's checkpoints are never held up. One thread at a time."""

    def __init__(self, directory: Path, *, identity: database.Identity | None = None) -> None:
        """`identity` is the file that the writer has open; None where any file will do."""
        self._directory = directory
        self._identity = identity
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Opens the file. Raises sqlite3.DatabaseError or OSError when it is not there, not readable or another one."""
        path = self._directory / database.FILE_NAME
        before = database.identity(path)
        self._connection = database.connect_reader(path)
        if self._identity is not None and {before, database.identity(path)} != {self._identity}:
            # Its positions mean other events: what is published of it would remove those of the writer.
            raise OSError(errno.ESTALE, "it is not the file that the writer has open", str(path))

    def close(self) -> None:
        """Closes the file; it can be opened again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def oldest(self) -> tuple[int, int] | None:
        """Position and time of receipt (milliseconds since the epoch) of the first row; None for an empty spool."""
        assert self._connection is not None, "open() comes before oldest()"
        statement = "SELECT position, received_at_ms FROM entry ORDER BY position LIMIT 1"
        row = self._connection.execute(statement).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def earliest_received_at_ms(self, *, on_progress: Callable[[], None]) -> int | None:
        """The earliest time of receipt of any row; None for an empty spool.

        It is that of the first row, unless the clock was set back while events waited. Reads the whole file, in short
        transactions between which it calls `on_progress`: a large file on a slow disk takes minutes.
        """
        assert self._connection is not None, "open() comes before earliest_received_at_ms()"
        earliest, position = None, 0
        while True:
            last, found = self._connection.execute(_EARLIEST, (position, _ROWS_PER_LOOK)).fetchone()
            if last is None:
                return earliest
            position, earliest = int(last), int(found) if earliest is None else min(earliest, int(found))
            on_progress()

    def read(self, *, after: int, through: int, limit: int) -> Page:
        """At most `limit` rows with after < position <= through, fewer when they are large. Blocks for the disk.

        A row whose content is damaged is told in `corrupt`. Where the file's structure is damaged it raises
        sqlite3.DatabaseError, and the writer hears of it and ends, to mend the file at its next start.
        """
        assert self._connection is not None, "open() comes before read()"
        try:
            return read_page(self._connection, after=after, through=through, limit=limit)
        except sqlite3.DatabaseError as error:
            if not database.is_disk_trouble(error):
                recovery.raise_on(self._directory, str(error))
            raise


def read_page(connection: sqlite3.Connection, *, after: int, through: int, limit: int) -> Page:
    """The same over any connection, and without a word to the writer. Raises sqlite3.DatabaseError."""
    rows: list[Row] = []
    corrupt: list[int] = []
    position, size = after, 0
    with closing(connection.execute(_SELECT, (after, through, limit))) as cursor:
        for raw in cursor:
            position = raw[0]
            try:
                row = unpack(raw)
            except CorruptRow:
                corrupt.append(position)
                continue
            rows.append(row)
            size += len(row.record.value) + len(raw[5])
            if size >= _PAGE_BYTES:
                break
    return Page(rows, corrupt, position)
