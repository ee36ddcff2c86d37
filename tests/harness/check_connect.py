"""`check --connect` as the tests ask it: the lines by code and subject."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tie_forwarder.cli import invoke


class Line(NamedTuple):
    """One finding."""

    state: str
    found: str
    remedy: str


class Answer:
    """What one trial has found."""

    def __init__(self, exit_code: int, document: dict[str, Any]) -> None:
        self.exit_code = exit_code
        self.document = document
        self.lines: dict[tuple[str, str], Line] = {
            (line["code"], line["subject"]): Line(line["state"], line["found"], line["remedy"])
            for line in document["findings"]
        }

    def line(self, code: str, subject: str | None = None) -> Line:
        """The line; the only one of its code where no subject is given."""
        found = [line for (its, of), line in self.lines.items() if its == code and subject in (None, of)]
        assert len(found) == 1, f"{code} {subject}: {self.lines}"
        return found[0]

    def of_state(self, state: str) -> list[str]:
        """The codes of the lines of this state, in their order."""
        return [code for (code, _), line in self.lines.items() if line.state == state]


class Site:
    """A configuration to try."""

    def __init__(self, config: dict[str, dict[str, Any]], file: Path, read: Callable[[], str]) -> None:
        self.config = config
        self.file = file
        self._read = read

    def write(self) -> None:
        """Write `config` to its file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(yaml.safe_dump(self.config))

    def run(self, *arguments: str) -> int:
        """Run the verb without `--json`."""
        self.write()
        return invoke(["check", "--connect", "--config", str(self.file), *arguments])

    def check(self, *arguments: str) -> Answer:
        """Try everything; the exit code must be the one in the document."""
        exit_code = self.run("--json", *arguments)
        document = json.loads(self._read())
        assert document["exit_code"] == exit_code
        assert document["works"] == (exit_code == 0)
        return Answer(exit_code, document)

    def failure(self, code: str, *arguments: str) -> Line:
        """The line, which must have failed with a remedy, and keep the service from working."""
        answer = self.check(*arguments)
        assert answer.exit_code in (1, 78)
        line = answer.line(code)
        assert line.state == "failed", answer.lines
        assert line.remedy
        return line


def reader(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was printed since the last call."""
    return lambda: capsys.readouterr().out
