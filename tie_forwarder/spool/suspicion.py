"""The suspicion that the file is damaged, kept as a file: the next start then mends the spool, whatever it looks like.

The check at start cannot find everything, and what it misses would end the process again and again. Whoever meets
damage while running, the writer or a reader in another process, leaves this note.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FILE_NAME = "suspect"


def raise_on(directory: Path, reason: str) -> None:
    """Leaves the note. Never raises: on a disk that takes nothing the damage is met again."""
    with suppress(OSError):
        (directory / FILE_NAME).write_text(reason[:1000] + "\n", errors="replace")


def is_on(directory: Path) -> bool:
    """Whether there is a note; cheap enough to be asked at every commit."""
    return os.path.exists(os.path.join(directory, FILE_NAME))  # noqa: PTH110, PTH118 - three times faster than Path


def read(directory: Path) -> str:
    """The reason of the note; empty when there is none. Never raises."""
    try:
        return (directory / FILE_NAME).read_text(errors="replace").strip() or "damage was met while running"
    except OSError:
        return ""


def clear(directory: Path) -> None:
    """Takes the note away. Raises OSError."""
    (directory / FILE_NAME).unlink(missing_ok=True)
