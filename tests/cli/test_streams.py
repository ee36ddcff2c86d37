"""Every verb ends with its exit code and at most one sentence, whatever its streams, its user and its answers are."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.browser.statuses import example, letter
from tests.harness.ports import free_port
from tie_forwarder.cli import invoke
from tie_forwarder.cli.verbs import VERBS

PROGRAM = f"{sys.executable} -m tie_forwarder"
PROMISED_SECONDS = 15.0
EVENT = "0" * 64


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each verb, as far as it comes without servers, by a configuration with nobody at its addresses."""
    tmp_path = tmp_path_factory.mktemp("commands")
    file, payload = tmp_path / "config.yaml", tmp_path / "payload"
    file.write_text(
        f"kafka: {{bootstrap_servers: '127.0.0.1:{free_port()}'}}\nhttp: {{listen: '127.0.0.1:{free_port()}'}}\n"
        f"spool: {{directory: {tmp_path / 'spool'}}}\n"
    )
    payload.write_bytes(b"{}")
    config = f"--config {file}"
    return {
        "help": "--help",
        "version option": "--version",
        "run": f"run {config}",
        "check": f"check {config}",
        "connect": f"check --connect {config}",
        "connect as JSON": f"check --connect --json {config}",
        "status": f"status {config}",
        "status as JSON": f"status --json {config}",
        "spool": f"spool status {config}",
        "spool check": f"spool check {config}",
        "spool export": f"spool export {config}",
        "tail": f"tail {config}",
        "simulate": f"simulate {config}",
        "find": f"find {EVENT} {config}",
        "dead-letters": f"dead-letters {config}",
        "replay": f"replay {config}",
        "decode": f"decode {payload}",
        "schema": "schema",
        "demo": "demo --seconds 1",
        "healthcheck": f"healthcheck {config}",
        "completion": "completion bash",
        "version": "version",
        "usage": "check --nonsense",
        "fault": f"check --set log.level=loud {config}",
    }


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a shell, as people type it; without the messages of the demo's servers."""
    given = {**os.environ, **environment}
    return subprocess.run(
        ["bash", "-c", command], env=given, capture_output=True, text=True, errors="replace", timeout=90, check=False
    )


NAMES = [
    "help", "version option", "run", "check", "connect", "connect as JSON", "status", "status as JSON", "spool",
    "spool check", "spool export", "tail", "simulate", "find", "dead-letters", "replay", "decode", "schema", "demo",
    "healthcheck", "completion", "version", "usage", "fault",
]  # fmt: skip
PRINTS = {"help", "version option", "connect", "connect as JSON", "status", "status as JSON", "decode", "schema"}
PRINTS |= {"completion", "version", "check", "demo", "spool"}
"""What writes to standard output, however it ends."""


FAST = ("check", "status", "schema", "healthcheck", "usage", "fault")


@pytest.fixture(scope="module")
def usual(commands: dict[str, str]) -> Callable[[str], int]:
    """The exit code of a command with streams as they should be."""
    return lru_cache(lambda name: shell(f"{PROGRAM} {commands[name]} > /dev/null 2>&1").returncode)


def test_every_verb_is_tried(commands: dict[str, str]) -> None:
    assert list(commands) == NAMES
    assert set(VERBS) <= {command.split()[0] for command in commands.values()}


@pytest.mark.parametrize("stream", ["> /dev/full", ">&-"])
@pytest.mark.parametrize("name", NAMES)
def test_an_output_that_cannot_be_written_is_one_sentence_and_no_success(
    commands: dict[str, str], usual: Callable[[str], int], name: str, stream: str
) -> None:
    done = shell(f"{PROGRAM} {commands[name]} {stream}", PYTHONUNBUFFERED="1" if "full" in stream else "")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if name in PRINTS:
        reason = "No space left on device" if "full" in stream else "Bad file descriptor"
        assert done.returncode == 1, done.stderr
        assert done.stderr.endswith(f"the output cannot be written: {reason}\n")
    else:
        assert done.returncode == usual(name), done.stderr


@pytest.mark.parametrize("streams", ["2> /dev/full", "2>&-", "<&- 2>&-"])
@pytest.mark.parametrize("name", FAST)
def test_a_standard_error_that_takes_nothing_changes_no_exit_code(
    commands: dict[str, str], usual: Callable[[str], int], name: str, streams: str
) -> None:
    assert shell(f"{PROGRAM} {commands[name]} > /dev/null {streams}").returncode == usual(name)


@pytest.mark.parametrize("name", sorted(PRINTS - {"demo"}))
def test_a_reader_that_is_gone_is_no_fault(commands: dict[str, str], usual: Callable[[str], int], name: str) -> None:
    # The reader goes away before the first byte comes.
    done = shell(f"set -o pipefail; {PROGRAM} {commands[name]} | true")
    assert done.returncode in (0, usual(name))
    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_neither_a_home_nor_a_terminal_nor_a_locale_nor_a_working_directory_is_needed(
    commands: dict[str, str], usual: Callable[[str], int], name: str, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    bare = f"env -i PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 LC_ALL=POSIX PYTHONIOENCODING=ascii:strict {PROGRAM}"
    done = shell(f"cd {gone} && rmdir {gone} && {bare} {commands[name]} <&-")
    assert "Traceback" not in done.stderr
    assert done.returncode == usual(name), done.stderr


@pytest.mark.parametrize("name", ["run", "connect", "demo", "status"])
def test_an_interpreter_that_this_user_cannot_run_is_one_sentence(
    commands: dict[str, str], usual: Callable[[str], int], name: str, tmp_path: Path
) -> None:
    (tmp_path / "python").write_text("not for you")
    (tmp_path / "python").chmod(0o644)
    code = (
        f"import sys; sys.executable = {str(tmp_path / 'python')!r}\n"
        f"from tie_forwarder.cli import invoke; sys.exit(invoke({commands[name].split()!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert "Traceback" not in done.stderr
    if name == "status":
        assert done.returncode == usual(name)  # it starts no process
    else:
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Permission denied" in done.stdout + done.stderr


def test_a_closed_standard_input_cannot_be_decoded() -> None:
    done = shell(f"{PROGRAM} decode - <&-")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cannot read the standard input: Bad file descriptor")


URLS = [
    "http://[::1",
    "http://[::1]:x",
    "http://a:99999",
    "http://",
    "",
    "ftp://a",
    "//",
    "http://\u2100",
    "http://a\u2100b",
]
URLS += [
    "http://a b",
    "http://" + "a" * 70 + ".b",
    "http://127.0.0.1:1/\x01",
    "http://127.0.0.1:1/ x",
    "\udcff",
    "http://%zz",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_is_none_is_one_sentence(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["status", "--url", url]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.strip().isprintable()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        *((["simulate", "--rate", rate], 2) for rate in ("nan", "inf", "-inf", "-1", "0", "x")),
        *((["simulate", "--invalid", percent], 2) for percent in ("nan", "inf", "-1", "101")),
        *((["demo", "--seconds", seconds], 2) for seconds in ("nan", "inf", "0")),
        *((["demo", "--rate", rate], 2) for rate in ("nan", "inf", "0")),
        *((["simulate", "--seed", seed], 2) for seed in ("nan", "1e5", "9" * 5000)),
        *((["simulate", "--config", "/nowhere", "--rate", rate], 78) for rate in ("1e308", "5e-324")),
        (["simulate", "--config", "/nowhere", "--count", "9" * 100], 78),
        (["tail", "--config", "/nowhere", "--count", "9" * 100], 78),
        (["dead-letters", "--config", "/nowhere", "--limit", "9" * 100], 78),
        (["find", EVENT, "--config", "/nowhere", "--since", "999999999d"], 78),
        (["find", EVENT, "--config", "/nowhere", "--since", "0001-01-01"], 78),
        (["find", EVENT, "--config", "/nowhere", "--since", "9999-12-31T23:59:59-23:00"], 78),
    ],
)
def test_a_number_that_is_none_is_wrong_usage(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == code
    assert capsys.readouterr().err.strip()


# Answers of an enemy


@contextmanager
def answering(answer: bytes | Callable[[socket.socket], None]) -> Iterator[int]:
    """A port that gives each client this answer, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=(client,), daemon=True).start()

        def serve_one(client: socket.socket) -> None:
            with client:
                try:
                    client.recv(4096)
                    if callable(answer):
                        answer(client)
                    else:
                        client.sendall(answer)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def drip(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.2)


def drip_headers(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        client.sendall(b"x: y\r\n")
        time.sleep(0.2)


def flood(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        client.sendall(b"[" * 100_000)


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


ANSWERS: dict[str, bytes | Callable[[socket.socket], None]] = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-x\r\n",
    "bad status": b"HTTP/1.1 abc OK\r\n\r\n",
    "endless line": b"HTTP/1.1 200 " + b"x" * 100_000,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
    "slow": drip,
    "slow headers": drip_headers,
    "endless": flood,
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}",
    "redirect": http(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n"),
    "error": http(b"\x1b[2Jgone", "500 Oops\x1b[2J"),
    "HTML": http(b"<html>"),
    "not UTF-8": http(b"\xff\xfe"),
    "deep": http(b"[" * 100_000),
    "a list": http(b"[]"),
    "null": http(b"null"),
    "empty": http(b"{}"),
    "huge number": http(b'{"state": ' + b"9" * 10_000 + b"}"),
}


def mutated_reports() -> Iterator[dict[str, Any]]:
    """Reports with a wrong value in each place."""

    def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, part in inner:
            yield (*path, name)
            yield from places(part, (*path, name))

    base = example()
    base["dead_letters"]["last"] = [letter()]
    for path in places(base):
        values: tuple[Any, ...] = (None, [], {}, "x", -1, 1e308, True, float("inf"), "\x1b[2J", [[]], {"a": {}})
        for wrong in values:
            made = json.loads(json.dumps(base))
            part = made
            for name in path[:-1]:
                part = part[name]
            part[path[-1]] = wrong
            yield made


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("verb", ["status", "healthcheck", "check"])
def test_a_hostile_answer_is_one_sentence_and_in_time(tmp_path: Path, verb: str, name: str) -> None:
    with answering(ANSWERS[name]) as port:
        file = tmp_path / "config.yaml"
        file.write_text(f"http: {{listen: '127.0.0.1:{port}'}}\nspool: {{directory: {tmp_path / 'spool'}}}\n")
        arguments = {"status": f"status --url http://127.0.0.1:{port}", "check": f"check --connect --config {file}"}
        began = time.monotonic()
        done = shell(f"{PROGRAM} {arguments.get(verb, f'{verb} --config {file}')}")
        assert time.monotonic() - began < PROMISED_SECONDS
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    if verb == "check":
        line = next(line for line in done.stdout.splitlines() if "port.free" in line)
        assert "no tie-forwarder that answers" in line or "has not ended within" in line
    elif verb == "healthcheck" and done.returncode == 0:
        assert done.stdout == "alive\n"  # the status alone says so
    else:
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1


def test_a_report_with_a_wrong_value_in_any_place_is_shown_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    current = {"body": b""}
    with answering(lambda client: client.sendall(http(current["body"]))) as port:
        refused = 0
        for made in mutated_reports():
            current["body"] = json.dumps(made).encode()
            code = invoke(["status", "--url", f"http://127.0.0.1:{port}"])
            output = capsys.readouterr()
            assert "\x1b" not in output.out + output.err
            if "not as a forwarder of this version" in output.err:
                refused += 1
                assert code == 1
                assert output.out == ""
        assert refused
