"""What else may stand in a spool directory: links, pipes, what others can read, and a disk without writes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.spool.test_spool import LIMIT, event, events, filled, numbers_of, open_spool
from tests.spool.test_tools import COUNT, Spoken, spoil_head, spoil_rows
from tests.spool.test_tools import directory as directory
from tests.spool.test_tools import original as original
from tests.spool.test_tools import say as say
from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool import Changes, Spool, recovery
from tie_forwarder.spool.database import FILE_NAME
from tie_forwarder.spool.files import make_private

NAMES = (
    FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", f"{FILE_NAME}-journal", f"{FILE_NAME}.mended",
    f"{FILE_NAME}.mended-wal", f"{FILE_NAME}.new", "lock", "reserve", "suspect", "set-aside.ndjson",
)  # fmt: skip
VERBS = ("status", "check", "export", "repair")


def use(directory: Path) -> None:
    """The life of a daemon that writes everything it ever writes."""
    spool = Spool(directory=directory, max_bytes=LIMIT, drop_oldest=True)
    spool.open()
    try:
        spool.apply(events(*range(5_001, 5_011)))
        spool.apply(Changes(set_aside=[(1, "refused")]))
        spool.trim()
        recovery.raise_on(directory, "something was met")
    finally:
        spool.close()


@pytest.mark.parametrize("name", NAMES)
def test_no_link_in_the_directory_is_followed(
    name: str, directory: Path, tmp_path: Path, say: Callable[..., Spoken]
) -> None:
    target = tmp_path / "precious"
    content = (directory / FILE_NAME).read_bytes() if name.startswith(FILE_NAME) else b"somebody else's\n" * 100
    target.write_bytes(content)
    target.chmod(0o644)
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to(target)
    with suppress(ForwarderError):
        use(directory)
    for verb in VERBS:
        assert "somebody" not in say(verb, directory).out
    assert target.read_bytes() == content
    assert stat.S_IMODE(target.lstat().st_mode) == 0o644
    assert sorted(each.name for each in tmp_path.iterdir()) == ["precious", "spool"], "nothing was made beside it"


@pytest.mark.parametrize("name", [FILE_NAME, f"{FILE_NAME}-wal", "lock"])
def test_a_link_is_refused_by_name(name: str, directory: Path, tmp_path: Path, say: Callable[..., Spoken]) -> None:
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ForwarderError, match=f"{name} is a symbolic link"):
        open_spool(directory)
    if name != "lock":
        assert f"{name} is a symbolic link" in say("check", directory).err
    assert not (tmp_path / "nowhere").exists()


def test_the_directory_itself_may_be_a_link(directory: Path, tmp_path: Path, say: Callable[..., Spoken]) -> None:
    link = tmp_path / "link"
    link.symlink_to(directory)
    use(link)
    assert say("repair", link).code == 0
    assert len(numbers_of(directory)) == COUNT + 9


_HANG = """
import sys
from pathlib import Path
from tests.spool.test_files import use
use(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_in_the_place_of_a_file_hangs_nothing(name: str, directory: Path) -> None:
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(directory / name)
    program = [sys.executable, "-m", "tie_forwarder", "spool"]
    for command in (
        [*program, "status", "--directory", str(directory)],
        [*program, "check", "--directory", str(directory)],
        [*program, "export", "--directory", str(directory)],
        [sys.executable, "-c", _HANG, str(directory)],
        [*program, "repair", "--directory", str(directory)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert "Traceback" not in done.stderr or command[1] == "-c", done.stderr
    if name != FILE_NAME:
        (directory / name).unlink(missing_ok=True)
        assert len(numbers_of(directory)) >= COUNT - 1


def modes(directory: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in (directory, *directory.rglob("*"))}


def test_everything_is_private_also_what_an_earlier_version_had_made(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    old_mask = os.umask(0)
    try:
        filled(directory)
        spoil_rows(directory, 7)
        for path in (directory, *directory.iterdir()):
            path.chmod(0o777 if path.is_dir() else 0o666)
        spoil_head(directory)
        spool = open_spool(directory)
        spool.apply(Changes(incoming=[event(9_001)], set_aside=[(3, "refused")]))
        spool.trim()
        recovery.raise_on(directory, "something was met")
        found = modes(directory)
        spool.close()
    finally:
        os.umask(old_mask)
    aside = next(path.name for path in directory.glob("damaged-*"))
    assert {aside, "spool.sqlite-wal", "spool.sqlite-shm", "reserve", "lock", "set-aside.ndjson"} < found.keys()
    assert {mode for name, mode in found.items() if name in ("spool", aside)} == {"0o700"}
    assert {mode for name, mode in found.items() if name not in ("spool", aside)} == {"0o600"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused_and_only_looked_at(directory: Path, say: Callable[..., Spoken]) -> None:
    for path in (directory, *directory.iterdir()):
        os.chown(path, 12_345, 12_345)
    before = modes(directory)
    with pytest.raises(ForwarderError, match="belongs to 12345, and this is root"):
        open_spool(directory)
    assert say("repair", directory).code == 1
    assert say("status", directory).code == 0
    assert say("check", directory).code == 0
    assert modes(directory) == before


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" "$0" && exec "$@"'


def without_writes(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that sees the directory as a file system that is mounted read-only."""
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, str(directory), *command]
    return subprocess.run(namespace, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("killed", [False, True], ids=["after a clean end", "with the log of a killed daemon"])
def test_what_only_reads_works_on_a_read_only_file_system(killed: bool, directory: Path, tmp_path: Path) -> None:
    if killed:
        spool = open_spool(directory)
        spool.apply(events(*range(5_001, 5_011)))
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            (copy / name).write_bytes((directory / name).read_bytes())
        spool.close()
        directory = copy
    count = COUNT + 10 * killed
    program = (sys.executable, "-m", "tie_forwarder", "spool")
    status = without_writes(directory, *program, "status", "--directory", str(directory))
    assert (status.returncode, f"events      {count}," in status.stdout) == (0, True), status
    check = without_writes(directory, *program, "check", "--directory", str(directory))
    assert (check.returncode, f"sound       {count} events" in check.stdout) == (0, True), check
    export = without_writes(directory, *program, "export", "--directory", str(directory))
    assert (export.returncode, len(export.stdout.splitlines())) == (0, count), export.stderr
    repair = without_writes(directory, *program, "repair", "--directory", str(directory))
    assert repair.returncode == 1
    assert "Traceback" not in repair.stderr
    assert "spool repair" not in repair.stderr


def test_without_a_temporary_directory_a_repair_is_not_tried(
    directory: Path, say: Callable[..., Spoken], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_head(directory)
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", None)
        patched.setattr(tempfile, "_candidate_tempdir_list", list)
        checked = say("check", directory)
    assert checked.code == 7
    assert "sound       not tried" in checked.out
    assert "no temporary directory" in checked.out


def test_no_advice_of_check_refers_back_to_it(directory: Path, say: Callable[..., Spoken]) -> None:
    (directory / FILE_NAME).unlink()
    (directory / FILE_NAME).symlink_to("elsewhere")
    assert "spool check" not in say("check", directory).err
    (directory / FILE_NAME).unlink()
    (directory / f"{FILE_NAME}.mended").mkdir()
    told = say("check", directory)
    assert told.code != 0
    assert "spool check" not in told.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_an_entry_of_another_user_that_cannot_be_opened_keeps_no_daemon_from_starting() -> None:
    """A file system of its own has a `lost+found` of root's."""
    directory = Path(tempfile.mkdtemp()) / "spool"  # pytest's own directories are closed to other users
    directory.parent.chmod(0o755)
    directory.mkdir(mode=0o755)
    (directory / "mine").write_text("x")
    for path in (directory, directory / "mine"):
        os.chown(path, 12_345, 12_345)
        path.chmod(0o755)
    (directory / "lost+found").mkdir(mode=0o700)
    (directory / "backup").touch(mode=0o600)
    os.seteuid(12_345)
    try:
        make_private(directory)
    finally:
        os.seteuid(0)
    assert modes(directory) == {"spool": "0o700", "mine": "0o700", "lost+found": "0o700", "backup": "0o600"}
    shutil.rmtree(directory.parent)
