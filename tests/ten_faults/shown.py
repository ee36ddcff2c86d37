"""What is shown of a fault, wherever a person may look."""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.harness.forwarder import PROGRAM, Forwarder
from tests.lifecycle.running import log_of

_SECONDS = 60.0
_ATTEMPTS = 10
_TAGS = re.compile(r"<[^>]*>")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Shown:
    """The words. `lines` are those of `check --connect` that are not ok, by code."""

    state: str
    reason: str
    detail: str
    remedy: str
    page: str
    status: str
    log: dict[str, Any]
    lines: dict[str, tuple[str, str, str]]
    check_exit_code: int

    def complaints(self, expected: tuple[str, ...]) -> list[str]:
        """Where cause or remedy are missing; `expected` are the lines of `check --connect` that must be there."""
        missing = [
            f"{where} does not show {what!r}"
            for where, text in (("the page", self.page), ("`status`", self.status))
            for what in (self.reason, self.detail, self.remedy)
            if _plain(what).lower() not in _plain(text).lower()
        ]
        for name in ("state", "reason", "remedy"):
            if self.log.get(name) != getattr(self, name):
                missing.append(f"the log says {self.log.get(name)!r} for the {name}")
        missing += [f"check has no line {code}: {self.lines}" for code in expected if code not in self.lines]
        missing += [f"check has no remedy for {code}" for code in expected if not self.lines.get(code, ("", "", ""))[2]]
        return missing


def look(forwarder: Forwarder) -> Shown:
    """Everything at one moment, but for `check --connect`, which comes last because it takes its time."""
    status, page, told = _at_one_moment(forwarder)
    problem = next(each for each in status["problems"] if each["reason"] == status["reason"])
    log = [
        line
        for line in log_of(forwarder)
        if line["event"] == "state.changed" and (line["state"], line["reason"]) == (status["state"], status["reason"])
    ]
    check = _run(forwarder, "check", "--connect", "--json")
    return Shown(
        state=status["state"],
        reason=status["reason"],
        detail=problem["detail"],
        remedy=status["remedy"],
        page=html.unescape(_TAGS.sub(" ", page)),
        status=told,
        log=log[-1] if log else {},
        lines={
            line["code"]: (line["state"], line["found"], line["remedy"])
            for line in reversed(json.loads(check.stdout)["findings"])
            if line["state"] in ("failed", "warning")
        },
        check_exit_code=check.returncode,
    )


def _at_one_moment(forwarder: Forwarder) -> tuple[dict[str, Any], str, str]:
    """`/status`, the page and `status`, between which the problems have not changed."""
    for _ in range(_ATTEMPTS):
        before = forwarder.status()
        page, told = forwarder.get("/")[1], _run(forwarder, "status").stdout
        if forwarder.status()["problems"] == before["problems"]:
            break
    return before, page, told


def _run(forwarder: Forwarder, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *arguments, "--config", str(forwarder.config_file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).strip()
