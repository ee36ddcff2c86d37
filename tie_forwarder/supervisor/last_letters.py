"""The last dead letters, for /status: why each is one, whence it came, and the first bytes of its payload, escaped.

Owns: ten letters and no more of a payload than is shown, so that a flood of them costs next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tie_forwarder.events.reasons import Reason
from tie_forwarder.printing import printable, text_of
from tie_forwarder.records.record import Record

_KEPT = 10
_FIRST_BYTES = 120
_MEANINGS = {reason.value: reason.description for reason in Reason}


class _Letter(NamedTuple):
    kind: str
    event_id: str
    headers: tuple[tuple[str, bytes], ...]
    size: int
    first_bytes: bytes


class LastLetters:
    """Noted on one thread; `total` and `report` may be asked on another one."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._letters: tuple[_Letter, ...] = ()
        self.total = 0
        """How many there were since the start of the process."""
        self.noted_at: float | None = None
        """When the last one was made, by the monotonic clock."""
        self._reported: tuple[_Letter, ...] = ()
        self._report: list[dict[str, Any]] = []

    def note(self, record: Record, *, kind: str) -> None:
        """A dead letter has been made."""
        # Replaced as a whole, so that reading needs no lock.
        self._letters = (_letter(record, kind), *self._letters[: _KEPT - 1])
        self.total += 1
        self.noted_at = self._monotonic()

    def change(self, record: Record) -> None:
        """A dead letter that was noted before was refused and cut: what Kafka stores is this."""
        self._letters = tuple(
            _letter(record, letter.kind) if letter.event_id == record.event_id else letter for letter in self._letters
        )

    def report(self, *, with_payload: bool = True) -> list[dict[str, Any]]:
        """The newest first, as JSON values; everything in them is printable. Without payload, its bytes are null."""
        letters = self._letters
        if letters is not self._reported:
            self._report = [_described(letter) for letter in letters]
            self._reported = letters
        return self._report if with_payload else [{**letter, "first_bytes": None} for letter in self._report]


def _letter(record: Record, kind: str) -> _Letter:
    return _Letter(kind, record.event_id, record.headers, len(record.value), record.value[:_FIRST_BYTES])


def _described(letter: _Letter) -> dict[str, Any]:
    headers = {name: printable(text_of(value)) for name, value in letter.headers}
    reason = headers.get("reason", "")
    return {
        "received_at": headers.get("received_at"),
        "reason": reason,
        "meaning": _MEANINGS.get(reason, ""),
        "detail": headers.get("detail", ""),
        "kind": letter.kind,
        "dxl_topic": headers.get("dxl_topic", ""),
        "event_id": letter.event_id,
        "bytes": letter.size,
        "first_bytes": printable(text_of(letter.first_bytes)),
    }
