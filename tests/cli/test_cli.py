"""The command line's skeleton: verbs, exit codes, and errors as sentences."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest

from tie_forwarder import __version__
from tie_forwarder.cli import command_line, config_options, invoke
from tie_forwarder.cli.verbs import VERBS
from tie_forwarder.errors import ForwarderError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tie_forwarder", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def a_verb(monkeypatch: pytest.MonkeyPatch, command: click.Command) -> Iterator[None]:
    """Puts a command of the test's own in the place of every verb."""
    with monkeypatch.context() as patch:
        patch.setattr(type(command_line), "get_command", lambda *_: command)
        yield


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_the_command_and_the_summary_that_help_promises(name: str) -> None:
    module, _, attribute = VERBS[name].target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.get_short_help_str(limit=200).rstrip(".") == VERBS[name].summary.rstrip(".")


def test_help_loads_no_verb_and_none_of_the_libraries() -> None:
    script = "import sys; from tie_forwarder.cli import invoke; invoke(['--help']); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    listing, modules = output.rsplit("\n", 2)[0], set(output.rsplit("\n", 2)[1].split())
    assert all(name in listing for name in VERBS)
    assert not {verb.target.partition(":")[0] for verb in VERBS.values()} & modules
    assert not {"pydantic", "kafka", "dxlclient", "cryptography", "sqlite3", "yaml"} & modules


def test_version_names_everything_involved_in_both_forms() -> None:
    verb, option = run("version"), run("--version")
    assert verb.returncode == option.returncode == 0
    assert verb.stdout == option.stdout
    names = [line.split()[0] for line in verb.stdout.splitlines()]
    assert names == ["tie-forwarder", "python", "dxlclient", "dxltieclient", "kafka-python"]
    assert f"tie-forwarder {__version__}\n" in verb.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["check", "--nonsense"], ["check", "--set", "novalue"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(arguments) == 2
    assert "Usage:" in capsys.readouterr().err


def test_a_bad_configuration_ends_with_78_and_a_sentence_for_each_fault(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("log: {level: loud}\nhttp: {listen: here}\n", encoding="utf-8")
    done = run("healthcheck", "--config", str(file))
    assert done.returncode == 78
    assert done.stdout == ""
    assert [line.partition(" = ")[0] for line in done.stderr.splitlines()] == [
        f"{file}, line 2: http.listen",
        f"{file}, line 1: log.level",
    ]


def test_what_a_person_can_mend_ends_with_1_and_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command
    def verb() -> None:
        raise ForwarderError("the spool is locked", remedy="stop the other one")

    with a_verb(monkeypatch, verb):
        assert invoke(["run"]) == 1
    assert capsys.readouterr().err == "the spool is locked (stop the other one)\n"


@pytest.mark.parametrize("code", [0, 1, 78])
def test_a_verb_may_return_its_exit_code(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    @click.command
    def verb() -> int:
        return code

    with a_verb(monkeypatch, verb):
        assert invoke(["run"]) == code


def test_an_interrupted_verb_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command
    def verb() -> None:
        raise KeyboardInterrupt

    with a_verb(monkeypatch, verb):
        assert invoke(["tail"]) == 130


def test_a_reader_that_goes_away_ends_the_output_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tie_forwarder", "version"]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_pipe_that_breaks_inside_the_forwarder_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command
    def verb() -> None:
        raise BrokenPipeError

    with a_verb(monkeypatch, verb), pytest.raises(RuntimeError, match="pipe inside"):
        invoke(["run"])


def test_flags_reach_a_verb_as_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    @click.command
    @config_options
    def verb(config: Path | None, overrides: dict[str, str]) -> None:
        seen.update(config=config, overrides=overrides)

    with a_verb(monkeypatch, verb):
        invoke(["run", "--config", "x.yaml", "--set", "kafka.key=none", "--set", "http.listen="])
    assert seen == {"config": Path("x.yaml"), "overrides": {"kafka.key": "none", "http.listen": ""}}


# healthcheck


class Health(BaseHTTPRequestHandler):
    """Answers as a forwarder that lives and is not ready."""

    def do_GET(self) -> None:
        well = self.path == "/healthz"
        self.send_response(200 if well else 503)
        self.end_headers()
        self.wfile.write(b"ok" if well else b"not subscribed\nyet")

    def log_message(self, *_: object) -> None:
        """Keeps the tests' output clean."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "config.yaml"
    file.write_text("", encoding="utf-8")
    return str(file)


def healthcheck(config: str, listen: str, *more: str) -> int:
    return invoke(["healthcheck", "--config", config, "--set", f"http.listen={listen}", *more])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_forwarder_that_lives_is_healthy(config: str, port: int, host: str) -> None:
    assert healthcheck(config, f"{host}:{port}") == 0


def test_a_forwarder_that_is_not_ready_is_unhealthy_when_asked_for_that(
    config: str, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert healthcheck(config, f"127.0.0.1:{port}", "--ready") == 1
    assert capsys.readouterr().err == f"http://127.0.0.1:{port}/readyz answered 503: not subscribed yet\n"


def test_no_answer_is_unhealthy(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert healthcheck(config, f"127.0.0.1:{bound.getsockname()[1]}") == 1
    assert "gave no answer: Connection refused" in capsys.readouterr().err


def test_a_healthcheck_without_an_address_says_so(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck(config, "") == 1
    assert "http.listen" in capsys.readouterr().err


def test_a_healthcheck_goes_through_no_proxy(config: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert healthcheck(config, f"127.0.0.1:{port}") == 0
