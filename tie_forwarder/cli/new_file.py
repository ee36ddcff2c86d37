"""A file that a verb writes: a new one, for its owner only; never over another one, and never through a link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tie_forwarder.errors import ForwarderError


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """The open file. ForwarderError where it exists, or cannot be made or written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
    except OSError as error:
        remedy = "name a file that does not exist, in a directory that this user may write"
        raise ForwarderError(f"--output {path}: {error.strerror or error}", remedy=remedy) from error
