"""`status` shows what the daemon says or, when it is down, what its spool holds, and its exit code tells the state."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.browser.conftest import Stand
from tests.browser.statuses import EXAMPLE, example, letter
from tests.cli.test_cli import run
from tests.data.payloads import message
from tests.harness.ports import free_port
from tie_forwarder.cli.status import EXIT_CODES, lines
from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.dead_letter import render_dead_letter
from tie_forwarder.spool import Changes, Incoming, Spool
from tie_forwarder.spool.inspect import glance
from tie_forwarder.status.conditions import STATES

PROBLEM = {"state": "blocked", "reason": "tls", "detail": "no trust", "remedy": "mend the certificate"}
HOSTILE = "\x1b[2J\u202e\r\n\x07[red]owned[/red]"


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.server.stop()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An open spool with two events."""
    spool = Spool(directory=tmp_path / "spool", max_bytes=1 << 30, drop_oldest=True)
    spool.open()
    records = [
        render_dead_letter(message(), event_id=f"a5d868b2-1d2c-4f60-9f3e-{n:012}", reason=Reason.NAN, detail="")
        for n in range(2)
    ]
    spool.apply(Changes(incoming=[Incoming(record, None) for record in records], keep_through=0))
    yield spool
    spool.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """One whose daemon is not there."""
    file = tmp_path / "config.yaml"
    options = {"http": {"listen": f"127.0.0.1:{free_port()}"}, "spool": {"directory": str(tmp_path / "spool")}}
    file.write_text(yaml.safe_dump(options), encoding="utf-8")
    return file


def test_every_state_has_an_exit_code_that_nothing_else_has() -> None:
    assert EXIT_CODES.keys() == {*STATES, "not_running", "not_answering"}
    told = [code for code in EXIT_CODES.values() if code not in (0, 1)]
    assert len(told) == len(set(told)) == 4
    assert not {1, 2, 70, 78, 130} & set(told)


@pytest.mark.parametrize("state", STATES)
def test_a_running_forwarder_is_shown_whole_and_its_state_is_the_exit_code(stand: Stand, state: str) -> None:
    problems = [PROBLEM] if state == "blocked" else []
    stand.show(example(state=state, problems=problems, dead_letters={"total": 1, "last": [letter()]}))
    done = run("status", "--url", stand.url)
    assert (done.returncode, done.stderr) == (EXIT_CODES[state], "")
    assert done.stdout.splitlines()[0].lower().startswith(state)
    for words in ("DXL fabric", "publishes", "41/s received", "119 days", "this is no payload", "balanced"):
        assert words in done.stdout
    assert ("mend the certificate" in done.stdout) is bool(problems)
    assert "\x1b" not in done.stdout


def test_json_is_what_the_forwarder_says(stand: Stand) -> None:
    stand.show(EXAMPLE)
    done = run("status", "--json", "--url", stand.url.removeprefix("http://"))
    assert json.loads(done.stdout) == EXAMPLE


def test_a_forwarder_that_is_down_is_known_by_its_spool(config: Path, spool: Spool) -> None:
    spool.close()
    done = run("status", "--config", str(config))
    assert done.returncode == 3
    assert done.stdout.startswith("Not running  ")
    assert "start it: tie-forwarder run" in done.stdout
    assert "2 events, the oldest for " in done.stdout
    report = json.loads(run("status", "--json", "--config", str(config)).stdout)
    assert (report["state"], report["process"], report["spool"]["events"]) == ("not_running", None, 2)
    assert report["spool"]["oldest_received_at"] == "2023-11-14T22:13:20.123Z"


def test_one_that_runs_and_does_not_answer_is_named_by_its_process(config: Path, spool: Spool) -> None:
    done = run("status", "--config", str(config))
    assert done.returncode == 1
    assert done.stdout.startswith("Not answering  ")
    assert f"see the log of process {os.getpid()}" in done.stdout
    assert "2 events" in done.stdout


def test_a_glance_changes_nothing_and_keeps_nobody_out(tmp_path: Path, spool: Spool) -> None:
    spool.close()
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "spool").iterdir()}
    assert glance(tmp_path / "spool")[:2] == (None, 2)
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "spool").iterdir()} == before
    assert glance(tmp_path / "nowhere")[:2] == (None, 0)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "spool" / "spool.sqlite").write_bytes(b"no spool")
    (tmp_path / "spool" / "damaged-20261124T031244").mkdir()
    seen = glance(tmp_path / "spool")
    assert (seen.events, seen.damaged) == (None, ("damaged-20261124T031244",))
    assert seen.trouble


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--url", "ftp://here"], 1, "no address of a forwarder"),
        (["--url", "http://127.0.0.1:9"], 1, "gave no answer"),
        (["--url", "http://127.0.0.1:9", "--config", "c.yaml"], 2, "do not go with --url"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(arguments: list[str], code: int, words: str) -> None:
    done = run("status", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_somebody_else_at_the_address_is_told_from_a_forwarder(stand: Stand) -> None:
    stand.show({"state": "ok"})
    done = run("status", "--url", stand.url)
    assert done.returncode == 1
    assert "not as a forwarder of this version" in done.stderr


def test_nothing_hostile_reaches_the_terminal() -> None:
    fields = ("received_at", "reason", "detail", "kind", "dxl_topic", "event_id", "first_bytes")
    status = example(
        reason=HOSTILE, problems=[{**PROBLEM, "detail": HOSTILE * 1_000}],
        parts=[{**part, "word": HOSTILE} for part in EXAMPLE["parts"]],
        group={"name": HOSTILE, "member": HOSTILE, "role": HOSTILE, "takeovers": {HOSTILE: 1}},
        dead_letters={"total": 1, "last": [letter(**dict.fromkeys(fields, HOSTILE))]},
    )  # fmt: skip
    for line in lines(status):
        assert line.plain.isprintable()
        assert len(line.plain) < 2_500
        assert not any(span.style == "red" and "owned" in line.plain[span.start : span.end] for span in line.spans)


def test_watch_writes_lines_where_there_is_no_terminal_and_ends_at_ctrl_c(stand: Stand) -> None:
    stand.show(EXAMPLE)
    command = [sys.executable, "-m", "tie_forwarder", "status", "--watch", "--url", stand.url]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        stand.show(example(state="blocked", reason="tls", problems=[PROBLEM]))
        second = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert first == "2026-11-24T05:00:00.000Z  ok  received 41/s  published 41/s  in spool 0\n"
    assert "blocked  tls" in second


def test_watch_redraws_in_place_on_a_terminal(stand: Stand) -> None:
    stand.show(EXAMPLE)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tie_forwarder", "status", "--watch", "--url", stand.url]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = read_until(ours, b"DXL fabric")
        assert b"\x1b[?1049h" in shown
        stand.show(example(state="standby", reason="standby"))
        read_until(ours, b"Standby")
        process.send_signal(signal.SIGINT)
        left = read_until(ours, b"\x1b[?1049l").partition(b"\x1b[?1049l")[2]
        # What was shown last stays on the ordinary screen.
        if b"dead letters" not in left:
            read_until(ours, b"dead letters")
        assert process.wait(timeout=10) == 0
    os.close(ours)


def read_until(terminal: int, wanted: bytes) -> bytes:
    """What a terminal was sent until this stands in it."""
    found, deadline = b"", time.monotonic() + 15.0
    while wanted not in found:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], found
        found += os.read(terminal, 65_536)
    return found
