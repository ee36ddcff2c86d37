"""What becomes of a record that Kafka refuses: a dead letter, a shorter dead letter, or nothing that Kafka takes."""

from __future__ import annotations

from typing import NamedTuple

from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.dead_letter import render_refused
from tie_forwarder.records.record import Record
from tie_forwarder.records.size import batch_bytes

_FIRST_CUT_BYTES = 900_000
_LEAST_BYTES = 64
_LENGTH_BYTES = 8
"""By how much the lengths before a value may grow with it."""


class Refusal(NamedTuple):
    """What the publisher reports of a record that Kafka refuses."""

    code: str
    detail: str
    letter_bytes: int | None
    """How large the dead letter may be as a batch of its own, as far as the publisher knows."""


def dead_letter_of(record: Record, refusal: Refusal) -> Record | None:
    """The dead letter that takes the record's place; None when even an empty one was refused.

    What is too large is cut to what the dead letters' topic takes. Where that is not known, or was refused all the
    same, it is cut below Kafka's default limit first and quartered from there. A dead letter that is refused for
    another reason than its size can go nowhere.
    """
    size = len(record.value)
    refused_before = record.destination == "dead_letter"
    if refusal.code != "too_large":
        if refused_before:
            return None
        return render_refused(record, reason=Reason.REFUSED_INVALID, detail=refusal.detail, keep_bytes=size)
    if refused_before and size == 0:
        return None
    reason, detail = Reason.REFUSED_TOO_LARGE, refusal.detail
    if refusal.letter_bytes is not None:
        empty = render_refused(record, reason=reason, detail=detail, keep_bytes=0)
        room = refusal.letter_bytes - batch_bytes(None, 0, empty.headers) - _LENGTH_BYTES
        if not refused_before or room < size:
            return render_refused(record, reason=reason, detail=detail, keep_bytes=min(size, room))
    keep = _FIRST_CUT_BYTES if size > _FIRST_CUT_BYTES else size // 4
    if keep < _LEAST_BYTES:
        keep = 0
    return render_refused(record, reason=reason, detail=detail, keep_bytes=keep)
