"""Repairing a spool that no daemon has: the same as at a start, more thorough, and nothing is ever deleted.

A damaged file moves into a folder `damaged-<time>` beside the new one; damaged rows of a sound file move into
`set-aside.ndjson`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool import database, recovery
from tie_forwarder.spool import recovery as suspicion
from tie_forwarder.spool.database import pieces
from tie_forwarder.spool.files import refuse_foreign, refuse_links
from tie_forwarder.spool.inspect import Steps, no_spool, reported
from tie_forwarder.spool.lock import DirectoryLock
from tie_forwarder.spool.reader import read_page
from tie_forwarder.spool.salvage import HIGHEST_POSITION
from tie_forwarder.spool.set_aside import SetAsideFile

_ROWS_AT_ONCE = 500


class Repaired(NamedTuple):
    """What was done."""

    recovery: recovery.Recovery
    """Of the file as a whole; its `set_aside` is None when it was sound."""
    rows_set_aside: int
    """Damaged rows that are now in the file of what was set aside."""
    events: int
    """What is in the spool now."""


def repair(directory: Path, *, steps: Steps) -> Repaired:
    """Makes the spool sound. Blocks for as long as the disk takes.

    Raises ForwarderError, with nothing changed, when a process holds the spool, there is none, a newer version wrote it
    or it belongs to another user; and where the disk refuses.
    """
    path = directory / database.FILE_NAME
    with reported(directory):
        found = [piece for piece in (*pieces(path), recovery.mended(path)) if os.path.lexists(piece)]
        if not found:
            raise no_spool(directory)
        refuse_foreign(directory)
        refuse_links(found)
        _refuse_for_another_user(found[0])
        database.look_at(path)  # a newer version's directory is not even locked
        lock = _locked(directory)
        try:
            return _repair(directory, steps)
        finally:
            lock.release()


def _repair(directory: Path, steps: Steps) -> Repaired:
    steps.begin("checking the structure", 1)
    fault = recovery.reason_to_mend(directory, thorough=True)
    if fault:
        # What opens the file looks less closely at a large one: the note makes it mend.
        suspicion.raise_on(directory, fault)
    connection, found = recovery.open_writer(directory)
    steps.left(0)
    with closing(connection):
        rows_set_aside = _set_aside_rows(connection, directory, steps)
        (events,) = connection.execute("SELECT count(*) FROM entry").fetchone()
    return Repaired(found, rows_set_aside, events)


def _set_aside_rows(connection: sqlite3.Connection, directory: Path, steps: Steps) -> int:
    (left,) = connection.execute("SELECT count(*) FROM entry").fetchone()
    steps.begin("checking every event", left)
    corrupt: list[int] = []
    after = 0
    while True:
        page = read_page(connection, after=after, through=HIGHEST_POSITION, limit=_ROWS_AT_ONCE)
        if page.last_position == after:
            break
        after = page.last_position
        corrupt += page.corrupt
        left -= len(page.rows) + len(page.corrupt)
        steps.left(max(0, left))
    return sum(
        _take(connection, directory, corrupt[first : first + _ROWS_AT_ONCE])
        for first in range(0, len(corrupt), _ROWS_AT_ONCE)
    )


def _take(connection: sqlite3.Connection, directory: Path, positions: Sequence[int]) -> int:
    """Moves these rows into the file of what was set aside, all of them or none."""
    file = SetAsideFile(directory)
    connection.execute("BEGIN IMMEDIATE")
    try:
        taken = file.take(connection, [(position, "corrupt") for position in positions])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        file.undo()
        raise
    file.keep()
    return len(taken)


def _locked(directory: Path) -> DirectoryLock:
    lock = DirectoryLock(directory)
    try:
        lock.acquire()
    except ForwarderError as error:
        remedy = "stop it first; a forwarder that meets damage mends its spool by itself when it starts again"
        raise ForwarderError(error.message, remedy=remedy) from None
    return lock


def _refuse_for_another_user(path: Path) -> None:
    """Files that root or another user had made could not be opened by the daemon."""
    owner = path.lstat().st_uid
    if owner != os.geteuid():
        remedy = f"run this as that user: sudo -u '#{owner}' tie-forwarder spool repair"
        raise ForwarderError(f"{path} belongs to user {owner}, and this is user {os.geteuid()}", remedy=remedy)
