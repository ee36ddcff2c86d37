"""The standard streams, whatever they are: closed, full, a pipe that nobody reads, or of a poor encoding."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class OutputError(Exception):
    """Standard output did not take what was written. No OSError: nobody may take it for the error of another file."""

    def __init__(self, error: OSError) -> None:
        self.reader_is_gone = isinstance(error, BrokenPipeError)
        """Whether it is a pipe that nobody reads any more, as in `tail | head`."""
        super().__init__(f"the output cannot be written: {error.strerror}")


def prepare_streams() -> None:
    """Makes the standard streams safe to use. For the start of a process, before anything is written.

    Closed streams are replaced, since their descriptors would be given to the next files that are opened: reading and
    writing them fails as it did (EBADF). What cannot be written to standard output raises `OutputError`; what cannot be
    written to standard error is lost. A character that an encoding does not have is escaped.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null_as(descriptor, mode)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    sys.stdout = _text(_Output(1, "wb", closefd=False), old=sys.stdout)
    sys.stderr = _text(_Errors(2, "wb", closefd=False), old=sys.stderr, line_buffering=True)


def discard_output() -> None:
    """Lets the interpreter's last flush of stdout succeed."""
    _open_null_as(1, os.O_WRONLY)


class _Output(io.FileIO):
    """The raw standard output."""

    def write(self, data: Any) -> int:
        """As the system call; raises `OutputError`."""
        if not data:
            return 0  # click writes nothing to find out what kind of stream this is
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error) from error


class _Errors(io.FileIO):
    """The raw standard error."""

    def write(self, data: Any) -> int:
        """As the system call; what is not taken is lost, since nobody could be told."""
        try:
            return super().write(data) or len(data)  # None: a non-blocking pipe is full
        except OSError:
            return len(data)


def _text(raw: io.FileIO, *, old: Any, line_buffering: bool = False) -> io.TextIOWrapper:
    unbuffered = isinstance(old, io.TextIOWrapper) and old.write_through
    binary: Any = raw if unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        binary,
        encoding="utf-8" if old is None else old.encoding,
        errors="backslashreplace",
        line_buffering=line_buffering or raw.isatty(),
        write_through=unbuffered,
    )


def _open_null_as(descriptor: int, mode: int) -> None:
    null = os.open(os.devnull, mode)
    if null == descriptor:
        os.set_inheritable(descriptor, True)
    else:
        os.dup2(null, descriptor)
        os.close(null)
