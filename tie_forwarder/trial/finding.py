"""What was found of one thing, in words and as JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class State(StrEnum):
    """What a finding means for the service."""

    OK = "ok"
    WARNING = "warning"
    """It would work, and somebody should look at this."""
    FAILED = "failed"
    """It would not work, or would not keep its promises."""
    NOT_TRIED = "not tried"
    """Something before it failed, or this user may not see it."""


class Finding(NamedTuple):
    """One line. `code` is one of `lines.LINES`, its part before the dot is the area."""

    code: str
    subject: str
    state: State
    found: str
    remedy: str = ""

    @property
    def area(self) -> str:
        return self.code.partition(".")[0]

    def as_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        return {**self._asdict(), "state": self.state.value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Finding:
        return cls(**{**values, "state": State(values["state"])})


class Trying(NamedTuple):
    """Said before a thing is tried that may hang: it is what is named when it does."""

    code: str
    subject: str


Step = Finding | Trying


def ok(code: str, subject: str, found: str) -> Finding:
    return Finding(code, subject, State.OK, found)


def warning(code: str, subject: str, found: str, remedy: str) -> Finding:
    return Finding(code, subject, State.WARNING, found, remedy)


def failed(code: str, subject: str, found: str, remedy: str) -> Finding:
    return Finding(code, subject, State.FAILED, found, remedy)


def not_tried(code: str, subject: str, why: str, remedy: str = "") -> Finding:
    return Finding(code, subject, State.NOT_TRIED, why, remedy)
