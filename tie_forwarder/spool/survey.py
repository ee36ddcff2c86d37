"""Reading a whole spool from outside, beside its daemon or without one: nothing is written, not even a suspicion.

Rows come in short transactions, so that a daemon's checkpoints are not held up. Where the structure of the file is
damaged, what can still be reached comes after what came in order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool import database
from tie_forwarder.spool.database import FileState
from tie_forwarder.spool.reader import read_page
from tie_forwarder.spool.row import COLUMNS, CorruptRow, Row, destination_text, pack_id, unpack
from tie_forwarder.spool.salvage import expected_rows, readable_rows

_ROWS_AT_ONCE = 500
_BY_ID = f"SELECT {COLUMNS} FROM entry WHERE event_id = ?"  # noqa: S608 - constants only
_EXTENT = "SELECT count(*), coalesce(min(position), 0), coalesce(max(position), 0) FROM entry"
_DESTINATIONS = "SELECT destination, count(*) FROM entry GROUP BY destination ORDER BY destination"
_TIMES = "SELECT min(received_at_ms), max(received_at_ms) FROM entry"


class Steps(Protocol):
    """Who is shown how far it is."""

    def begin(self, what: str, total: int) -> None:
        """A new step, of so many pieces."""

    def left(self, count: int) -> None:
        """So many pieces of the step are left."""


class Unwatched:
    """Steps that nobody watches."""

    def begin(self, what: str, total: int) -> None:
        """Nothing."""

    def left(self, count: int) -> None:
        """Nothing."""


class Contents(NamedTuple):
    """What is in a spool, by its own count."""

    by_destination: dict[str, int]
    first_position: int
    """0 when it is empty, as the last one."""
    last_position: int
    oldest_received_at_ms: int | None
    newest_received_at_ms: int | None


class Survey:
    """A spool, opened for reading; a context manager. Each method may block for the disk and raises ForwarderError."""

    def __init__(self, directory: Path, *, steps: Steps) -> None:
        self._directory = directory
        self._steps = steps
        self._connection: sqlite3.Connection | None = None
        self._opened = ExitStack()
        self.corrupt: list[int] = []
        """Positions of the damaged rows that `rows` has met."""
        self.unreachable = 0
        """How many rows `rows` could not reach, as far as the file tells."""
        self.trouble = ""
        """What is wrong with the file's structure, once `rows` has met it."""

    def __enter__(self) -> Survey:
        path = self._directory / database.FILE_NAME
        with ExitStack() as stack, reported(self._directory):
            state = database.look_at(path)
            if state is FileState.ABSENT:
                raise no_spool(self._directory)
            if state is FileState.FOREIGN:
                raise ForwarderError(
                    f"{path} is no spool of tie-forwarder, or its head is lost",
                    remedy="`tie-forwarder spool check` says what can be saved of it",
                )
            self._connection = stack.enter_context(database.onlooker(path))
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
        self._connection = None

    def contents(self) -> Contents:
        """What is in it. Walks through the file once."""
        with reported(self._directory):
            source = self._source()
            _, first, last = source.execute(_EXTENT).fetchone()
            oldest, newest = source.execute(_TIMES).fetchone()
            rows = source.execute(_DESTINATIONS).fetchall()
        return Contents({destination_text(name): count for name, count in rows}, first, last, oldest, newest)

    def rows(self, what: str) -> Iterator[Row]:
        """Every sound row that was there when it began, in order as far as the structure is sound, each once.

        `what` says to the user what is being done. Afterwards `corrupt`, `unreachable` and `trouble` tell the rest.
        """
        with reported(self._directory):
            try:
                yield from self._in_order(what)
            except sqlite3.DatabaseError as error:
                if database.is_disk_trouble(error):
                    raise
                self.trouble = str(error)
                yield from self._the_rest()

    def row(self, event_id: str) -> Row | None:
        """The row of an event; None when it is not there, or damaged."""
        with reported(self._directory):
            raw = self._source().execute(_BY_ID, (pack_id(event_id),)).fetchone()
        with suppress(CorruptRow):
            return None if raw is None else unpack(raw)
        return None

    def _in_order(self, what: str) -> Iterator[Row]:
        source = self._source()
        self._after = self._seen = 0
        total, _, through = source.execute(_EXTENT).fetchone()
        self._steps.begin(what, total)
        while True:
            page = read_page(source, after=self._after, through=through, limit=_ROWS_AT_ONCE)
            if page.last_position == self._after:
                return
            self.corrupt += page.corrupt
            self._after = page.last_position
            self._seen += len(page.rows) + len(page.corrupt)
            yield from page.rows
            self._steps.left(max(0, total - self._seen))

    def _the_rest(self) -> Iterator[Row]:
        found: set[int] = set()
        source = self._source()
        for row in readable_rows(source):
            if row.position > self._after and row.position not in found:
                found.add(row.position)
                yield row
        self.unreachable = max(0, expected_rows(source) - self._seen - len(found))

    def _source(self) -> sqlite3.Connection:
        assert self._connection is not None, "a survey is a context manager"
        return self._connection


def no_spool(directory: Path) -> ForwarderError:
    """Says that there is none."""
    return ForwarderError(
        f"there is no spool in {directory}", remedy="see spool.directory, or name another one with --directory"
    )


@contextmanager
def reported(directory: Path) -> Iterator[None]:
    """What the disk or the file refuses becomes a ForwarderError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        remedy = "check the disk, and the rights of this user on the directory"
        raise ForwarderError(f"the spool in {directory} cannot be read: {error}", remedy=remedy) from error
