"""Opening the spool whatever state it was left in: damage is set aside and counted, the readable rest is kept.

Nothing is deleted. What can be read of a damaged file is copied into a new one; only when that is complete does the
damaged file move, as found, into a folder `damaged-<time>`. A crash at any moment leaves either the damaged file or a
complete new one that the next start puts in its place. A suspicion of damage is kept as a file for the next start.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.spool import database
from tie_forwarder.spool.database import FileState, pieces
from tie_forwarder.spool.files import open_file, read_file, refuse_links, sync
from tie_forwarder.spool.salvage import salvage, salvage_open

FILE_NAME = "suspect"


def raise_on(directory: Path, reason: str) -> None:
    """Leaves the note. Never raises: on a disk that takes nothing the damage is met again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with suppress(OSError), os.fdopen(open_file(directory / FILE_NAME, flags), "wb") as file:
        file.write(f"{reason[:1000]}\n".encode(errors="replace"))


def is_on(directory: Path) -> bool:
    """Whether there is a note; cheap enough to be asked every second."""
    return os.path.lexists(os.path.join(directory, FILE_NAME))  # noqa: PTH118 - three times faster than Path


def read(directory: Path) -> str:
    """The reason of the note; empty when there is none. Never raises."""
    try:
        text = read_file(directory / FILE_NAME).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError:
        text = ""
    return text or "damage was met while running"


def clear(directory: Path) -> None:
    """Takes the note away. Raises OSError."""
    (directory / FILE_NAME).unlink(missing_ok=True)


_FULLY_CHECKED_BYTES = 64 * 1024 * 1024
_CHECKED_BYTES = 512 * 1024 * 1024
"""Above this size the file is not walked at start: damage is met while running, and mended at the start after that."""

_MENDED = ".mended"
_NEW = ".new"
_UNFINISHED = "an earlier start was ended while it mended the spool"


class Recovery(NamedTuple):
    """What was found when the spool was opened."""

    set_aside: Path | None
    """The folder that now holds the damaged file; None when there was none."""
    events_kept: int
    events_lost: int
    """Rows that could not be read, as far as the file tells."""
    reason: str


class NotReopenedError(sqlite3.DatabaseError):
    """A complete copy is on the disk but could not be opened; the next start does that."""


_SOUND = Recovery(None, 0, 0, "")


def open_writer(directory: Path) -> tuple[sqlite3.Connection, Recovery]:
    """A working connection to the spool in `directory`, made or mended as needed. Blocks for the disk.

    Raises ForwarderError for a link or a file of a newer version; OSError and sqlite3.DatabaseError where the disk
    refuses.
    """
    path = directory / database.FILE_NAME
    state = database.look_at(path)
    refuse_links(pieces(mended(path)))
    _remove_leftovers(path)
    recovery = _finish_mending(path) or _prepare(path, state)
    return database.connect_writer(path), recovery


def rescue(
    connection: sqlite3.Connection,
    directory: Path,
    *,
    opened: Mapping[Path, database.Identity | None],
    events: int,
    reason: str,
    on_progress: Callable[[], None],
) -> tuple[sqlite3.Connection, Recovery]:
    """A connection to a new file with everything that `connection` reaches; of its own files one has lost its place.

    What is found in that place is set aside; `opened` tells it from the files of `connection`, whose log would spoil
    it. Blocks for the disk. Raises OSError and sqlite3.DatabaseError if the disk refuses: `connection` still works, and
    no copy is left behind, since the next start would put it over the events that `connection` accepts from now on.
    Raises `NotReopenedError` if only the last step fails: `connection` is closed, and the next start finishes it.
    """
    path = directory / database.FILE_NAME
    try:
        new = _begun(path)
        salvaged = salvage_open(connection, new, expected=events, on_progress=on_progress)
        _complete(new, path)
        aside = _set_aside([piece for piece in pieces(path) if database.identity(piece) != opened.get(piece)])
        if salvaged.lost:
            aside = _set_aside(pieces(path)) or aside
        # In its own file's place SQLite would finish the log by name when it closes.
        for piece in pieces(path):
            piece.unlink(missing_ok=True)
    except BaseException:  # whatever it was, the copy must go
        discard_copies(path)
        raise
    connection.close()
    try:
        _put_in_place(path)
        renewed = database.connect_writer(path)
    except (OSError, sqlite3.Error) as error:
        raise NotReopenedError(f"the copy of the spool could not be opened: {error}") from error
    return renewed, Recovery(aside, salvaged.kept, salvaged.lost, reason)


def discard_copies(path: Path) -> None:
    """Remove what an attempt to copy the spool at `path` has left behind, finished or not. Raises OSError."""
    for piece in pieces(mended(path)):
        piece.unlink(missing_ok=True)
    _remove_leftovers(path)


def mended(path: Path) -> Path:
    """Where the complete new file waits for the place of the damaged one at `path`."""
    return path.with_name(path.name + _MENDED)


def reason_to_mend(directory: Path, *, thorough: bool = False) -> str:
    """Why the next start would mend the spool in `directory`; empty when it is sound, or there is none. Only reads.

    `thorough` walks through a file of any size, which may take minutes. Raises as `open_writer`.
    """
    path = directory / database.FILE_NAME
    refuse_links(pieces(mended(path)))
    if mended(path).exists():
        return _UNFINISHED
    return _fault(path, database.look_at(path), thorough=thorough)


def _prepare(path: Path, state: FileState) -> Recovery:
    reason = _fault(path, state)
    if reason:
        return _mend(path, reason)
    if state is FileState.OURS:
        return _SOUND
    for piece in pieces(path):
        piece.unlink(missing_ok=True)  # an index of nothing: no event is in it
    new = path.with_name(path.name + _NEW)
    database.create(new)
    new.rename(path)
    sync(path.parent)
    clear(path.parent)
    return _SOUND


def _fault(path: Path, state: FileState, *, thorough: bool = False) -> str:
    """What must be mended before the spool can be used; empty when nothing must."""
    if state is FileState.FOREIGN:
        empty = path.is_file() and path.stat().st_size == 0
        return "the file is empty" if empty else "the file is not a spool of tie-forwarder, or its head is lost"
    if state is FileState.OURS:
        return read(path.parent) or _damage(path, thorough=thorough)
    remains = [piece for piece in pieces(path) if piece.exists() and not piece.name.endswith("-shm")]
    return "there is a log without the file that it belongs to" if any(p.stat().st_size for p in remains) else ""


def _damage(path: Path, *, thorough: bool) -> str:
    """What is wrong with the file; empty when it is sound. Raises sqlite3.DatabaseError when it cannot be opened."""
    try:
        with database.onlooker(path) as connection:
            if not database.has_its_table(connection):
                return "the description of the table is damaged"
            size = path.stat().st_size
            if thorough or size <= _CHECKED_BYTES:
                check = "integrity_check" if thorough or size <= _FULLY_CHECKED_BYTES else "quick_check"
                verdict: bytes = connection.execute(f"PRAGMA {check}(1)").fetchone()[0]
                return "" if verdict == b"ok" else verdict.decode(errors="replace").replace("\n", " ")
            connection.execute("SELECT min(position), max(position) FROM entry").fetchone()
    except sqlite3.DatabaseError as error:
        if database.is_disk_trouble(error):
            raise
        return str(error)
    return ""


def _mend(path: Path, reason: str) -> Recovery:
    new = _begun(path)
    salvaged = salvage(path, new)
    _complete(new, path)
    return Recovery(_replace(path), salvaged.kept, salvaged.lost, reason)


def _begun(path: Path) -> Path:
    _remove_leftovers(path)
    new = path.with_name(path.name + _NEW)
    database.create(new)
    return new


def _remove_leftovers(path: Path) -> None:
    for leftover in (path.with_name(path.name + _NEW), path.with_name(path.name + _NEW + "-copy")):
        for piece in (*pieces(leftover), leftover.with_name(leftover.name + "-template")):
            piece.unlink(missing_ok=True)


def _complete(new: Path, path: Path) -> None:
    """From here on also the next start would put the new file in its place."""
    sync(new)
    new.rename(mended(path))
    sync(path.parent)


def _finish_mending(path: Path) -> Recovery | None:
    complete = mended(path)
    if not complete.exists():
        return None
    with database.onlooker(complete) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM entry").fetchone()
    return Recovery(_replace(path), kept, 0, _UNFINISHED)


def _replace(path: Path) -> Path | None:
    """Puts the complete new file in the place of the damaged one, which moves into a folder of its own."""
    aside = _set_aside(pieces(path))
    _put_in_place(path)
    return aside


def _set_aside(files: Sequence[Path]) -> Path | None:
    found = [piece for piece in files if os.path.lexists(piece)]
    if not found:
        return None
    aside = _folder(found[0].parent)
    for piece in found:
        piece.rename(aside / piece.name)
    sync(aside)
    return aside


def _put_in_place(path: Path) -> None:
    mended(path).rename(path)
    clear(path.parent)
    sync(path.parent)


def _folder(directory: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    number = 0
    while True:
        folder = directory / (f"damaged-{stamp}" + (f"-{number}" if number else ""))
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return folder
