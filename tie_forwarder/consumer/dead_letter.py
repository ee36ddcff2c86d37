"""What stands in the dead-letter topic, as a consumer reads it: dead letters, and markers of the replayed ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tie_forwarder.consumer.errors import ForeignRecordError, ReplayMarkerError
from tie_forwarder.consumer.record import RawRecord, read_record
from tie_forwarder.records.replayed import REPLAYED_AT, REPLAYED_TO


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


@dataclass(frozen=True)
class ReplayMarker:
    """Says of a dead letter that its event was replayed."""

    event_id: str | None
    """The `event_id` of the dead letter and of the event."""
    replayed_at: datetime | None
    replayed_to: str
    """The topic where the event stands now."""


def parse_dead_letter(record: Any) -> DeadLetter:
    """The dead letter in a record of any Kafka client.

    Raises `ReplayMarkerError` for the marker of one that was replayed, and `ForeignRecordError` for anything else.
    """
    raw = read_record(record)
    found = read_letter(raw)
    if isinstance(found, ReplayMarker):
        raise ReplayMarkerError(raw.place, found)
    if found is None:
        raise ForeignRecordError(raw.place, "it has not the headers of a dead letter, reason and forwarder_version")
    return found


def read_letter(raw: RawRecord) -> DeadLetter | ReplayMarker | None:
    """What stands among the dead letters; None where the headers are not those of any. Raises `InvalidRecordError`."""
    if "forwarder_version" not in raw.headers:
        return None
    if REPLAYED_AT in raw.headers:
        return _read_marker(raw)
    return _read_dead_letter(raw) if "reason" in raw.headers else None


def _read_marker(raw: RawRecord) -> ReplayMarker:
    return ReplayMarker(raw.text("ce_id"), raw.time(REPLAYED_AT), raw.text(REPLAYED_TO) or "")


def _read_dead_letter(raw: RawRecord) -> DeadLetter:
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
