"""`dead-letters`: what is dead and why, and no payload that could harm whoever looks at it."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from tests.dead_letters.test_replay import drained, spawn_on
from tests.harness.detections import detection
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.letters import Site, event_id, letter
from tests.harness.topics import Topics
from tie_forwarder.cli.shared import moment
from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.record import Record

AT_MS = 1_700_000_000_123
HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\x9b\u202e\u2028\U000e0001".encode() + b"\xff\xfe\0end"
CONTROLS = {"\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2028", "\0", "\U000e0001"}


@pytest.fixture
def site(kafka: KafkaCluster, topics: Topics, tmp_path: Path) -> Site:
    """Three letters, of which the second one was replayed."""
    site = Site(directory=tmp_path, kafka=kafka, topics=topics)
    site.write([
        letter(1, HOSTILE, reason=Reason.NOT_UTF8, detail="byte 17", received_at_ms=AT_MS),
        letter(2, detection(2, agent=2), received_at_ms=AT_MS + 1_000),
        letter(3, b"[" + b" " * 500 + b"]", reason=Reason.NOT_AN_OBJECT, received_at_ms=AT_MS + 2_000),
    ])  # fmt: skip
    assert site.run("replay") == 0
    return site


def forged(**headers: bytes) -> Record:
    record = letter(4, b"x", received_at_ms=AT_MS + 3_000)
    return record._replace(headers=tuple({**dict(record.headers), **headers}.items()))


def test_each_letter_is_three_lines_and_the_sum_comes_last(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert site.run("dead-letters") == 0
    output = capfd.readouterr()
    lines = output.out.splitlines()
    assert len(lines) == 9
    assert lines[0] == f"2023-11-14T22:13:20.123Z  not_utf8  {event_id(1)}  not replayed"
    assert lines[1] == "    byte 17"
    assert lines[2].startswith(f"    {len(HOSTILE)} bytes: \\x1b]0;owned\\x07\\x1b[2J\\x0d\\x9b\\u202e\\u2028")
    assert lines[2].endswith("\\xff\\xfe\\x00end")
    assert lines[3].startswith(f"2023-11-14T22:13:21.123Z  internal_error  {event_id(2)}  replayed 20")
    assert lines[8].startswith("    502 bytes: [ ")
    assert lines[8].endswith("...")
    assert output.err == "3 dead letters, 1 of them replayed: not_utf8 1, internal_error 1, not_an_object 1\n"


def test_it_can_be_selected_and_limited_to_the_newest(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    def ids(*arguments: str) -> list[str]:
        capfd.readouterr()
        assert site.run("dead-letters", "--json", *arguments) == 0
        return [json.loads(line)["event_id"] for line in capfd.readouterr().out.splitlines()]

    assert ids() == [event_id(number) for number in (1, 2, 3)]
    assert ids("--limit", "2") == [event_id(2), event_id(3)]
    assert ids("--reason", "not_utf8", "--reason", "not_an_object") == [event_id(1), event_id(3)]
    assert ids("--since", "2023-11-14T22:13:21.123Z") == [event_id(2), event_id(3)]
    assert ids("--since", "1h") == []
    assert ids("--limit", "1", "--reason", "not_utf8") == [event_id(1)]


def test_json_has_one_ascii_object_a_line(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.write([forged(detail=b"\x7f\x1b", dxl_topic=b"\xc2\x9b")])
    capfd.readouterr()
    assert site.run("dead-letters", "--json") == 0
    output = capfd.readouterr().out
    assert output.isascii()
    assert output.replace("\n", "").isprintable()
    first, second, _, last = map(json.loads, output.splitlines())
    assert first["first_bytes"].startswith("\x1b]0;owned")
    assert (first["reason"], first["bytes"], first["replayed_at"]) == ("not_utf8", len(HOSTILE), None)
    assert second["replayed_to"] == site.topics.detection
    assert last["detail"] == "\x7f\x1b"


def test_one_is_shown_whole_and_escaped(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert site.run("dead-letters", "--show", f"{{{event_id(1).upper()}}}") == 0
    text = capfd.readouterr().out
    assert not CONTROLS & set(text)
    assert "reason        not_utf8: The payload is not strict UTF-8." in text
    assert f"stands in     {site.topics.dead_letter}, partition 0, offset 0" in text
    assert "published by  a, version " in text
    assert "replayed      no" in text
    assert "\\x1b]0;owned\\x07" in text
    assert site.run("dead-letters", "--show", event_id(2)) == 0
    assert f", to {site.topics.detection}" in capfd.readouterr().out
    assert site.run("dead-letters", "--show", event_id(1), "--json") == 0
    assert base64.b64decode(json.loads(capfd.readouterr().out)["payload_base64"]) == HOSTILE


def test_headers_that_were_forged_drive_no_terminal(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    bad = b"\x1b[31m\n\xff\r"
    site.write([forged(reason=bad, detail=bad, dxl_topic=bad, dxl_client=bad, received_at=bad, forwarder_version=bad,
                       original_size=b"9" * 5_000)])  # fmt: skip
    for arguments in ([], ["--show", event_id(4)], ["--json"], ["--show", event_id(4), "--json"], ["--limit", "9"]):
        capfd.readouterr()
        assert site.run("dead-letters", *arguments) == 0
        output = capfd.readouterr()
        assert (output.out + output.err).replace("\n", "").isprintable()


def test_the_bytes_go_to_a_new_file_or_a_pipe_only(
    site: Site, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    target, link = tmp_path / "letter.bin", tmp_path / "link"
    assert site.run("dead-letters", "--show", event_id(1), "--output", str(target)) == 0
    assert target.read_bytes() == HOSTILE
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.write_bytes(b"mine")
    link.symlink_to(tmp_path / "elsewhere")
    for taken in (target, link, tmp_path / "none" / "x"):
        assert site.run("dead-letters", "--show", event_id(1), "--output", str(taken)) == 1
    assert target.read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()
    capfdbinary.readouterr()
    assert site.run("dead-letters", "--show", event_id(1), "--raw") == 0
    assert capfdbinary.readouterr().out == HOSTILE


def test_a_terminal_is_refused_the_bytes(site: Site) -> None:
    master, slave = os.openpty()
    process = spawn_on(slave, site.arguments("dead-letters", "--show", event_id(1), "--raw"))
    os.close(slave)
    text = drained(master)
    assert process.wait(timeout=30) == 2
    assert "could drive the terminal" in text
    assert "owned" not in text


def test_an_id_that_is_not_there_is_one_sentence(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert site.run("dead-letters", "--show", "\x1b[31m") == 1
    error = capfd.readouterr().err
    assert error.startswith("there is no dead letter with the id '\\x1b[31m'")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["--raw"],
        ["--output", "x"],
        ["--show", "x", "--limit", "1"],
        ["--show", "x", "--since", "1h"],
        ["--show", "x", "--raw", "--json"],
        ["--limit", "0"],
        ["--since", "soon"],
        ["--reason", "no"],
    ],
)
def test_what_makes_no_sense_is_wrong_usage(wrong: list[str], tmp_path: Path) -> None:
    from tie_forwarder.cli import invoke

    assert invoke(["dead-letters", *wrong]) == 2


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2023-11-14T22:13:20.123Z", AT_MS), ("2023-11-14T22:13:20.123", AT_MS),
        ("2023-11-15T00:13:20.123+02:00", AT_MS),
        ("2023-11-14", 1_699_920_000_000), ("2023-11-14T22:13", 1_699_999_980_000),
    ],
)  # fmt: skip
def test_a_moment_is_in_utc_where_it_has_no_zone(text: str, milliseconds: int) -> None:
    assert moment(text) == milliseconds
