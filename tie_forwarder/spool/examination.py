"""Examining a spool without a change to it: is every row sound, and what would a repair do?"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tie_forwarder.spool import database, recovery
from tie_forwarder.spool.database import pieces
from tie_forwarder.spool.glance import holder_of
from tie_forwarder.spool.salvage import Salvaged, salvage
from tie_forwarder.spool.survey import Steps, Survey, no_spool, reported

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
