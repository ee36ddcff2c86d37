"""The verbs of `spool` on real spools: sound, damaged, held by a daemon, of a newer version."""

from __future__ import annotations

import base64
import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.lifecycle.conftest import lonely_forwarder as lonely_forwarder
from tests.lifecycle.running import NoKafka
from tests.spool.test_spool import event, events, filled, numbers_of, open_spool
from tie_forwarder.cli import invoke
from tie_forwarder.cli.spool import DAMAGED
from tie_forwarder.spool import Changes, Incoming, recovery, set_aside
from tie_forwarder.spool.database import FILE_NAME, VERSION

COUNT = 400


class Spoken:
    """What a verb wrote and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[..., Spoken]:
    def say(verb: str, directory: Path, *more: str) -> Spoken:
        capfd.readouterr()
        code = invoke(["spool", verb, "--directory", str(directory), *more])
        return Spoken(code, *capfd.readouterr())

    return say


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("original")
    filled(directory, COUNT)
    return directory


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    """A sound spool with `COUNT` events."""
    return Path(shutil.copytree(original, tmp_path / "spool"))


def contents(directory: Path) -> dict[str, bytes]:
    """Every file but SQLite's index of its log, and a log in which nothing stands."""
    found = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
    return {name: content for name, content in found.items() if content and not name.endswith("-shm")}


def spoil_rows(directory: Path, *positions: int) -> None:
    with sqlite3.connect(directory / FILE_NAME) as connection:
        for position in positions:
            connection.execute("UPDATE entry SET value = x'00' WHERE position = ?", (position,))
    connection.close()


def spoil_middle(directory: Path) -> None:
    path = directory / FILE_NAME
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = b"\xa5" * 8192
    path.write_bytes(content)


def spoil_head(directory: Path) -> None:
    with (directory / FILE_NAME).open("r+b") as file:
        file.write(bytes(200))


def make_newer(directory: Path) -> None:
    with sqlite3.connect(directory / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def test_a_sound_spool_is_told_and_not_changed(directory: Path, say: Callable[..., Spoken]) -> None:
    before = contents(directory)
    status = say("status", directory, "--json")
    assert status.code == 0
    found = status.document
    assert (found["events"], found["holder"], found["trouble"]) == (COUNT, None, "")
    assert found["events_by_destination"] == {"detection": COUNT}
    assert (found["first_position"], found["last_position"]) == (1, COUNT)
    assert found["oldest_received_at"] == "2023-11-14T22:13:20.001Z"
    checked = say("check", directory, "--json")
    assert checked.code == 0
    assert (checked.document["events_sound"], checked.document["repair"]) == (COUNT, "would change nothing")
    assert "400 events" in say("check", directory).out
    assert "held by     nobody" in say("status", directory).out
    repaired = say("repair", directory)
    assert repaired.code == 0
    assert "nothing was changed" in repaired.out
    assert contents(directory).keys() - {"lock"} == before.keys() - {"lock"}
    assert numbers_of(directory) == list(range(1, COUNT + 1))


def test_export_writes_every_event_whole_and_what_is_no_text_as_base64(
    tmp_path: Path, say: Callable[..., Spoken]
) -> None:
    spool = open_spool(tmp_path / "spool")
    hostile = event(2).record._replace(value="\x1b[2J\x7f\u202e".encode(), key=None, headers=(("h", b"\xff\xfe"),))
    spool.apply(Changes(incoming=[event(1), Incoming(hostile, None)]))
    spool.close()
    exported = say("export", tmp_path / "spool")
    assert exported.code == 0
    assert exported.out.isascii()
    assert exported.out.replace("\n", "").isprintable()
    first, second = exported.lines
    record = event(1).record
    assert first == {
        "position": 1,
        "destination": "detection",
        "topic": None,
        "event_id": record.event_id,
        "key": "key",
        "value": record.value.decode(),
        "headers": [{"name": "ce_id", "value": record.event_id}, {"name": "ce_type", "value": "t"}],
        "received_at": "2023-11-14T22:13:20.001Z",
        "received_at_ms": 1_700_000_000_001,
        "detected_at": "2023-11-14T22:13:20Z",
    }
    assert (second["key"], second["value"], second["detected_at"]) == (None, "\x1b[2J\x7f\u202e", None)
    assert base64.b64decode(second["headers"][0]["value_base64"]) == b"\xff\xfe"
    assert "2 events exported" in exported.err


def test_export_to_a_file_makes_a_new_one_only(directory: Path, tmp_path: Path, say: Callable[..., Spoken]) -> None:
    target = tmp_path / "events.ndjson"
    assert say("export", directory, "--output", str(target)).code == 0
    assert [json.loads(line)["position"] for line in target.read_text().splitlines()] == list(range(1, COUNT + 1))
    assert target.stat().st_mode & 0o777 == 0o600
    again = say("export", directory, "--output", str(target))
    assert again.code == 1
    assert "File exists" in again.err


def test_the_topic_is_that_of_the_configuration(
    directory: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", f"spool.directory={directory}", "--set", "kafka.topics.detection=mine"]
    file = tmp_path / "config.yaml"
    file.write_text("kafka: {bootstrap_servers: [nowhere:9092]}\n")
    assert invoke(["spool", "export", "--config", str(file), *options]) == 0
    assert {json.loads(line)["topic"] for line in capfd.readouterr().out.splitlines()} == {"mine"}


def test_damaged_events_are_told_left_out_and_set_aside(directory: Path, say: Callable[..., Spoken]) -> None:
    spoil_rows(directory, 7, 300)
    before = contents(directory)
    checked = say("check", directory, "--json")
    assert checked.code == DAMAGED
    assert checked.document["damaged_positions"] == [7, 300]
    assert checked.document["events_sound"] == COUNT - 2
    assert "would move 2 damaged events into set-aside.ndjson" in checked.document["repair"]
    assert "at the positions 7, 300" in say("check", directory).out
    exported = say("export", directory)
    assert exported.code == DAMAGED
    assert len(exported.lines) == COUNT - 2
    assert "2 left out" in exported.err
    assert contents(directory) == before

    repaired = say("repair", directory)
    assert repaired.code == 0
    assert "2 damaged events in set-aside.ndjson" in repaired.out
    aside = [json.loads(line) for line in (directory / set_aside.FILE_NAME).read_text().splitlines()]
    assert [(each["position"], each["reason"], each["value"]) for each in aside] == [
        (7, "corrupt", "00"), (300, "corrupt", "00"),
    ]  # fmt: skip
    assert say("check", directory).code == 0
    assert say("status", directory, "--json").document["set_aside"] == 2
    assert len(numbers_of(directory)) == COUNT - 2


@pytest.mark.parametrize("spoil", [spoil_middle, spoil_head])
def test_check_says_of_a_damaged_file_what_repair_then_does(
    directory: Path, say: Callable[..., Spoken], spoil: Callable[[Path], None]
) -> None:
    spoil(directory)
    before = contents(directory)
    checked = say("check", directory, "--json")
    assert checked.code == DAMAGED
    kept = checked.document["events_sound"]
    assert 0 < kept <= COUNT
    assert contents(directory) == before

    repaired = say("repair", directory)
    assert repaired.code == 0
    assert f"{kept} events in a new file" in repaired.out
    assert len(numbers_of(directory)) == kept
    (aside,) = directory.glob("damaged-*")
    assert (aside / FILE_NAME).read_bytes() == before[FILE_NAME]
    assert say("check", directory).code == 0
    assert aside.name in say("status", directory).out


def test_export_reads_what_it_can_of_a_file_whose_structure_is_damaged(
    directory: Path, say: Callable[..., Spoken]
) -> None:
    spoil_middle(directory)
    readable = say("check", directory, "--json").document["events_sound"]
    before = contents(directory)
    exported = say("export", directory)
    assert exported.code == DAMAGED
    positions = [line["position"] for line in exported.lines]
    assert len(positions) == len(set(positions)) == readable
    assert contents(directory) == before, "not even a suspicion is left"


def test_a_file_without_its_head_is_not_exported_and_a_suspicion_is_mended(
    directory: Path, say: Callable[..., Spoken]
) -> None:
    recovery.raise_on(directory, "something was met")
    assert say("status", directory).code == DAMAGED
    assert say("check", directory, "--json").document["damage"] == "something was met"
    assert f"{COUNT} events in a new file" in say("repair", directory).out
    assert say("check", directory).code == 0
    spoil_head(directory)
    refused = say("export", directory)
    assert refused.code == 1
    assert "spool check" in refused.err


def test_a_newer_version_is_refused_by_name_and_not_touched(directory: Path, say: Callable[..., Spoken]) -> None:
    make_newer(directory)
    (directory / "lock").unlink()
    before = contents(directory)
    for verb in ("check", "export", "repair"):
        refused = say(verb, directory)
        assert refused.code == 1, verb
        assert f"format version {VERSION + 1}" in refused.err
    assert say("status", directory).code == DAMAGED
    assert contents(directory) == before


def test_where_there_is_no_spool_none_is_made(tmp_path: Path, say: Callable[..., Spoken]) -> None:
    for verb in ("check", "export", "repair"):
        refused = say(verb, tmp_path)
        assert refused.code == 1
        assert "there is no spool" in refused.err
    assert say("status", tmp_path, "--json").document["events"] == 0
    assert list(tmp_path.iterdir()) == []


def test_repair_refuses_the_spool_of_another_user(
    directory: Path, say: Callable[..., Spoken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    refused = say("repair", directory)
    assert refused.code == 1
    assert f"sudo -u '#{os.getuid()}' tie-forwarder spool repair" in refused.err


def test_an_export_that_is_interrupted_ends_and_says_how_far_it_came(directory: Path) -> None:
    command = [sys.executable, "-m", "tie_forwarder", "spool", "export", "--directory", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # the pipe is full long before the end
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert b"events exported" in errors


def on_a_terminal(*arguments: str, stdout_too: bool) -> tuple[str, str]:
    """Standard output and error of the program, with standard error a terminal."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "tie_forwarder", *arguments]
    with subprocess.Popen(command, stdout=slave if stdout_too else subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        shown = bytearray()
        reader = threading.Thread(target=lambda: shown.extend(read_to_the_end(master)))
        reader.start()
        output = process.communicate(timeout=30)[0] or b""
        reader.join()
    os.close(master)
    return output.decode(), shown.decode()


def read_to_the_end(terminal: int) -> bytes:
    content = b""
    with suppress(OSError):  # a terminal ends like this
        while part := os.read(terminal, 65_536):
            content += part
    return content


def test_export_shows_a_bar_on_a_terminal_but_not_between_the_events(directory: Path) -> None:
    arguments = ("spool", "export", "--directory", str(directory))
    output, shown = on_a_terminal(*arguments, stdout_too=False)
    assert len(output.splitlines()) == COUNT
    assert "exporting" in shown
    assert "\x1b[" in shown
    _, both = on_a_terminal(*arguments, stdout_too=True)
    assert "exporting" not in both
    assert f"{COUNT} events exported" in both


def test_beside_a_running_daemon_all_but_repair_work_and_repair_says_who_holds_it(
    mosquitto: Mosquitto, make_forwarder: MakeForwarder, make_publisher: MakePublisher, say: Callable[..., Spoken]
) -> None:
    forwarder = make_forwarder(fabric=mosquitto, kafka=NoKafka(), topics=Topics.unique())  # type: ignore[arg-type]
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(50))
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 50, timeout=20.0)
    directory = forwarder.spool_directory
    assert say("status", directory, "--json").document["holder"] == forwarder.pid
    assert say("check", directory, "--json").document["events_sound"] == 50
    exported = say("export", directory)
    assert len({line["event_id"] for line in exported.lines}) == 50
    value = json.loads(exported.lines[0]["value"])
    assert "hashes" in value or "agentGuid" in value
    refused = say("repair", directory)
    assert refused.code == 1
    assert f"in use by process {forwarder.pid}" in refused.err
    assert "stop it first" in refused.err
    make_publisher(mosquitto, name="more").publish_detections(range(50, 60))
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 60, timeout=20.0)
    assert forwarder.ledger()["imbalance"] == 0
    forwarder.kill_all()
    assert say("repair", directory).code == 0
    assert say("check", directory, "--json").document["events_sound"] == 60


def test_a_large_batch_of_damaged_events_is_set_aside_whole(tmp_path: Path, say: Callable[..., Spoken]) -> None:
    spool = open_spool(tmp_path)
    spool.apply(events(*range(1, 1_201)))
    spool.close()
    spoil_rows(tmp_path, *range(1, 1_201, 1))
    assert say("repair", tmp_path).code == 0
    lines = (tmp_path / set_aside.FILE_NAME).read_text().splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(1, 1_201))
    assert say("status", tmp_path, "--json").document["events"] == 0
    assert uuid.UUID(bytes=bytes.fromhex(json.loads(lines[0])["event_id"])).int == 1
