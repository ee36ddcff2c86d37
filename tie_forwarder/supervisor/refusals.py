"""What becomes of a record that Kafka refuses: a dead letter, a shorter dead letter, or nothing that Kafka takes."""

from __future__ import annotations

from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.dead_letter import render_refused
from tie_forwarder.records.record import Record

_FIRST_CUT_BYTES = 900_000
_LEAST_BYTES = 64


def dead_letter_of(record: Record, *, code: str, detail: str) -> Record | None:
    """The dead letter that takes the record's place; None when even an empty one was refused.

    What is too large is cut below Kafka's default limit first and quartered from there, since the topic's limit is not
    known here. A dead letter that is refused for another reason than its size can go nowhere.
    """
    size = len(record.value)
    refused_before = record.destination == "dead_letter"
    if code != "too_large":
        if refused_before:
            return None
        return render_refused(record, reason=Reason.REFUSED_INVALID, detail=detail, keep_bytes=size)
    if refused_before and size == 0:
        return None
    keep = _FIRST_CUT_BYTES if size > _FIRST_CUT_BYTES else size // 4
    if keep < _LEAST_BYTES:
        keep = 0
    return render_refused(record, reason=Reason.REFUSED_TOO_LARGE, detail=detail, keep_bytes=keep)
