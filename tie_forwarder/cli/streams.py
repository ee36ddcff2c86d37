"""The standard streams, whatever they are: closed, full, a pipe that nobody reads, or of a poor encoding."""

from __future__ import annotations

import io
import os
import select
import sys

import click


def prepare_streams() -> None:
    """Puts something in the place of closed streams, and lets every character be written. For the start of a process.

    A descriptor that stays free would be given to the next file that is opened. Reading or writing a closed stream
    fails as it did, by the error that the caller expects (EBADF); what goes to a closed standard error is lost.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null_as(descriptor, mode)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Writes to standard error, as far as that takes anything."""
    try:
        click.echo(text, err=True)
    except OSError:
        _open_null_as(2, os.O_WRONLY)


def reader_is_gone() -> bool:
    """Tells a gone reader of stdout from a broken pipe inside the daemon, which must not end as a success."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def output_fails() -> bool:
    """Whether standard output does not take what was written to it."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def discard_output() -> None:
    """Lets the interpreter's last flush of stdout succeed."""
    _open_null_as(sys.stdout.fileno(), os.O_WRONLY)


def _open_null_as(descriptor: int, mode: int) -> None:
    null = os.open(os.devnull, mode)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
