"""The spool on real files: what is accepted, kept, dropped and mended."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tie_forwarder.errors import ForwarderError
from tie_forwarder.records.record import Record, Row
from tie_forwarder.spool import Changes, Incoming, Outcome, Reader, Spool, pack_id
from tie_forwarder.spool.database import FILE_NAME, VERSION

LIMIT = 1 << 30


def event(number: int, *, size: int = 300) -> Incoming:
    record = Record(
        "detection",
        str(uuid.UUID(int=number)),
        b"key",
        number.to_bytes(4, "big") * (size // 4),
        (("ce_id", str(uuid.UUID(int=number)).encode()), ("ce_type", b"t")),
        1_700_000_000_000 + number,
    )
    return Incoming(record, 1_700_000_000)


def events(*numbers: int, size: int = 300) -> Changes:
    return Changes(incoming=[event(number, size=size) for number in numbers])


def open_spool(directory: Path, *, max_bytes: int = LIMIT, drop_oldest: bool = True) -> Spool:
    spool = Spool(directory=directory, max_bytes=max_bytes, drop_oldest=drop_oldest)
    spool.open()
    return spool


def rows_of(directory: Path) -> list[Row]:
    reader = Reader(directory)
    reader.open()
    try:
        rows: list[Row] = []
        after = 0
        while True:
            page = reader.read(after=after, through=1 << 60, limit=500)
            rows += page.rows
            if page.last_position == after:
                return rows
            after = page.last_position
    finally:
        reader.close()


def numbers_of(directory: Path) -> list[int]:
    return [uuid.UUID(row.record.event_id).int for row in rows_of(directory)]


def test_what_was_accepted_is_read_in_order_and_whole(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    outcome = spool.apply(events(3, 1, 2))
    assert outcome.accepted == 3
    rows = rows_of(tmp_path)
    assert [row.record for row in rows] == [event(number).record for number in (3, 1, 2)]
    assert [row.position for row in rows] == [1, 2, 3]
    assert rows[0].detected_at == 1_700_000_000
    spool.close()


def test_an_event_that_comes_twice_is_kept_once_and_counted(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    assert spool.apply(events(1, 2, 1)).duplicates == 1
    assert spool.apply(events(2, 3)).duplicates == 1
    assert numbers_of(tmp_path) == [1, 2, 3]
    assert spool.events == 3
    spool.close()


def test_what_kafka_has_leaves_by_range_and_by_id(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.apply(events(*range(1, 1501)))
    outcome = spool.apply(
        Changes(published=[(1, 10), (12, 12)], seen=[pack_id(str(uuid.UUID(int=n))) for n in range(20, 1400)])
    )
    assert len(outcome.published) == 11
    assert len(outcome.seen) == 1380
    assert spool.events == 1500 - 11 - 1380
    assert numbers_of(tmp_path) == [11, *range(13, 20), *range(1400, 1501)]
    assert spool.first_position == 11
    spool.close()


def test_a_refused_row_is_replaced_by_its_dead_letter_at_the_end(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.apply(events(1, 2, 3))
    letter = event(2).record._replace(destination="dead_letter", value=b"cut")
    assert spool.apply(Changes(replaced=[(2, letter)])).replaced == 1
    assert [(row.position, row.record.destination) for row in rows_of(tmp_path)] == [
        (1, "detection"), (3, "detection"), (4, "dead_letter"),
    ]  # fmt: skip
    assert spool.events == 3
    spool.close()


def test_positions_are_never_given_twice_even_when_the_spool_was_empty(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.apply(events(1, 2))
    spool.apply(Changes(published=[(1, 2)]))
    spool.close()
    spool = open_spool(tmp_path)
    spool.apply(events(3))
    assert rows_of(tmp_path)[0].position == 3
    spool.close()


def test_a_damaged_row_is_told_its_neighbours_come_and_its_bytes_are_set_aside(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.apply(events(1, 2, 3))
    spool.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE entry SET value = x'00' WHERE position = 2")
    connection.close()
    spool = open_spool(tmp_path)
    reader = Reader(tmp_path)
    reader.open()
    page = reader.read(after=0, through=10, limit=10)
    reader.close()
    assert page.corrupt == [2]
    assert [row.position for row in page.rows] == [1, 3]
    outcome = spool.apply(Changes(set_aside=[(2, "corrupt"), (99, "corrupt")]))
    assert outcome.dropped == {"corrupt": 1}
    assert spool.events == 2
    assert '"reason": "corrupt"' in (tmp_path / "set-aside.ndjson").read_text()
    spool.close()


@pytest.mark.parametrize("drop_oldest", [True, False])
def test_a_full_spool_follows_its_policy_counts_every_drop_and_goes_on(tmp_path: Path, *, drop_oldest: bool) -> None:
    spool = open_spool(tmp_path, max_bytes=1 << 20, drop_oldest=drop_oldest)
    accepted = dropped = 0
    for batch in range(30):
        outcome = spool.apply(events(*range(batch * 100 + 1, batch * 100 + 101), size=1_000))
        accepted += outcome.accepted
        dropped += sum(outcome.dropped.values())
        assert spool.bytes <= (1 << 20) + 100 * 1_500
        assert spool.events == len(numbers_of(tmp_path))
    kept = numbers_of(tmp_path)
    assert dropped > 0
    assert len(kept) + dropped == 3_000
    assert kept == (list(range(3_001 - len(kept), 3_001)) if drop_oldest else list(range(1, len(kept) + 1)))
    spool.apply(Changes(published=[(1, 1 << 40)]))
    assert spool.apply(events(9_001)).accepted == 1
    spool.close()


def test_rows_that_may_be_in_flight_are_never_dropped(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, max_bytes=1 << 20)
    spool.apply(events(*range(1, 301), size=1_000))
    for batch in range(3, 20):
        spool.apply(
            Changes(
                incoming=[event(n, size=1_000) for n in range(batch * 100 + 1, batch * 100 + 101)], keep_through=200
            )
        )
    assert numbers_of(tmp_path)[:200] == list(range(1, 201))
    spool.close()


def test_a_second_daemon_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(ForwarderError, match=f"in use by process {os.getpid()}"):
        open_spool(tmp_path)
    spool.close()
    open_spool(tmp_path).close()


def test_a_newer_version_is_refused_by_name_and_not_touched(tmp_path: Path) -> None:
    open_spool(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    sqlite3.connect(tmp_path / FILE_NAME).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(ForwarderError, match=f"format version {VERSION + 1}"):
        open_spool(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def foreign_text(path: Path) -> None:
    path.write_text("not a database, but somebody's notes\n" * 100)


def foreign_sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("make", [foreign_text, foreign_sqlite, empty])
def test_a_foreign_file_is_set_aside_and_a_new_spool_begins(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / FILE_NAME)
    content = (tmp_path / FILE_NAME).read_bytes()
    spool = Spool(directory=tmp_path, max_bytes=LIMIT, drop_oldest=True)
    found = spool.open()
    assert found.set_aside is not None
    assert (found.set_aside / FILE_NAME).read_bytes() == content
    assert spool.apply(events(1)).accepted == 1
    spool.close()


def filled(directory: Path, count: int = 400) -> None:
    spool = open_spool(directory)
    for first in range(1, count, 100):
        spool.apply(events(*range(first, first + 100)))
    spool.close()


def assert_mended(directory: Path) -> Sequence[int]:
    """The spool opens, works, and opens again; returns the numbers that are left, each once and whole."""
    spool = open_spool(directory)
    spool.apply(events(1_000_001))
    spool.close()
    spool = open_spool(directory)
    rows = rows_of(directory)
    spool.close()
    numbers = [uuid.UUID(row.record.event_id).int for row in rows]
    assert len(numbers) == len(set(numbers))
    for row in rows:
        assert row.record == event(uuid.UUID(row.record.event_id).int).record
    assert 1_000_001 in numbers
    return numbers


@pytest.fixture(scope="module")
def filled_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("filled")
    filled(directory)
    return directory


@pytest.mark.parametrize("tenths", range(10))
def test_a_truncated_file_is_mended_and_the_readable_rest_is_kept(
    tmp_path: Path, filled_directory: Path, tenths: int
) -> None:
    directory = tmp_path / "spool"
    shutil.copytree(filled_directory, directory)
    path = directory / FILE_NAME
    os.truncate(path, path.stat().st_size * tenths // 10)
    kept = assert_mended(directory)
    if tenths >= 7:
        assert len(kept) > 100


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_never_stops_the_spool_nor_bends_an_event(
    tmp_path: Path, filled_directory: Path, place: float, bit: int
) -> None:
    directory = tmp_path / uuid.uuid4().hex
    shutil.copytree(filled_directory, directory)
    content = bytearray((directory / FILE_NAME).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (directory / FILE_NAME).write_bytes(content)
    try:
        kept = assert_mended(directory)
    except ForwarderError:
        # The bit made it a newer version's file, which nobody touches.
        assert content[63] != VERSION
        return
    assert len(kept) >= 300
    shutil.rmtree(directory)


@pytest.mark.parametrize("name", [b"detected_at INTEGER", b"value BLOB", b"CREATE TABLE entry"])
def test_a_table_that_is_described_otherwise_is_mended_before_it_is_used(
    tmp_path: Path, filled_directory: Path, name: bytes
) -> None:
    directory = tmp_path / "spool"
    shutil.copytree(filled_directory, directory)
    content = (directory / FILE_NAME).read_bytes()
    assert name in content
    (directory / FILE_NAME).write_bytes(content.replace(name, name.replace(b"e", b"o")))
    assert len(assert_mended(directory)) >= 300
    assert list(directory.glob("damaged-*"))


def test_a_log_without_its_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / (FILE_NAME + "-wal")).write_bytes(b"\x37\x7f\x06\x82" + bytes(5_000))
    assert_mended(tmp_path)
    assert list(tmp_path.glob("damaged-*"))


_WRITER = """
import sys, uuid
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.spool.test_spool import events, open_spool
spool = open_spool(Path(sys.argv[1]))
number = spool.last_position
while True:
    spool.apply(events(*range(number + 1, number + 21)))
    number += 20
    print(number, flush=True)
"""


def test_what_a_commit_has_confirmed_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    program = _WRITER.format(root=str(Path(__file__).parents[2]))
    confirmed = 0
    for attempt in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(5 + attempt * 7):
                confirmed = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                confirmed = int(line)
    numbers = numbers_of_after_reopening(tmp_path)
    assert numbers[:confirmed] == list(range(1, confirmed + 1))


def numbers_of_after_reopening(directory: Path) -> list[int]:
    open_spool(directory).close()
    return numbers_of(directory)


_SMALL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.spool.test_spool import events, numbers_of, open_spool
from tie_forwarder.spool import Changes
directory = Path(sys.argv[1])
spool = open_spool(directory, drop_oldest=sys.argv[2] == "True")
spool.apply(events(*range(1, 101), size=1000))
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
accepted, dropped, errors = 100, 0, 0
for batch in range(1, 30):
    outcome = spool.apply(events(*range(batch * 100 + 1, batch * 100 + 101), size=1000))
    accepted += outcome.accepted
    dropped += sum(outcome.dropped.values())
    errors += bool(outcome.error)
    assert spool.events == len(numbers_of(directory)), (spool.events, len(numbers_of(directory)))
assert errors and dropped, (errors, dropped)
assert spool.events + dropped == 3000, (spool.events, dropped)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
outcome = spool.apply(events(9001))
assert outcome.accepted == 1 and not outcome.error, outcome
spool.close()
print("well")
"""


@pytest.mark.parametrize("drop_oldest", [True, False])
def test_a_full_disk_costs_what_the_policy_says_and_nothing_else(tmp_path: Path, *, drop_oldest: bool) -> None:
    program = _SMALL_DISK.format(root=str(Path(__file__).parents[2]))
    command = [sys.executable, "-c", program, str(tmp_path), str(drop_oldest)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "well\n", done.stderr


def test_an_outcome_counts_rows_and_events_apart() -> None:
    outcome = Outcome()
    outcome.drop("spool_full", 2)
    outcome.drop_rows("spool_full", 3)
    assert outcome.dropped == {"spool_full": 5}
    assert outcome.rows_dropped == 3
