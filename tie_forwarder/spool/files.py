"""Files inside a spool directory: no link is followed, no pipe is waited for, and nobody else can read them.

The directory itself may be a link. Whoever can write into it could otherwise make root write, truncate or read a file
elsewhere.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from tie_forwarder.errors import ForwarderError

_OTHERS = 0o077


def open_file(path: Path, flags: int) -> int:
    """Opens a regular file and returns the descriptor. A new file belongs to this user alone.

    Never waits. Raises OSError, also for a link and for anything that is not a regular file.
    """
    with suppress(FileNotFoundError):
        require_regular(path, os.lstat(path))
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        require_regular(path, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path) -> bytes:
    """The content of a file that is small or is read by its user's wish. Raises OSError as `open_file`."""
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
        return file.read()


def copy_file(source: Path, target: Path) -> None:
    """Copies one file into another, which is made where there is none. Raises OSError as `open_file`."""
    with (
        os.fdopen(open_file(source, os.O_RDONLY), "rb") as reader,
        os.fdopen(open_file(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as writer,
    ):
        shutil.copyfileobj(reader, writer)


def sync(path: Path) -> None:
    """Blocks until the file or directory is on the disk: only then a new name survives a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_links(paths: list[Path]) -> None:
    """Raises ForwarderError where one of the paths is a link. SQLite opens files by their names."""
    for path in paths:
        if path.is_symlink():
            raise ForwarderError(
                f"{path} is a symbolic link, and no link is followed inside the spool's directory",
                remedy="put the file itself there; spool.directory may be a link",
            )


def refuse_foreign(directory: Path) -> None:
    """Raises ForwarderError for a directory that belongs neither to root nor to this user, OSError where none is."""
    owner = directory.stat().st_uid
    if owner not in {0, os.geteuid()}:
        raise ForwarderError(
            f"the spool directory {directory} belongs to {user_name(owner)}, and this is {user_name(os.geteuid())}",
            remedy=f"run this as that user: sudo -u '#{owner}' tie-forwarder ...",
        )


def make_private(directory: Path) -> None:
    """Remove the permissions of other users from the directory and its entries, where they belong to this user.

    Leave entries of other users alone, such as the `lost+found` of a mounted volume. Raise OSError. Must not run while
    this process has the spool open: SQLite loses its locks when any descriptor of a file is closed.
    """
    _tighten(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    for entry in os.scandir(directory):
        with suppress(FileNotFoundError):  # removed in the meantime
            if not _needs_tightening(entry.stat(follow_symlinks=False)):
                continue
            if entry.is_dir(follow_symlinks=False):
                _tighten(os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
            elif entry.is_file(follow_symlinks=False):
                _tighten(open_file(Path(entry.path), os.O_RDONLY))


def user_name(number: int) -> str:
    """The name of a user; the number where it has none."""
    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _tighten(descriptor: int) -> None:
    try:
        found = os.fstat(descriptor)
        if _needs_tightening(found):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~_OTHERS)
    finally:
        os.close(descriptor)


def _needs_tightening(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and bool(found.st_mode & _OTHERS)


def require_regular(path: Path, found: os.stat_result) -> None:
    """Raises OSError where what was found at `path` is a link, a pipe, a device or a directory."""
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
