"""The log is one form for three processes, and nothing from outside can forge a line of it."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.clock import Clock
from tie_forwarder.log import (
    WINDOW_SECONDS,
    WRITTEN_IN_A_WINDOW,
    ConsoleLines,
    Handler,
    JournalLines,
    JsonLines,
    Repeats,
    configure,
    relay,
    tell_repeats,
)
from tie_forwarder.processes.log import JsonFormatter


def record(message: str, *, keys: dict[str, Any] | None = None, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("library.part", logging.WARNING, "", 0, message, (), None)
    if keys is not None:
        made.__dict__["keys"] = keys
    made.__dict__.update(more)
    made.created = 1_700_000_000.25
    return made


def test_an_event_is_one_json_object_with_its_keys() -> None:
    line = JsonLines().format(record("child.replaced", keys={"child": "receiver", "seconds": 1.5}))
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "event": "child.replaced",
        "child": "receiver",
        "seconds": 1.5,
    }


def test_a_line_of_a_library_bears_its_name() -> None:
    assert json.loads(JsonLines().format(record("100% lost")))["logger"] == "library.part"


@pytest.mark.parametrize("form", [JsonLines(), ConsoleLines(colours=False)])
@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[2Jgone", "\u2028", "\x9b31m", '"}\n{"event": "forged"}'])
def test_text_from_outside_can_neither_drive_a_terminal_nor_forge_a_line(form: logging.Formatter, hostile: str) -> None:
    line = form.format(record("event", keys={"text": hostile, "list": [hostile], hostile: 1}))
    assert not set(line) & set("\n\x1b\u2028\x9b")
    assert len(line.splitlines()) == 1


def test_spaces_and_letters_of_all_languages_stay_as_they_are() -> None:
    text = "na\u00efve \u00a0\u3000\u0645\u0631\u062d\u0628\u0627 \u4f60\u597d \U0001f600 e\u0301"
    assert json.loads(JsonLines().format(record("event", keys={"text": text})))["text"] == text
    assert f"text='{text}'" in ConsoleLines(colours=False).format(record("event", keys={"text": text})).replace(
        "\\xa0\\u3000", "\u00a0\u3000"
    )


def test_what_is_endless_is_cut() -> None:
    line = JsonLines().format(record("event", keys={"text": "x" * 100_000}))
    assert len(line) < 3_000


def test_what_cannot_be_json_is_shown_anyway() -> None:
    line = JsonLines().format(record("event", keys={"error": ValueError("bad"), "bytes": b"\xff"}))
    assert json.loads(line)["error"] == "bad"


def test_a_traceback_stands_below_the_line_for_people_and_in_it_for_machines() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 / int("0")
    info = (raised.type, raised.value, raised.tb)
    failed = record("flow.failed", keys={"loop": "flow"}, exc_info=info)
    assert "ZeroDivisionError: division by zero" in json.loads(JsonLines().format(failed))["exception"]
    first, *rest = ConsoleLines(colours=False).format(failed).splitlines()
    assert first.split() == ["2023-11-14T22:13:20.250Z", "warning", "flow.failed", "loop=flow"]
    assert rest[-1] == "    ZeroDivisionError: division by zero"


def test_colours_are_for_terminals_only() -> None:
    event = record("event", keys={"key": "two words", "empty": ""})
    assert ConsoleLines(colours=False).format(event).endswith("key='two words'")
    assert "\x1b[33m" in ConsoleLines(colours=True).format(event)


def test_a_line_of_a_child_is_logged_under_its_name_and_what_is_none_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    relay("receiver", '{"level": "error", "event": "it.failed", "code": 7, "process": "forged"}')
    relay("receiver", "Segmentation fault\n")
    relay("receiver", '["no", "object"]')
    relay("receiver", '{"level": 5, "no": "event"}')
    relay("receiver", " \n")
    found = [(entry.levelname, entry.getMessage(), entry.__dict__["keys"]) for entry in caplog.records]
    assert found == [
        ("ERROR", "it.failed", {"code": 7, "process": "receiver"}),
        ("WARNING", "child.output", {"process": "receiver", "text": "Segmentation fault"}),
        ("WARNING", "child.output", {"process": "receiver", "text": '["no", "object"]'}),
        ("WARNING", "child.output", {"process": "receiver", "text": '{"level": 5, "no": "event"}'}),
    ]


HOSTILE = "a\r\n<0>forged\x1b[2J\x00\x9b31m\u2028\u202e\ud800\x7f<3>b\n2026-11-24T06:30:00Z info forged"
UNSEEN = "\u061c\u200b\u200d\u2060\u2066\ufeff\u00ad\u180e\U000e0041\U000e0100\ufe0f\u115f\u034f\ue000\uffff\u2029"
HOSTILE = f"{UNSEEN}{HOSTILE}"
CONTROLS = set(f"\r\x1b\x00\x9b\u2028\u202e\ud800\x7f{UNSEEN}")


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def written(root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the handler of the daemon writes."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    configure(level="info", form="json", environ={})
    stream = sys.stderr
    assert isinstance(stream, io.StringIO)
    return stream


def hostile_records() -> Iterator[logging.LogRecord]:
    """Hostile text in every place where text can be."""
    with pytest.raises(ValueError, match="forged") as raised:
        raise ValueError(HOSTILE)
    info = (raised.type, raised.value, raised.tb)
    yield record(HOSTILE)
    yield record(HOSTILE, exc_info=info)
    yield record("event", keys={HOSTILE: HOSTILE, "list": [HOSTILE], "map": {HOSTILE: HOSTILE}, "error": raised.value})
    yield record("event", keys={"exception": HOSTILE})
    yield record("event", keys={"exception": [HOSTILE]})
    yield record("event", keys={"text": HOSTILE.encode("utf-8", "surrogatepass")}, exc_info=info)


@pytest.mark.parametrize("form", [JsonLines(), ConsoleLines(colours=False)])
def test_hostile_text_in_any_place_stays_in_its_line(form: logging.Formatter) -> None:
    for one in hostile_records():
        text = form.format(one)
        assert not CONTROLS & set(text)
        first, *rest = text.split("\n")
        assert all(line.startswith("    ") for line in rest)
        assert not isinstance(form, JsonLines) or not rest
        in_journal = JournalLines(form).format(one)
        assert in_journal == f"<4>{first}" + "".join(f"\n<4>{line}" for line in rest)


@pytest.mark.parametrize("form", [JsonLines(), ConsoleLines(colours=False)])
def test_hostile_text_from_a_child_stays_in_its_line(root_logger: logging.Logger, form: logging.Formatter) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form)
    root_logger.handlers[:] = [handler]
    root_logger.setLevel("DEBUG")
    for one in hostile_records():
        relay("receiver", JsonFormatter().format(one))
    relay("receiver", HOSTILE)
    relay("receiver", json.dumps({"event": {"a": HOSTILE}, "level": HOSTILE, "exception": {"b": HOSTILE}}))
    lines = stream.getvalue().split("\n")[:-1]
    assert not CONTROLS & set(stream.getvalue())
    assert all(line.startswith(("    ", "{", "20")) for line in lines)
    assert sum(not line.startswith("    ") for line in lines) == 8


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 3)]
)
def test_a_line_for_the_journal_bears_its_priority(level: str, priority: int) -> None:
    made = record("event", keys={})
    made.levelno = getattr(logging, level.upper())
    assert JournalLines(JsonLines()).format(made).startswith(f"<{priority}>{{")


def test_priorities_are_written_to_the_journal_only(
    root_logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stderr"
    with file.open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        found = os.fstat(stream.fileno())
        for journal in (f"{found.st_dev}:{found.st_ino}", f"{found.st_dev}:{found.st_ino + 1}", ""):
            configure(level="info", form="auto", environ={"JOURNAL_STREAM": journal})
            logging.getLogger("x").warning("event %s", journal)
    assert [line[:4] for line in file.read_text().splitlines()] == ["<4>{", '{"ti', '{"ti']


class TestRepeats:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def told(self) -> list[logging.LogRecord]:
        return []

    @pytest.fixture
    def repeats(self, clock: Clock, told: list[logging.LogRecord]) -> Repeats:
        return Repeats(told.append, monotonic=clock)

    def test_the_same_is_written_a_few_times_and_then_counted(
        self, clock: Clock, told: list[logging.LogRecord], repeats: Repeats
    ) -> None:
        passed = [repeats.filter(record("it.failed", keys={"why": f"x of {n}", "seconds": n / 7})) for n in range(100)]
        assert passed == [True] * WRITTEN_IN_A_WINDOW + [False] * (100 - WRITTEN_IN_A_WINDOW)
        assert repeats.filter(record("it.failed", keys={"why": "y"}))
        assert repeats.filter(record("it.failed"))
        repeats.tell()
        assert told == []
        clock.now += WINDOW_SECONDS
        repeats.tell()
        (one,) = told
        assert one.__dict__["keys"] == {"why": "x of 99", "seconds": 99 / 7, "repeated": 100 - WRITTEN_IN_A_WINDOW}
        assert repeats.filter(one), "the count itself is written"
        repeats.tell(at_the_end=True)
        assert len(told) == 1

    def test_the_next_of_its_kind_tells_the_count_as_well(self, clock: Clock, repeats: Repeats) -> None:
        for _ in range(8):
            repeats.filter(record("100% lost"))
        clock.now += WINDOW_SECONDS
        following = record("100% lost")
        assert repeats.filter(following)
        assert json.loads(JsonLines().format(following))["repeated"] == 8 - WRITTEN_IN_A_WINDOW
        assert json.loads(JsonLines().format(following))["logger"] == "library.part"

    def test_what_is_for_the_hunt_of_a_fault_always_passes(self, repeats: Repeats) -> None:
        made = record("event", keys={})
        made.levelno = logging.DEBUG
        assert all(repeats.filter(made) for _ in range(100))

    def test_its_memory_is_bounded_whatever_is_said(self, repeats: Repeats) -> None:
        assert all(repeats.filter(record("event " + "x" * number)) for number in range(3_000))
        assert len(repeats.__dict__["_windows"]) <= 1_000


def test_a_flood_is_a_few_lines_and_its_count(written: io.StringIO) -> None:
    for _ in range(50):
        relay("publisher", '{"level": "warning", "event": "it.failed", "detail": "again"}')
    tell_repeats(at_the_end=True)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line.get("repeated") for line in lines] == [None] * WRITTEN_IN_A_WINDOW + [50 - WRITTEN_IN_A_WINDOW]
    assert all(line["process"] == "publisher" for line in lines)
    assert isinstance(logging.getLogger().handlers[0], Handler)
