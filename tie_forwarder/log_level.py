"""The log level at run time: a wish that is left in the spool directory, which the daemon takes within a second.

A file is the simplest channel that nobody else can use: only the daemon's user and root may write into that directory.
The daemon removes the file as it takes it, which is its answer.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tie_forwarder.errors import ForwarderError
from tie_forwarder.log import LEVELS

FILE_NAME = "log-level"

_LONGEST = 16
_LOOK_AGAIN_SECONDS = 0.05


def ask(directory: Path, level: str, *, patience_seconds: float) -> bool:
    """Leaves the wish and waits until it is taken; false, and the wish withdrawn, when it is not in time.

    Raises ForwarderError where this user may not leave one.
    """
    path = directory / FILE_NAME
    new = directory / f"{FILE_NAME}.{os.getpid()}"
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{level}\n")
            os.fchmod(descriptor, 0o644)  # root's, too, must be readable for the daemon
        new.rename(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        remedy = "run this as the user that the daemon runs as, or as root"
        raise ForwarderError(f"{path} cannot be written: {error.strerror}", remedy=remedy) from error
    deadline = time.monotonic() + patience_seconds
    while path.exists():
        if time.monotonic() >= deadline:
            path.unlink(missing_ok=True)
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True


def take(directory: Path, *, allowed: Callable[[int], bool] = lambda user: user in {0, os.geteuid()}) -> str | None:
    """The level that is wished for; None where there is no wish, or none that counts. Takes it away. Never raises.

    `allowed` judges the user whose file it is.
    """
    path = os.path.join(directory, FILE_NAME)  # noqa: PTH118 - asked five times a second: three times faster than Path
    if not os.path.lexists(path):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            text = os.read(descriptor, _LONGEST) if stat.S_ISREG(found.st_mode) and allowed(found.st_uid) else b""
        finally:
            os.close(descriptor)
    except OSError:
        text = b""
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - as above
    level = text.decode("ascii", "replace").strip()
    return level if level in LEVELS else None
