"""Files of the spool that are deleted or replaced while they are in use: nothing that can still be reached is lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.mosquitto import Mosquitto
from tests.harness.waiting import wait_until
from tests.lifecycle.conftest import forwarder as forwarder
from tests.lifecycle.conftest import lonely_forwarder as lonely_forwarder
from tests.lifecycle.running import log_of
from tests.spool.test_spool import LIMIT, events, numbers_of, open_spool
from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool import Changes, Reader, Spool, recovery
from tie_forwarder.spool import recovery as suspicion
from tie_forwarder.spool.database import FILE_NAME
from tie_forwarder.spool.lock import DirectoryLock

PIECES = (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(directory: Path) -> Iterator[Spool]:
    """An open one with the events 1 to 100, of which the first ten are gone."""
    spool = open_spool(directory)
    spool.apply(events(*range(1, 101)))
    spool.apply(Changes(published=[(1, 10)]))
    yield spool
    spool.close()


def look_after(spool: Spool) -> recovery.Recovery | None:
    return spool.look_after(on_progress=lambda: None, at_once=True)


def delete(*names: str) -> Callable[[Path], None]:
    def deed(directory: Path) -> None:
        for name in names:
            (directory / name).unlink()

    return deed


def put_text(name: str) -> Callable[[Path], None]:
    def put(directory: Path) -> None:
        (directory / name).unlink()
        (directory / name).write_text("somebody's\n" * 1_000)

    return put


def restore_another(directory: Path) -> None:
    """A sound spool with other events, and with a log of its own, takes its place."""
    other = directory.with_name("other")
    inner = open_spool(other)
    inner.apply(events(*range(5_001, 5_051)))
    for name in PIECES:
        (directory / name).unlink()
        shutil.copy(other / name, directory / name)
    inner.close()


def rename_directory(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))


def replace_directory(directory: Path) -> None:
    rename_directory(directory)
    directory.mkdir(mode=0o755)
    (directory / FILE_NAME).write_text("somebody's\n" * 1_000)


def link_elsewhere(directory: Path) -> None:
    (directory / FILE_NAME).rename(directory.with_name("moved"))
    (directory / FILE_NAME).symlink_to(directory.with_name("moved"))


DEEDS = {
    "file deleted": delete(FILE_NAME),
    "all deleted": delete(*PIECES),
    "log deleted": delete(f"{FILE_NAME}-wal"),
    "index deleted": delete(f"{FILE_NAME}-shm"),
    "file replaced": put_text(FILE_NAME),
    "log replaced": put_text(f"{FILE_NAME}-wal"),
    "another restored": restore_another,
    "directory deleted": shutil.rmtree,
    "directory renamed": rename_directory,
    "directory replaced": replace_directory,
    "file moved and linked": link_elsewhere,
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_everything_goes_on_in_a_copy_in_the_same_place(
    deed: Callable[[Path], None], spool: Spool, directory: Path
) -> None:
    assert look_after(spool) is None
    deed(directory)
    before = {name: path.read_bytes() for name in PIECES if (path := directory / name).is_file()}
    spool.apply(events(*range(101, 111)))
    found = look_after(spool)
    assert found is not None
    assert (found.events_kept, found.events_lost, spool.displaced) == (100, 0, "")
    assert spool.events == 100
    assert look_after(spool) is None
    assert spool.apply(events(111, 50)).duplicates == 1
    assert numbers_of(directory) == list(range(11, 112))
    for name, content in before.items():
        if b"somebody" in content or deed is restore_another:
            assert found.set_aside is not None
            assert (found.set_aside / name).read_bytes() == content, "what was there is kept"
    if found.set_aside is not None and deed is not link_elsewhere:
        ours = {b"somebody" not in path.read_bytes() for path in found.set_aside.iterdir()}
        assert ours == {deed is restore_another}, "without a log of this spool that would spoil it"
    spool.close()
    spool = open_spool(directory)
    assert (spool.events, spool.last_position) == (101, 112)
    spool.close()


def test_positions_go_on_where_they_were_also_with_an_empty_spool(spool: Spool, directory: Path) -> None:
    spool.apply(Changes(published=[(1, 100)]))
    (directory / FILE_NAME).unlink()
    assert look_after(spool) is not None
    assert spool.last_position == 100


def test_a_copy_that_finds_no_room_is_tried_again_and_the_open_file_serves_meanwhile(
    spool: Spool, directory: Path
) -> None:
    shutil.rmtree(directory)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, before[1]))
    try:
        assert look_after(spool) is None
        assert f"{FILE_NAME} was deleted while it was in use" in spool.displaced
        assert "could not be put there" in spool.displaced
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert spool.apply(Changes(published=[(11, 50)])).error == ""
    assert spool.apply(events(101)).accepted == 1
    assert spool.look_after(on_progress=lambda: None) is None, "not at every turn"
    assert look_after(spool) is not None
    assert spool.displaced == ""
    assert numbers_of(directory) == list(range(51, 102))


def test_a_copy_that_was_given_up_is_not_put_over_what_was_accepted_afterwards(
    spool: Spool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(files: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (directory / FILE_NAME).rename(directory / "elsewhere")
    with monkeypatch.context() as patched:
        patched.setattr(recovery, "_set_aside", refuse)
        assert look_after(spool) is None
        assert "could not be put there" in spool.displaced
    (directory / "elsewhere").rename(directory / FILE_NAME)
    assert look_after(spool) is None
    assert spool.displaced == ""
    spool.apply(events(*range(101, 111)))
    spool.close()
    spool = open_spool(directory)
    assert spool.events == 100
    assert numbers_of(directory) == list(range(11, 111))
    spool.close()


def test_a_disk_without_room_for_a_copy_is_not_filled_by_attempts(
    spool: Spool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / FILE_NAME).unlink()
    full = os.statvfs(directory)
    with monkeypatch.context() as patched:
        patched.setattr(os, "statvfs", lambda _: os.statvfs_result((*full[:3], 1, 1, *full[5:10])))
        assert look_after(spool) is None
    assert "bytes, and" in spool.displaced
    assert not [path.name for path in directory.iterdir() if path.name.startswith(f"{FILE_NAME}.")]
    assert (directory / "reserve").exists()
    assert look_after(spool) is not None


def test_a_lock_that_was_deleted_is_taken_again_and_one_that_another_took_ends_it(
    spool: Spool, directory: Path
) -> None:
    (directory / "lock").unlink()
    assert look_after(spool) is None
    with pytest.raises(ForwarderError, match="in use by process"):
        open_spool(directory)
    (directory / "lock").unlink()
    other = DirectoryLock(directory)
    other.acquire()
    with pytest.raises(ForwarderError, match="in use by process"):
        look_after(spool)
    other.release()


def test_a_reader_refuses_a_file_that_the_writer_does_not_have(spool: Spool, directory: Path) -> None:
    reader = Reader(directory, identity=spool.identity)
    reader.open()
    assert len(reader.read(after=0, through=100, limit=100).rows) == 90
    reader.close()
    restore_another(directory)
    with pytest.raises(OSError, match="not the file that the writer has open"):
        Reader(directory, identity=spool.identity).open()
    look_after(spool)
    again = Reader(directory, identity=spool.identity)
    again.open()
    again.close()


def test_damage_that_a_reader_has_met_ends_the_writer_so_that_it_is_mended(spool: Spool, directory: Path) -> None:
    suspicion.raise_on(directory, "something was met")
    with pytest.raises(sqlite3.DatabaseError, match="something was met"):
        look_after(spool)
    spool.close()
    spool = Spool(directory=directory, max_bytes=LIMIT, drop_oldest=True)
    assert spool.open().events_kept == 90
    spool.close()


def test_a_daemon_whose_spool_is_deleted_loses_nothing_and_says_so(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.start()
    with make_publisher(mosquitto) as publisher:
        publisher.publish_detections(range(500))
        forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 500, timeout=20.0)
        shutil.rmtree(forwarder.spool_directory)
        publisher.publish_detections(range(500, 1_000))
        forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 1_000, timeout=20.0)
    forwarder.wait_until(lambda f: f.status()["reason"] == "spool_displaced", timeout=5.0)
    problems = {each["reason"]: each for each in forwarder.status()["problems"]}
    assert "find out what deletes" in problems["spool_displaced"]["remedy"]
    assert "events are in a new file" in problems["spool_displaced"]["detail"]
    forwarder.signal(signal.SIGTERM)
    assert forwarder.wait(timeout=60.0) == 0
    forwarder.start()
    ledger = forwarder.ledger()
    assert (ledger["in_spool_at_start"], ledger["in_spool"], ledger["imbalance"]) == (1_000, 1_000, 0)


def test_a_daemon_whose_spool_is_replaced_under_load_publishes_each_event_once(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge, tmp_path: Path
) -> None:
    other = open_spool(tmp_path / "other")
    other.apply(events(*range(900_001, 900_051)))
    other.close()
    forwarder.start()
    before = forwarder.part("publisher").pid
    file = forwarder.spool_directory / FILE_NAME
    with make_publisher(mosquitto) as publisher:
        for turn in (1, 2):
            publisher.publish_detections(range(2_000 * (turn - 1), 2_000 * turn - 1_000))
            if turn == 1:
                shutil.move(tmp_path / "other" / FILE_NAME, file)
            else:
                file.unlink()
            publisher.publish_detections(range(2_000 * turn - 1_000, 2_000 * turn))
            wait_until(lambda turn=turn: rescues(forwarder) == turn, timeout=10.0, what="the rescue")  # type: ignore[misc]
    forwarder.wait_until(
        lambda f: f.ledger()["received"] == 4_000 and f.ledger()["in_spool"] == 0, timeout=60.0, what="all delivered"
    )
    forwarder.wait_until(lambda f: f.part("publisher").pid != before, timeout=10.0)
    assert forwarder.ledger()["imbalance"] == 0
    judge.verdict(range(4_000)).assert_exactly_once()
    (aside,) = {path for path in forwarder.spool_directory.glob("damaged-*") if len(numbers_in(path)) == 50}
    assert numbers_in(aside) == list(range(900_001, 900_051))


def rescues(forwarder: Forwarder) -> int:
    return [line["event"] for line in log_of(forwarder)].count("spool.rescued")


def numbers_in(folder: Path) -> list[int]:
    return numbers_of(folder) if (folder / FILE_NAME).exists() else []
