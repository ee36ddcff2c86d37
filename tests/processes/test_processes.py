"""A child and its parent hear each other and nothing else, and the child never outlives the parent."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness.server_process import is_gone
from tests.harness.waiting import wait_until
from tie_forwarder.log import ConsoleLines, JournalLines, JsonLines
from tie_forwarder.processes.child import Child
from tie_forwarder.processes.frames import Decoder, Kind

REPOSITORY = Path(__file__).parents[2]


class Listening:
    """A child and the frames that have come from it."""

    def __init__(self, behaviour: str, **more: Any) -> None:
        self.child = Child("sample", module="tests.harness.sample_child")
        self.child.start({"log_level": "info", "behaviour": behaviour, **more})
        self.frames: list[tuple[Kind, Any]] = []
        self.ended = False
        self._decoder = Decoder()

    def read(self) -> None:
        if select.select([self.child.output], [], [], 0.0)[0]:
            data = os.read(self.child.output, 1 << 16)
            self.ended = not data
            self.frames += [(kind, json.loads(body)) for kind, body in self._decoder.feed(data)]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            self.read()
            return condition()

        wait_until(holds, timeout=10.0, what=what)

    def until_settled(self) -> dict[str, Any]:
        """Waits for the frame that the child sends once it has behaved; that frame."""
        self.until(lambda: any(kind is Kind.STATUS for kind, _ in self.frames), "the status")
        return next(body for kind, body in self.frames if kind is Kind.STATUS)


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    made: list[Listening] = []

    def make(behaviour: str, **more: Any) -> Listening:
        made.append(Listening(behaviour, **more))
        return made[-1]

    yield make
    for listening in made:
        listening.child.kill()
        listening.child.close()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """What the main process has logged so far: name of the event, level, and keys."""
    caplog.set_level("INFO")

    def lines() -> list[dict[str, Any]]:
        return [
            {"event": record.getMessage(), "level": record.levelname, **getattr(record, "keys", {})}
            for record in caplog.records
        ]

    return lines


def test_what_a_library_prints_goes_to_the_log_and_never_among_the_frames(
    listen: Callable[..., Listening], logged: Callable[[], list[dict[str, Any]]]
) -> None:
    listening = listen("print")
    listening.until_settled()
    listening.child.kill()
    listening.child.close()
    lines = logged()
    assert [kind for kind, _ in listening.frames] == [Kind.STATUS]
    texts = [line["text"] for line in lines if line["event"] == "child.output"]
    assert sorted(texts) == ["a library says hello", "and so does C"]
    [own] = [line for line in lines if line["event"] == "sample.logged"]
    assert (own["process"], own["level"], own["number"]) == ("sample", "INFO", 7)


def test_a_line_without_an_end_takes_no_memory_and_hides_no_other(
    listen: Callable[..., Listening], logged: Callable[[], list[dict[str, Any]]]
) -> None:
    listening = listen("long_line")
    listening.until_settled()
    listening.child.kill()
    listening.child.close()
    lines = logged()
    assert max(len(line.get("text", "")) for line in lines) <= 65_536
    assert any(line["event"] == "sample.after" for line in lines)


def test_hostile_text_of_a_child_drives_no_terminal_and_forges_no_line(
    listen: Callable[..., Listening], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    listening = listen("hostile")
    listening.until_settled()
    listening.child.kill()
    listening.child.close()
    assert len(caplog.records) >= 5
    for form in (JsonLines(), ConsoleLines(colours=False), JournalLines(JsonLines())):
        for record in caplog.records:
            first, *rest = form.format(record).split("\n")
            assert not set("\r\x1b\x00\x9b\u2028\u202e\x7f") & set(first + "".join(rest))
            assert all(line.startswith("    ") for line in rest)


def test_the_parent_is_heard_and_frames_come_in_order(listen: Callable[..., Listening]) -> None:
    listening = listen("echo")
    listening.until_settled()
    for number in range(50):
        assert listening.child.say({"number": number})
    listening.until(lambda: len(listening.frames) == 51, "the echo")
    assert [body["heard"]["number"] for kind, body in listening.frames if kind is Kind.REPORT] == list(range(50))


def test_everything_that_a_child_wrote_before_its_end_is_read(listen: Callable[..., Listening]) -> None:
    listening = listen("chatter")
    assert listening.child.wait(10.0)
    listening.until(lambda: listening.ended, "the end of the pipe")
    assert [body["number"] for _, body in listening.frames] == list(range(1_000))
    assert not listening.child.say({"verb": "stop"}), "one that is gone hears nothing, and nobody is hurt"


def test_a_child_that_does_not_listen_cannot_hold_its_parent(listen: Callable[..., Listening]) -> None:
    listening = listen("deaf", ballast="x" * 500_000)
    listening.until_settled()
    line = {"verb": "grant", "ballast": "x" * 3_000}
    started = time.monotonic()
    said = [listening.child.say(line) for _ in range(2_000)]
    assert not said[-1]
    assert time.monotonic() - started < 2.0
    assert not listening.child.wait(0.01)
    listening.child.kill()
    assert listening.child.exit_code() == -9


def test_the_level_of_its_log_changes_without_a_new_process(
    listen: Callable[..., Listening], logged: Callable[[], list[dict[str, Any]]]
) -> None:
    listening = listen("echo")
    listening.until_settled()
    for line in ({"number": 1}, {"verb": "log_level", "level": "error"}, {"number": 2}):
        assert listening.child.say(line)
    listening.until(lambda: len(listening.frames) == 3, "the echo")
    listening.child.kill()
    listening.child.close()
    assert [line["number"] for line in logged() if line["event"] == "sample.heard"] == [1]


def test_a_child_does_not_inherit_the_secrets_of_the_environment(
    listen: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIE_FORWARDER_KAFKA__SECURITY__SASL__PASSWORD", "sesame-5521")
    environment = listen("echo").until_settled()["environment"]
    assert "PATH" in environment
    assert "sesame-5521" not in str(environment)


PARENT = """
import signal, sys
from tie_forwarder.processes.child import Child
child = Child("sample", module="tests.harness.sample_child")
child.start({"log_level": "info", "behaviour": sys.argv[1]})
print(child.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("behaviour", ["echo", "deaf"])
def test_a_child_dies_with_a_parent_that_is_killed(behaviour: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, behaviour],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    wait_until(lambda: is_gone(child), timeout=5.0, what="the child gone")


@pytest.mark.parametrize("last", [b"", b'{"verb": "st'], ids=["at-rest", "in-the-middle-of-a-line"])
def test_the_end_of_the_parents_pipe_is_the_end_of_the_child(last: bytes) -> None:
    # Its parent, this process, lives on: only the pipe tells.
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.harness.sample_child"],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(b'{"log_level": "info", "behaviour": "echo"}\n' + last)
    child.stdin.close()
    assert child.wait(10.0) == 0
    for pipe in (child.stdout, child.stderr):
        assert pipe is not None
        pipe.close()


def test_a_child_whose_parent_reads_no_more_ends(listen: Callable[..., Listening]) -> None:
    listening = listen("echo")
    listening.until_settled()
    assert listening.child._process is not None
    assert listening.child._process.stdout is not None
    listening.child._process.stdout.close()
    listening.child.say({"verb": "hello"})
    assert listening.child.wait(5.0)
    assert listening.child.exit_code() == 0
