"""Setting aside single rows that can neither be published nor dead-lettered: their bytes go to a file, for a person."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tie_forwarder.spool.row import COLUMNS

FILE_NAME = "set-aside.ndjson"


def set_rows_aside(connection: sqlite3.Connection, directory: Path, rows: Sequence[tuple[int, str]]) -> list[str]:
    """Writes the rows at these positions to `set-aside.ndjson`, durably, and deletes them in the open transaction.

    Returns the reasons of those that were there. A row may stand twice in the file when the transaction is rolled back
    afterwards; it is never lost.
    """
    lines: list[str] = []
    reasons: list[str] = []
    for position, reason in rows:
        row = connection.execute(f"SELECT {COLUMNS} FROM entry WHERE position = ?", (position,)).fetchone()  # noqa: S608
        if row is not None:
            shown = [item.hex() if isinstance(item, bytes) else item for item in row]
            lines.append(json.dumps({"reason": reason, **dict(zip(COLUMNS.split(", "), shown, strict=True))}))
            reasons.append(reason)
            connection.execute("DELETE FROM entry WHERE position = ?", (position,))
    with (directory / FILE_NAME).open("a", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    return reasons
