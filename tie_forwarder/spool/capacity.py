"""Capacity: which rows give way at the limit, and the reserve that lets a full disk be written again."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.spool.files import open_file
from tie_forwarder.spool.row import RawRow, row_bytes

FILE_NAME = "reserve"

_MOST_BYTES = 16 * 1024 * 1024
_FREE_BEFORE_HOLDING = 4
"""So many times the reserve must be free before it is taken, lest it fill the disk itself."""


class Reserve:
    """The reserve of one spool directory. One thread."""

    def __init__(self, *, directory: Path, spool_bytes: int) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._size = min(_MOST_BYTES, spool_bytes // 4)

    def hold(self) -> bool:
        """Sees to it that the reserve is there; false, and no reserve, where the disk has little room. Never raises."""
        try:
            with suppress(FileNotFoundError):
                found = self._path.lstat()
                if stat.S_ISREG(found.st_mode) and found.st_size == self._size:
                    return True
            disk = os.statvfs(self._directory)
            if disk.f_bavail * disk.f_frsize < _FREE_BEFORE_HOLDING * self._size:
                return False
            self._path.unlink(missing_ok=True)
            descriptor = open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Gives the room back to the disk; true when there was something to give. Never raises."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False


_SLACK_BYTES = 64 * 1024
_NEXT = (
    "SELECT position, length(value) + length(headers) + coalesce(length(key), 0) FROM entry WHERE position > ?"
    " ORDER BY position"
)


class Fit(NamedTuple):
    """What finds room."""

    rows: Sequence[RawRow]
    dropped_stored: int
    dropped_incoming: int


def used_bytes(connection: sqlite3.Connection, page_size: int) -> int:
    """Bytes of the file that hold rows, indexes included; inside a transaction, as if it were committed."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(pages - free) * page_size


def fit(
    connection: sqlite3.Connection,
    rows: Sequence[RawRow],
    *,
    limit: int,
    page_size: int,
    drop_oldest: bool,
    keep_through: int,
) -> Fit:
    """Makes room for `rows` in the open transaction. Of the stored, those at or below `keep_through` always stay.

    `drop_oldest`: the oldest stored rows give way, then the oldest of the incoming; otherwise the newest of the
    incoming. A row that is larger than the limit gives way alone. Raises sqlite3.DatabaseError.
    """
    possible = [row for row in rows if row_bytes(row) <= limit]
    need = sum(map(row_bytes, possible))
    stored = 0
    while drop_oldest and (shortage := used_bytes(connection, page_size) + need - limit) > 0:
        dropped = drop_oldest_rows(connection, shortage + _SLACK_BYTES, keep_through)
        if not dropped:
            break
        stored += dropped
    room = limit - used_bytes(connection, page_size)
    kept = []
    for row in reversed(possible) if drop_oldest else possible:
        size = row_bytes(row)
        if size <= room:
            room -= size
            kept.append(row)
    if drop_oldest:
        kept.reverse()
    return Fit(kept, stored, len(rows) - len(kept))


def drop_oldest_rows(connection: sqlite3.Connection, size: int, keep_through: int) -> int:
    """Deletes the oldest rows that cannot be in flight, `size` bytes of them or what there is; returns how many."""
    last = keep_through
    cursor = connection.execute(_NEXT, (keep_through,))
    for position, length in cursor:
        last = position
        size -= length or 0
        if size <= 0:
            break
    cursor.close()
    return connection.execute("DELETE FROM entry WHERE position > ? AND position <= ?", (keep_through, last)).rowcount
