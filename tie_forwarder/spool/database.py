"""The SQLite file of the spool: its tables, its version and how a connection to it is made.

A newer version is refused by name and never touched. `application_id` tells our file from a foreign one; both numbers
stand in the first 100 bytes of the file (SQLite file format, section 1.3), so that they are read without opening it.
"""

from __future__ import annotations

import sqlite3
from enum import Enum
from pathlib import Path

from tie_forwarder.errors import ForwarderError

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
    """Tells whose file stands at `path`. Raises ForwarderError for one that a newer version has written."""
    if path.is_dir():
        return FileState.FOREIGN
    try:
        with path.open("rb") as file:
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
    """Makes an empty spool, durably; a crash may leave a part of one. Raises sqlite3.DatabaseError."""
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
    path.chmod(0o640)


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


def connect_onlooker(path: Path) -> sqlite3.Connection:
    """A reader that makes no file of its own where there is no log to read, as after an orderly end.

    What it sees may be wrong where a writer comes at that moment. Raises sqlite3.DatabaseError.
    """
    log = path.with_name(path.name + "-wal")
    return _connect(path, "ro" if log.exists() else "ro&immutable=1", _CACHE_KIB // 2)


def _connect(path: Path, mode: str, cache_kib: int) -> sqlite3.Connection:
    location = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(location, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    # A damaged text would otherwise raise in the middle of a read, past every checksum.
    connection.text_factory = bytes
    connection.execute(f"PRAGMA cache_size=-{cache_kib}")
    return connection
