"""Inspecting a spool from outside, beside its daemon or without one. Only reads.

`glance` is cheap and needs no lock, `Survey` reads every row, `examine` verifies every row and says what a repair does.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from tie_forwarder.errors import ForwarderError
from tie_forwarder.records.record import Row
from tie_forwarder.spool import database, lock, recovery
from tie_forwarder.spool.capacity import used_bytes
from tie_forwarder.spool.database import FileState, pieces
from tie_forwarder.spool.files import read_file
from tie_forwarder.spool.reader import read_page
from tie_forwarder.spool.row import COLUMNS, CorruptRow, destination_text, pack_id, unpack
from tie_forwarder.spool.salvage import Salvaged, expected_rows, readable_rows, salvage

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
    suspect = recovery.read(directory) if recovery.is_on(directory) else ""
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


_COPIES = 2
"""So many times the file finds room for the rehearsal: the rows, and a copy where the head of the file is lost."""


class Examination(NamedTuple):
    """What was found."""

    holder: int | None
    """The process that has the spool; None when nobody has."""
    structure: str
    """What is wrong with the file as a whole; empty when it is sound."""
    sound: int | None
    """Events whose checksum fits; None where a damaged file was not tried, for want of room or a directory."""
    unreadable: int | None
    """Events that cannot be read, as far as the file tells; the damaged rows of a sound file among them."""
    corrupt: tuple[int, ...]
    """Positions of damaged rows in a file that is sound as a whole."""
    by_destination: dict[str, int]
    """The sound events of a sound file by their destination."""

    @property
    def is_sound(self) -> bool:
        """Whether there is nothing to repair."""
        return not self.structure and not self.corrupt


def examine(directory: Path, *, steps: Steps) -> Examination:
    """Verifies the structure of the file and the checksum of every row. Blocks for as long as the disk takes.

    A damaged file is tried in a temporary directory, so the figures are those that a repair would have. Beside a daemon
    its log grows meanwhile. Raises ForwarderError where there is no spool, or it is unreadable or newer.
    """
    holder = holder_of(directory)
    with reported(directory):
        present = any(
            os.path.lexists(piece) for piece in (*pieces(_file(directory)), recovery.mended(_file(directory)))
        )
        if not present:
            raise no_spool(directory)
        steps.begin("checking the structure", 1)
        fault = recovery.reason_to_mend(directory, thorough=True)
        steps.left(0)
        if fault:
            found = _rehearsed(directory)
            if found is None:
                return Examination(holder, fault, None, None, (), {})
            return Examination(holder, fault, found.kept, found.lost, (), {})
    with Survey(directory, steps=steps) as survey:
        counts = Counter(row.record.destination for row in survey.rows("checking every event"))
    if survey.trouble:
        return Examination(holder, survey.trouble, counts.total(), survey.unreachable + len(survey.corrupt), (), {})
    return Examination(holder, "", counts.total(), len(survey.corrupt), tuple(survey.corrupt), dict(counts))


def _rehearsed(directory: Path) -> Salvaged | None:
    """What a repair would keep and lose; None where there is no room to try it, or no temporary directory."""
    path = _file(directory)
    mended = recovery.mended(path)
    if mended.exists():
        with database.onlooker(mended) as connection:
            (kept,) = connection.execute("SELECT count(*) FROM entry").fetchone()
        return Salvaged(kept, 0)
    size = sum(piece.stat().st_size for piece in pieces(path) if piece.is_file())
    # What fails here is the temporary directory, or there is none: salvage raises for the new file alone.
    with suppress(OSError, sqlite3.Error), TemporaryDirectory(prefix="tie-forwarder-") as name:
        if shutil.disk_usage(name).free >= _COPIES * size:
            new = Path(name) / database.FILE_NAME
            database.create(new)
            return salvage(path, new)
    return None


def _file(directory: Path) -> Path:
    return directory / database.FILE_NAME
