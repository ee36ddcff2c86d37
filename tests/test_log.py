"""The log is one form for three processes, and nothing from outside can forge a line of it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tie_forwarder.log import ConsoleLines, JsonLines, relay


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
    assert rest[-1] == "ZeroDivisionError: division by zero"


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
