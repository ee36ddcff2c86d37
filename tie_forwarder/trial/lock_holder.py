"""Who holds the lock on a spool's directory, as the kernel tells in /proc/locks (proc(5)). Takes no lock itself."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tie_forwarder.spool.lock import FILE_NAME

_TABLE = Path("/proc/locks")


def holder_of(directory: Path) -> int | None:
    """The process that holds it; None where nobody does, or where that cannot be seen."""
    try:
        file = (directory / FILE_NAME).stat()
        table = _TABLE.read_text()
    except OSError:
        return None
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in table.splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and place in fields:
            return int(fields[4])
    return None


def command_of(process: int) -> str:
    """Its name; empty where it cannot be seen."""
    with suppress(OSError):
        return (Path("/proc") / str(process) / "comm").read_text().strip()
    return ""
