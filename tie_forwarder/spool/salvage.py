"""Reading what is left of a damaged spool: every row that can be reached and whose checksum fits, each once.

The damaged file is only read. SQLite reaches the rows behind a damaged page when it is asked for them by position, so
the unreadable stretch between two rows is halved until nothing of it is left or the attempts are used up.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.errors import ForwarderError
from tie_forwarder.records.record import Row
from tie_forwarder.spool import database
from tie_forwarder.spool.database import pieces
from tie_forwarder.spool.files import copy_file, sync
from tie_forwarder.spool.row import COLUMNS, CorruptRow, RawRow, destination_text, unpack

HIGHEST_POSITION = 2**62
"""No spool ever gets there; a higher number is damage."""

_PAGE_BYTES = 4096
_FAILED_READS = 20_000
_ROWS_BETWEEN_SIGNS = 1_000
_SIGNS_BETWEEN_SYNCS = 50
_INSERT = f"INSERT OR IGNORE INTO entry ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constants only
_COUNTS = (
    "SELECT count(*) FROM entry INDEXED BY sqlite_autoindex_entry_1",
    "SELECT count(*) FROM entry NOT INDEXED",
)


class Salvaged(NamedTuple):
    """How much was readable."""

    kept: int
    lost: int
    """By the file's own count of its rows where that can be read, by the gaps between positions otherwise."""


def salvage(damaged: Path, new: Path) -> Salvaged:
    """Copies the readable rows of `damaged` into `new`, an empty spool, durably when `new` is closed and synced.

    When the file cannot be read at all, a copy of it with a new first page is read. Raises OSError and
    sqlite3.DatabaseError for `new` alone.
    """
    with _written(new) as target, ExitStack() as stack:
        source = None
        with suppress(sqlite3.DatabaseError, OSError, ForwarderError):
            source = stack.enter_context(database.onlooker(damaged))
        salvaged = copy_rows(source, target)
        if not salvaged.kept:
            repaired = _repaired_copy(damaged, new)
            source = None
            try:
                with suppress(sqlite3.DatabaseError, OSError, ForwarderError):
                    source = stack.enter_context(database.onlooker(repaired))
                salvaged = copy_rows(source, target)
            finally:
                for piece in pieces(repaired):
                    piece.unlink(missing_ok=True)
    return salvaged


def salvage_open(source: sqlite3.Connection, new: Path, *, expected: int, on_progress: Callable[[], None]) -> Salvaged:
    """The same from a connection, whose file may have no name any more; `on_progress` is called now and then."""
    calls = 0

    def progress() -> None:
        nonlocal calls
        calls += 1
        if not calls % _SIGNS_BETWEEN_SYNCS:
            sync(new)  # else the last one could take longer than a stalled thread is given
        on_progress()

    with _written(new) as target:
        return copy_rows(source, target, expected=expected, on_progress=progress)


def readable_rows(source: sqlite3.Connection) -> Iterator[Row]:
    """Every row that can be reached and whose checksum fits, in no order, and some of them twice. Never raises."""
    return (unpack(raw) for raw in _rows(source, _sequence(source)))


def expected_rows(source: sqlite3.Connection) -> int:
    """How many rows there are by the file's own count; 0 where it cannot be read."""
    return _expected(source)


@contextmanager
def _written(new: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(new, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode=OFF")
        target.execute("PRAGMA synchronous=OFF")  # the caller syncs the file once
        yield target


def copy_rows(
    source: sqlite3.Connection | None,
    target: sqlite3.Connection,
    *,
    expected: int = 0,
    on_progress: Callable[[], None] = lambda: None,
) -> Salvaged:
    """Copies what can be read of `source`; nothing where there is none. Raises sqlite3.DatabaseError for `target`.

    `expected` is how many rows there are; 0 where the file must be asked.
    """
    kept, first, last, sequence = 0, 0, 0, 0
    target.execute("BEGIN IMMEDIATE")
    if source is not None:
        sequence = _sequence(source)
        expected = expected or _expected(source)
        for raw in _rows(source, sequence):
            bound = (raw[0], destination_text(bytes(raw[1])), *raw[2:])  # type: ignore[arg-type]
            kept += target.execute(_INSERT, bound).rowcount
            first = min(first or raw[0], raw[0])
            last = max(last, raw[0])
            if not kept % _ROWS_BETWEEN_SIGNS:
                on_progress()
    target.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'entry', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence)"
    )
    target.execute("UPDATE sqlite_sequence SET seq = ?", (max(last, sequence),))
    target.execute("COMMIT")
    if not expected and kept:
        expected = last - first + 1
    return Salvaged(kept, max(0, expected - kept))


def _sequence(source: sqlite3.Connection) -> int:
    """The highest position that was ever given, as far as it can be read and believed."""
    highest = 0
    for statement in ("SELECT seq FROM sqlite_sequence WHERE name = 'entry'", "SELECT max(position) FROM entry"):
        with suppress(sqlite3.DatabaseError):
            row = source.execute(statement).fetchone()
            if row and isinstance(row[0], int) and 0 < row[0] < HIGHEST_POSITION:
                highest = max(highest, row[0])
    return highest


def _expected(source: sqlite3.Connection) -> int:
    counts = [0]
    for statement in _COUNTS:
        with suppress(sqlite3.DatabaseError):
            counts.append(source.execute(statement).fetchone()[0])
    return max(counts)


def _rows(source: sqlite3.Connection, sequence: int) -> Iterator[RawRow]:
    failed = 0
    stretches = deque([(0, HIGHEST_POSITION)])
    while stretches and failed < _FAILED_READS:
        low, high = stretches.popleft()
        for order in ("ASC", "DESC"):
            last = None
            try:
                for raw in source.execute(
                    f"SELECT {COLUMNS} FROM entry WHERE position > ? AND position < ? ORDER BY position {order}",  # noqa: S608
                    (low, high),
                ):
                    last = raw[0]
                    if _fits(raw):
                        yield raw
                low = high
                break
            except sqlite3.DatabaseError:
                failed += 1
                if last is not None:
                    low, high = (max(low, last), high) if order == "ASC" else (low, min(high, last))
        if high == HIGHEST_POSITION and low < sequence:
            high = sequence + 1
        if high - low > 1:
            middle = (low + high) // 2
            stretches += [(low, middle), (middle - 1, high)] if high - low > 2 else []


def _fits(raw: RawRow) -> bool:
    try:
        unpack(raw)
    except CorruptRow:
        return False
    return True


def _repaired_copy(damaged: Path, new: Path) -> Path:
    """A copy with the first page of a new spool, which is the same in all of them."""
    copy = new.with_name(new.name + "-copy")
    for source, target in zip(pieces(damaged)[:2], pieces(copy)[:2], strict=True):
        if source.is_file():
            copy_file(source, target)
    template = new.with_name(new.name + "-template")
    database.create(template)
    first_page = bytearray(template.read_bytes()[:_PAGE_BYTES])
    template.unlink()
    size = copy.stat().st_size if copy.exists() else 0
    first_page[28:32] = (size // _PAGE_BYTES).to_bytes(4, "big")
    first_page[18:20] = b"\x02\x02"  # read with its log
    with copy.open("r+b" if size else "w+b") as file:
        file.write(first_page)
    return copy
