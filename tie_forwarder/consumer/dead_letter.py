"""A dead letter as a consumer reads it: the bytes that were no event, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tie_forwarder.consumer.errors import ForeignRecordError
from tie_forwarder.consumer.record import RawRecord, read_record


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter. What is not known is None."""

    event_id: str | None
    """The id of the DXL message."""
    reason: str
    """The code of the reason; the codes are a closed set, and are never renamed."""
    detail: str
    """The place in the payload and what is expected there."""
    payload: bytes
    """What the fabric carried, untouched; the value of the record that Kafka refused, where it is one."""
    dxl_topic: str | None
    dxl_client: str | None
    received_at: datetime | None
    forwarder: str | None
    """The member of the group that published it to Kafka."""
    forwarder_version: str | None
    original_size: int | None
    """The size of the whole, in bytes, where Kafka refused it and the payload may be cut."""
    sha256: str | None
    """The SHA-256 of the whole, in hex, beside the size."""


def parse_dead_letter(record: Any) -> DeadLetter:
    """The dead letter in a record of any Kafka client. Raises `ForeignRecordError` where the record is none."""
    raw = read_record(record)
    if not is_dead_letter(raw):
        raise ForeignRecordError(raw.place, "it is no dead letter: it lacks the headers reason and forwarder_version")
    return read_dead_letter(raw)


def is_dead_letter(raw: RawRecord) -> bool:
    """Whether the headers are those of a dead letter."""
    return "reason" in raw.headers and "forwarder_version" in raw.headers


def read_dead_letter(raw: RawRecord) -> DeadLetter:
    """The dead letter of a record that is one. Raises `InvalidRecordError`."""
    size = raw.text("original_size") or ""
    return DeadLetter(
        event_id=raw.text("ce_id"),
        reason=raw.text("reason") or "",
        detail=raw.text("detail") or "",
        payload=raw.value or b"",
        dxl_topic=raw.text("dxl_topic"),
        dxl_client=raw.text("dxl_client"),
        received_at=raw.time("received_at"),
        forwarder=raw.text("ce_forwarder"),
        forwarder_version=raw.text("forwarder_version"),
        original_size=int(size) if size.isdecimal() else None,
        sha256=raw.text("sha256"),
    )
