"""A glance at a spool from outside: what is in it and who holds it, without its lock and without a change to it.

Blocks for the disk: counting walks through an index. A writer beside it is not held up.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool import database, lock, suspicion
from tie_forwarder.spool.files import read_file
from tie_forwarder.spool.room import used_bytes

_LOCKS = Path("/proc/locks")


class Glance(NamedTuple):
    """What was seen."""

    holder: int | None
    """The process that has the spool; None when nobody has."""
    events: int | None
    """None when the file cannot be read; `trouble` says why."""
    bytes: int
    oldest_received_at_ms: int | None
    damaged: tuple[str, ...]
    """The folders with what was set aside as damaged."""
    trouble: str
    """Why the file cannot be read, or what was found to be wrong with it; empty when all is well."""


def glance(directory: Path) -> Glance:
    """Looks. Never raises: a spool that is not there is an empty one."""
    damaged = tuple(sorted(folder.name for folder in directory.glob("damaged-*")))
    holder = holder_of(directory)
    try:
        if database.look_at(directory / database.FILE_NAME) is database.FileState.ABSENT:
            return Glance(holder, 0, 0, None, damaged, "")
        with database.onlooker(directory / database.FILE_NAME) as connection:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            (events,) = connection.execute("SELECT count(*) FROM entry").fetchone()
            first = connection.execute("SELECT received_at_ms FROM entry ORDER BY position LIMIT 1").fetchone()
            size = used_bytes(connection, page_size)
    except (OSError, sqlite3.Error, ForwarderError) as error:
        return Glance(holder, None, 0, None, damaged, str(error))
    suspect = suspicion.read(directory) if suspicion.is_on(directory) else ""
    return Glance(holder, events, size, None if first is None else first[0], damaged, suspect)


def holder_of(directory: Path) -> int | None:
    """The process that has the spool. Asked of the kernel's list: a lock taken for a moment could keep a daemon out."""
    path = directory / lock.FILE_NAME
    try:
        found = path.lstat()
        named = read_file(path).decode("ascii", "replace").strip()
        lines = _LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    for line in lines:
        fields = line.split()
        if len(fields) < 6 or fields[1] != "FLOCK":
            continue
        place, _, inode = fields[5].rpartition(":")
        # Some file systems show another device there than they do to us; then the process must be the one in the file.
        if inode == str(found.st_ino) and (place == device or fields[4] == named):
            return int(fields[4])
    return None
