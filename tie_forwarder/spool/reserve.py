"""Room on the disk that is kept for the day on which there is none.

A full disk refuses even the removal of rows, because SQLite writes a log first. The reserve is a file of plain length;
giving it up lets the log be moved into the spool's file, after which both can be written again within their own space.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from tie_forwarder.spool.files import open_file

FILE_NAME = "reserve"

_MOST_BYTES = 16 * 1024 * 1024
_FREE_BEFORE_HOLDING = 4
"""So many times the reserve must be free before it is taken, lest it fill the disk itself."""


class Reserve:
    """The reserve of one spool directory. One thread."""

    def __init__(self, *, directory: Path, spool_bytes: int) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._size = min(_MOST_BYTES, spool_bytes // 4)

    def hold(self) -> bool:
        """Sees to it that the reserve is there; false, and no reserve, where the disk has little room. Never raises."""
        try:
            with suppress(FileNotFoundError):
                found = self._path.lstat()
                if stat.S_ISREG(found.st_mode) and found.st_size == self._size:
                    return True
            disk = os.statvfs(self._directory)
            if disk.f_bavail * disk.f_frsize < _FREE_BEFORE_HOLDING * self._size:
                return False
            self._path.unlink(missing_ok=True)
            descriptor = open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Gives the room back to the disk; true when there was something to give. Never raises."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False
