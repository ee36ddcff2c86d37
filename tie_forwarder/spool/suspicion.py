"""The suspicion that the file is damaged, kept as a file: the next start then mends the spool, whatever it looks like.

The check at start cannot find everything, and what it misses would end the process again and again. Whoever meets
damage while running, the writer or a reader in another process, leaves this note.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tie_forwarder.spool.files import open_file, read_file

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
