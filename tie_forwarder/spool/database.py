"""The SQLite file of the spool: its tables, its version and how a connection to it is made.

A newer version is refused by name and never touched. `application_id` tells our file from a foreign one; both numbers
stand in the first 100 bytes of the file (SQLite file format, section 1.3), so that they are read without opening it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool.files import copy_file, open_file, refuse_links, require_regular

FILE_NAME = "spool.sqlite"
VERSION = 1
APPLICATION_ID = 0x54494546  # "TIEF"
HEADER_BYTES = 100

_MAGIC = b"SQLite format 3\x00"
_TABLES = """
CREATE TABLE entry (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    event_id BLOB NOT NULL UNIQUE,
    key BLOB,
    value BLOB NOT NULL,
    headers BLOB NOT NULL,
    received_at_ms INTEGER NOT NULL,
    detected_at INTEGER,
    crc INTEGER NOT NULL
) STRICT;
"""
_PAGES_BETWEEN_CHECKPOINTS = 2_000
_LOG_BYTES_KEPT = 16 * 1024 * 1024
_CACHE_KIB = 1_024
_DISK_CODES = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
}

Identity: TypeAlias = tuple[int, int]
"""The device and the inode of a file."""


def pieces(path: Path) -> list[Path]:
    """The file and everything that SQLite may keep beside it: the log is the second."""
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]


def identity(path: Path) -> Identity | None:
    """Which file is at `path`; None where there is none. Raises OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class FileState(Enum):
    """What stands at the path of the spool's file, judged by its first bytes alone."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"


def is_disk_trouble(error: BaseException) -> bool:
    """Whether the disk, not the file's content, is at fault: full, refusing, gone, locked or read-only."""
    if isinstance(error, OSError):
        return True
    # The low byte is the class of an extended code.
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_CODES


def look_at(path: Path) -> FileState:
    """Tells whose file stands at `path`.

    Raises ForwarderError for one that a newer version has written, and for a link, of the files beside it also.
    """
    refuse_links(pieces(path))
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return FileState.FOREIGN
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError:
        return FileState.ABSENT
    ours = int.from_bytes(header[68:72], "big") == APPLICATION_ID
    if len(header) < HEADER_BYTES or not header.startswith(_MAGIC) or not ours:
        return FileState.FOREIGN
    version = int.from_bytes(header[60:64], "big")
    if version > VERSION:
        raise ForwarderError(
            f"the spool {path} has format version {version}, and this tie-forwarder knows versions up to {VERSION}",
            remedy="install the tie-forwarder that wrote it, or move the directory away",
        )
    return FileState.OURS


def has_its_table(connection: sqlite3.Connection) -> bool:
    """Whether the table is, word for word, the one that `create` makes: no check of SQLite knows what ours must be."""
    row = connection.execute("SELECT CAST(sql AS BLOB) FROM sqlite_master WHERE name = 'entry'").fetchone()
    return row is not None and row[0] == _TABLES.strip().rstrip(";").encode()


def create(path: Path) -> None:
    """Makes an empty spool where no file is, durably; a crash may leave a part of one.

    Raises sqlite3.DatabaseError and OSError.
    """
    os.close(open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(
            f"BEGIN; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION}; {_TABLES} COMMIT;"
        )
    finally:
        connection.close()


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection. May be used on any one thread at a time. Raises sqlite3.DatabaseError."""
    connection = _connect(path, "rw", _CACHE_KIB)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_PAGES_BETWEEN_CHECKPOINTS}")
        connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES_KEPT}")
        connection.execute("BEGIN IMMEDIATE")  # a read-only file or directory says so here, not at the first event
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that leaves file and log as they are, also when it closes. Raises sqlite3.DatabaseError."""
    return _connect(path, "ro", _CACHE_KIB // 2)


@contextmanager
def onlooker(path: Path) -> Iterator[sqlite3.Connection]:
    """A reader from outside, which also works where nothing can be written, and changes nothing.

    Where there is no log, as after an orderly end, what it sees may be wrong when a writer comes at that moment. Where
    there is one and SQLite cannot make its index beside it, file and log are copied into a temporary directory. Raises
    sqlite3.DatabaseError and OSError.
    """
    log = pieces(path)[1]
    with ExitStack() as stack:
        if not log.exists():
            connection = stack.enter_context(closing(_connect(path, "ro&immutable=1", _CACHE_KIB // 2)))
        else:
            try:
                connection = stack.enter_context(closing(_connect(path, "ro", _CACHE_KIB // 2)))
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            except sqlite3.OperationalError as error:
                if not is_disk_trouble(error) or not path.exists():
                    raise
                copy = stack.enter_context(_temporary_directory()) / path.name
                for source, target in zip(pieces(path)[:2], pieces(copy)[:2], strict=True):
                    copy_file(source, target)
                connection = stack.enter_context(closing(_connect(copy, "ro", _CACHE_KIB // 2)))
        yield connection


@contextmanager
def _temporary_directory() -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            name = stack.enter_context(TemporaryDirectory(prefix="tie-forwarder-"))
        except FileNotFoundError as error:
            raise ForwarderError(
                "the log of the spool can only be read in a copy, and there is no temporary directory",
                remedy="set TMPDIR to a directory with room for the spool",
            ) from error
        yield Path(name)


def _connect(path: Path, mode: str, cache_kib: int) -> sqlite3.Connection:
    for piece in pieces(path):
        with suppress(FileNotFoundError):
            require_regular(piece, piece.lstat())
    location = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(location, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    # A damaged text would otherwise raise in the middle of a read, past every checksum.
    connection.text_factory = bytes
    connection.execute(f"PRAGMA cache_size=-{cache_kib}")
    return connection
