"""Which file system a path is on, as the kernel tells it in /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import re
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system_of(path: Path, *, table: str | None = None) -> tuple[str, str]:
    """Its kind (`ext4`, `nfs4`, `fuse.sshfs`) and where it is mounted; of two mounts in one place the later counts."""
    resolved = path.resolve()
    found, best = ("unknown", str(path)), -1
    for line in (_TABLE.read_text() if table is None else table).splitlines():
        left, _, right = line.partition(" - ")
        place = Path(_unescaped(left.split()[4]))
        if resolved.is_relative_to(place) and len(place.parts) >= best:
            found, best = (right.split()[0], str(place)), len(place.parts)
    return found


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
