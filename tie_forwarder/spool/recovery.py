"""Opening the spool whatever state it was left in: damage is set aside and counted, the readable rest is kept.

Nothing is ever deleted here. A file that is damaged or not ours is moved into a folder `damaged-<time>` beside it, and
what can be read of it is copied into a new file, row by row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.spool import database
from tie_forwarder.spool.row import COLUMNS, CorruptRow, RawRow, unpack

_CHECKED_BYTES = 1024 * 1024 * 1024
"""Above this size the structure is not walked at start: rows are proven one by one as they are read."""

_INSERT = f"INSERT OR IGNORE INTO entry ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constants only


class Recovery(NamedTuple):
    """What was found when the spool was opened."""

    set_aside: Path | None
    """The folder that now holds the damaged file; None when there was no damage."""
    events_kept: int
    events_lost: int
    """Rows that could not be read, as far as the gaps between positions tell."""
    reason: str


def open_writer(directory: Path) -> tuple[sqlite3.Connection, Recovery]:
    """A working connection to the spool in `directory`, made or mended as needed. Blocks for the disk.

    Raises ForwarderError for a file of a newer version, OSError and sqlite3.OperationalError where the disk refuses.
    """
    path = directory / database.FILE_NAME
    state = database.look_at(path)
    recovery = Recovery(None, 0, 0, "")
    if state is database.FileState.FOREIGN:
        recovery = Recovery(_set_aside(path), 0, 0, "the file is not a spool of tie-forwarder")
        state = database.FileState.ABSENT
    if state is database.FileState.ABSENT:
        if path.exists():
            _set_aside(path)
        _remove_remains(path)
        database.create(path)
    else:
        reason = _damage(path)
        if reason:
            recovery = _salvage(path, reason)
    return database.connect_writer(path), recovery


def _damage(path: Path) -> str:
    """What is wrong with the file's structure; empty when it is sound."""
    try:
        with closing(database.connect_writer(path)) as connection:
            connection.execute("SELECT min(position), max(position), count(*) FROM entry").fetchone()
            if path.stat().st_size <= _CHECKED_BYTES:
                verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if verdict != "ok":
                    return verdict.replace("\n", " ")
            return ""
    except sqlite3.DatabaseError as error:
        if database.is_disk_trouble(error):
            raise
        return str(error)


def _salvage(path: Path, reason: str) -> Recovery:
    aside = _set_aside(path)
    database.create(path)
    kept, last, first = 0, 0, None
    with closing(database.connect_writer(path)) as target:
        target.execute("BEGIN IMMEDIATE")
        for raw in _readable_rows(aside / path.name):
            kept += target.execute(_INSERT, raw).rowcount
            first = raw[0] if first is None else min(first, raw[0])
            last = max(last, raw[0])
        target.execute("COMMIT")
    span = last - first + 1 if first is not None else 0
    return Recovery(aside, kept, max(0, span - kept), reason)


def _readable_rows(path: Path) -> Iterator[RawRow]:
    """Every row of a damaged file that can be reached and whose checksum fits, each once."""
    seen: set[int] = set()
    for order in ("position ASC", "position DESC", "event_id ASC"):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as source:
                for raw in source.execute(f"SELECT {COLUMNS} FROM entry ORDER BY {order}"):  # noqa: S608
                    if raw[0] in seen or not _fits(raw):
                        continue
                    seen.add(raw[0])
                    yield raw
        except sqlite3.DatabaseError:
            continue  # the walk ends at the damage; the next one comes from another side


def _fits(raw: RawRow) -> bool:
    try:
        unpack(raw)
    except CorruptRow:
        return False
    return True


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    number = 0
    while True:
        aside = path.parent / (f"damaged-{stamp}" + (f"-{number}" if number else ""))
        try:
            aside.mkdir()
            break
        except FileExistsError:
            number += 1
    for piece in _pieces(path):
        if piece.exists():
            piece.rename(aside / piece.name)
    return aside


def _remove_remains(path: Path) -> None:
    """A log without its file belongs to nothing; SQLite would apply it to the new file."""
    for piece in _pieces(path)[1:]:
        if piece.exists():
            _set_aside(path)
            return


def _pieces(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]
