"""The standard streams, whatever they are: closed, full, a pipe that nobody reads, or of a poor encoding."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click


class OutputError(Exception):
    """Standard output did not take what was written. No OSError: nobody may take it for the error of another file."""

    def __init__(self, error: OSError) -> None:
        self.reader_is_gone = isinstance(error, BrokenPipeError)
        """Whether it is a pipe that nobody reads any more, as in `tail | head`."""
        super().__init__(f"the output cannot be written: {error.strerror}")


def prepare_streams() -> None:
    """Makes the standard streams safe to use. For the start of a process, before anything is written.

    Closed streams are replaced, since their descriptors would be given to the next files that are opened: reading and
    writing them fails as it did (EBADF), except that what goes to a closed standard error is lost. What cannot be
    written to standard output raises `OutputError`. A character that an encoding does not have is escaped.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null_as(descriptor, mode)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    old = sys.stdout
    raw: Any = _Output(1, "wb", closefd=False)
    unbuffered = isinstance(old, io.TextIOWrapper) and old.write_through
    sys.stdout = io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding="utf-8" if old is None else old.encoding,
        errors="backslashreplace",
        line_buffering=raw.isatty(),
        write_through=unbuffered,
    )


def say(text: str) -> None:
    """Writes to standard error, as far as that takes anything."""
    try:
        click.echo(text, err=True)
    except OSError:
        _open_null_as(2, os.O_WRONLY)


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


def _open_null_as(descriptor: int, mode: int) -> None:
    null = os.open(os.devnull, mode)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
