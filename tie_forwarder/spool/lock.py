"""The lock on the spool's directory: one daemon per directory, and the second one says who holds it."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool.database import identity
from tie_forwarder.spool.files import open_file

FILE_NAME = "lock"

_HOLDER_BYTES = 16


class DirectoryLock:
    """An advisory lock that the kernel releases when its holder dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock without waiting.

        Raises ForwarderError, naming the holder, when another process has it, and OSError as `open_file`.
        """
        descriptor = open_file(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, _HOLDER_BYTES).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise ForwarderError(
                f"the spool directory {self._path.parent} is in use by process {holder}",
                remedy="stop that process, or give this one a spool.directory of its own",
            ) from None
        # Of fixed length, so that a full disk takes it in place of the last; else only the name is missing.
        with suppress(OSError):
            os.pwrite(descriptor, str(os.getpid()).encode().ljust(_HOLDER_BYTES - 1) + b"\n", 0)
        self._descriptor = descriptor

    def lost(self) -> bool:
        """Whether another file, or none, is in the place of the locked one. Raises OSError."""
        if self._descriptor is None:
            return False
        mine = os.fstat(self._descriptor)
        return identity(self._path) != (mine.st_dev, mine.st_ino)

    def take_again(self) -> None:
        """Takes the lock in the place of one that was lost. Raises as `acquire`, and then keeps the old one."""
        old, self._descriptor = self._descriptor, None
        try:
            self.acquire()
        except BaseException:
            self._descriptor = old
            raise
        if old is not None:
            os.close(old)

    def release(self) -> None:
        """Releases the lock; the file stays, since removing it would race with the next holder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
