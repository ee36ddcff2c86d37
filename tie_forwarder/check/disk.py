"""The disk of the spool: permissions, kind, room, and how long a flush takes. What is written is removed again.

Each call that may hang is bounded: a file may be on a disk that does not answer.
"""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tie_forwarder.check.findings import Finding, State, Step, Trying, failed, not_tried, ok, warning
from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool.files import refuse_foreign, user_name
from tie_forwarder.spool.inspect import holder_of

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


_Result = TypeVar("_Result")


def bounded(call: Callable[[], _Result], *, seconds: float, what: str) -> _Result:
    """The call's result, or what it raises; ForwarderError when it goes on after so long, and is left to itself."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - a thread's edge: it is raised again where it was called
            errors.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        message = f"{what} could not be read within {seconds:.0f} s"
        raise ForwarderError(message, remedy="see whether its disk answers, and that it is a plain file")
    return results[0]


_FLUSHES = 20
_FLUSH_BYTES = 4096
_FLUSHING_SECONDS = 3.0
_SLOW_SECONDS = 0.1
_LEAST_BYTES = 1024 * 1024
_MIB = 1024 * 1024

_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "fuse", "afs", "lustre", "virtiofs", "ocfs2", "gfs2")
_GONE = {"tmpfs": "memory", "ramfs": "memory", "overlay": "a container's own layer", "aufs": "a container's own layer"}


def steps(settings: dict[str, Any]) -> Iterator[Step]:
    """`directory` is the spool's, `max_bytes` its limit."""
    subject, limit = settings["directory"], settings["max_bytes"]
    directory = Path(subject)
    yield Trying("disk.rights", subject)
    there = _nearest(directory)
    rights = _rights(directory, there)
    yield rights
    yield Trying("disk.lock", subject)
    yield _lock(subject, directory)
    yield Trying("disk.file_system", subject)
    yield _file_system(subject, there)
    yield Trying("disk.space", subject)
    yield _space(subject, directory, there, limit)
    yield Trying("disk.flush", subject)
    if rights.state is State.FAILED:
        yield not_tried("disk.flush", subject, "nothing can be written there")
    else:
        yield _flush(subject, there)


def _nearest(directory: Path) -> Path:
    """The directory, or what there is of the way to it."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory


def _rights(directory: Path, there: Path) -> Finding:
    code, subject = "disk.rights", str(directory)
    if not there.is_dir():
        return failed(code, subject, f"{there} is not a directory", "give another spool.directory")
    if not os.access(there, os.W_OK | os.X_OK):
        verb = "it cannot be written" if there == directory else f"it cannot be made in {there}"
        return failed(code, subject, verb, "give the user who runs the forwarder the right to write there")
    if there == directory and os.geteuid() != 0:
        try:
            refuse_foreign(directory)
        except ForwarderError as error:
            return failed(code, subject, error.message, error.remedy)
    foreign = [file.name for file in _files(directory) if not os.access(file, os.R_OK | os.W_OK)]
    if foreign:
        owners = ", ".join(sorted({_owner(directory / name) for name in foreign}))
        text = f"this user cannot write {', '.join(sorted(foreign))}, which belong to {owners}"
        return failed(code, subject, text, f"chown -R {_user()} {directory}")
    if there != directory:
        return ok(code, subject, f"it can be made in {there}, by {_user()}")
    return ok(code, subject, f"it can be written by {_user()}, and belongs to {_owner(directory)}")


def _lock(subject: str, directory: Path) -> Finding:
    """Failed where somebody holds it; whether that is the service itself, the session knows."""
    holder = holder_of(directory)
    if holder is None:
        return ok("disk.lock", subject, "nobody is seen to use it")
    text = f"in use by process {holder} ({_command(holder) or 'unknown'})"
    return failed("disk.lock", subject, text, "stop that process, or give this one a spool.directory of its own")


def _command(process: int) -> str:
    """Its name; empty where it cannot be seen."""
    with suppress(OSError):
        return (Path("/proc") / str(process) / "comm").read_text().strip()
    return ""


def _files(directory: Path) -> list[Path]:
    with suppress(OSError):
        return [file for file in directory.iterdir() if file.is_file()]
    return []


def _file_system(subject: str, there: Path) -> Finding:
    kind, place = file_system_of(there)
    code, name = "disk.file_system", kind.partition(".")[0]
    if name in _GONE:
        text = f"{kind} at {place} is {_GONE[name]}: the spool is gone with it"
        return warning(code, subject, text, "put spool.directory on a disk or a volume that stays")
    if name.startswith(_NETWORK):
        text = f"{kind} at {place} is a network's: its locks and flushes may not hold, and it may hang"
        return warning(code, subject, text, "put spool.directory on a local disk")
    return ok(code, subject, f"{kind} at {place}")


def _space(subject: str, directory: Path, there: Path, limit: int) -> Finding:
    code = "disk.space"
    try:
        disk = os.statvfs(there)
        taken = sum(file.stat().st_size for file in _files(directory))
    except OSError as error:
        return failed(code, subject, f"{error.strerror}", "see what is wrong with the disk")
    free = disk.f_bavail * disk.f_frsize
    text = f"{_size(free)} free; the spool has {_size(taken)} and may have {_size(limit)}"
    if disk.f_files and not disk.f_favail:
        return failed(code, subject, "no file can be made: the disk has no inodes left", _MAKE_ROOM)
    if free < _LEAST_BYTES and taken < limit:
        return failed(code, subject, text, _MAKE_ROOM)
    if free + taken < limit:
        return warning(code, subject, text, _LOWER)
    return ok(code, subject, text)


def _flush(subject: str, there: Path) -> Finding:
    code = "disk.flush"
    try:
        seconds = _flushes(there)
    except OSError as error:
        return failed(code, subject, f"a small file could not be written: {error.strerror}", _MAKE_ROOM)
    middle, longest = statistics.median(seconds), max(seconds)
    text = f"{middle * 1000:.1f} ms, at most {longest * 1000:.1f} ms in {len(seconds)} flushes"
    if middle > _SLOW_SECONDS:
        return warning(code, subject, text, _FASTER)
    return ok(code, subject, text)


def _flushes(there: Path) -> list[float]:
    seconds: list[float] = []
    began = time.monotonic()
    with _nameless_file(there) as descriptor:
        for number in range(_FLUSHES):
            before = time.monotonic()
            os.pwrite(descriptor, b"\0" * _FLUSH_BYTES, number * _FLUSH_BYTES)
            os.fdatasync(descriptor)
            seconds.append(time.monotonic() - before)
            if time.monotonic() - began > _FLUSHING_SECONDS:
                break
    return seconds


@contextmanager
def _nameless_file(there: Path) -> Iterator[int]:
    """A file without a name where the file system has such, so that nothing is left even when this is killed."""
    try:
        descriptor = os.open(there, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        path = there / f".tie-forwarder-check-{os.getpid()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        path.unlink()
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _owner(path: Path) -> str:
    return user_name(path.stat().st_uid)


def _user() -> str:
    return user_name(os.geteuid())


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / _MIB:.1f} MiB"


_MAKE_ROOM = "make room on the disk"
_LOWER = f"{_MAKE_ROOM}, or lower spool.max_bytes: the disk is full before the spool"
_FASTER = "put spool.directory on a faster disk: events wait so long before they are safe"
