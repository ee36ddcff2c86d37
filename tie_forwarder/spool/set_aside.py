"""Setting aside single rows that can neither be published nor dead-lettered: their bytes go to a file, for a person."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tie_forwarder.spool.files import open_file, sync
from tie_forwarder.spool.row import COLUMNS, RawRow, destination_text

FILE_NAME = "set-aside.ndjson"

_SELECT = f"SELECT {COLUMNS} FROM entry WHERE position = ?"  # noqa: S608 - constants only


class SetAsideFile:
    """One JSON object a line, bytes in hex. Belongs to the spool's thread."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._size_before: int | None = None

    def take(self, connection: sqlite3.Connection, rows: Sequence[tuple[int, str]]) -> list[str]:
        """Writes the rows at these positions to the file, durably, and deletes them in the open transaction.

        Returns the reasons of those that were there. Call `undo` when the transaction is rolled back; a crash in
        between leaves a row in both places, never in none. Raises OSError and sqlite3.DatabaseError.
        """
        lines: list[str] = []
        reasons: list[str] = []
        for position, reason in rows:
            raw = connection.execute(_SELECT, (position,)).fetchone()
            if raw is not None:
                lines.append(_line(raw, reason))
                reasons.append(reason)
                connection.execute("DELETE FROM entry WHERE position = ?", (position,))
        if lines:
            self._append("".join(lines).encode())
        return reasons

    def undo(self) -> None:
        """Takes back what was written since the last `keep`, so that a repetition does not repeat it. Never raises."""
        if self._size_before is not None:
            with suppress(OSError), os.fdopen(open_file(self._path, os.O_WRONLY), "wb") as file:
                file.truncate(self._size_before)
            self._size_before = None

    def keep(self) -> None:
        """The rows are gone from the spool."""
        self._size_before = None

    def _append(self, lines: bytes) -> None:
        new = not self._path.exists()
        descriptor = open_file(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            self._size_before = os.fstat(descriptor).st_size
            written = file.write(lines)
            if written != len(lines):
                raise OSError(f"{self._path}: only {written} of {len(lines)} bytes could be written")
            os.fsync(descriptor)
        if new:
            sync(self._path.parent)


def _line(raw: RawRow, reason: str) -> str:
    names = COLUMNS.split(", ")
    shown = {name: item.hex() if isinstance(item, bytes) else item for name, item in zip(names, raw, strict=True)}
    if isinstance(raw[1], bytes):
        shown["destination"] = destination_text(raw[1])
    return json.dumps({"reason": reason, **shown}) + "\n"
