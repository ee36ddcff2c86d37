"""A record of the dead-letter topic: a dead letter, a marker that one was replayed, or what others have written there.

Every header comes from the topic, where anybody with the right to write may have put it: nothing is trusted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from tie_forwarder.events.message import Message
from tie_forwarder.records.replayed import REPLAYED_AT, REPLAYED_TIME, REPLAYED_TO

if TYPE_CHECKING:
    from tie_forwarder.kafka_queries import OutputRecord

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Letter(NamedTuple):
    """A dead letter."""

    event_id: str
    reason: str
    """The code; of a later version, or of a forger, it may be one that is not known here."""
    detail: str
    dxl_topic: str
    dxl_client: str
    received_at_ms: int
    payload: bytes
    refused: bool
    """Whether Kafka refused the record: then the payload is what the record held, perhaps cut, and not the message."""
    record: OutputRecord
    """The record that it was read from."""

    def message(self) -> Message:
        """The message of the fabric, as it came then; the broker that carried it is not known any more."""
        return Message(self.event_id, self.dxl_topic, self.dxl_client, "", self.payload, self.received_at_ms)


class Marker(NamedTuple):
    """Says that the event of a dead letter was replayed."""

    event_id: str
    replayed_at: str
    replayed_to: str


def packed(event_id: str) -> bytes:
    """The id in 16 bytes, for whoever keeps many."""
    return bytes.fromhex(event_id.replace("-", ""))


def read_record(record: OutputRecord) -> Letter | Marker | None:
    """What a record of the dead-letter topic is; None for what no forwarder has written."""
    event_id = record.header("ce_id")
    if not _UUID.fullmatch(event_id) or not record.header("forwarder_version"):
        return None
    if record.header(REPLAYED_AT):
        return Marker(event_id, record.header(REPLAYED_AT), record.header(REPLAYED_TO))
    if not record.header("reason"):
        return None
    return Letter(
        event_id=event_id,
        reason=record.header("reason"),
        detail=record.header("detail"),
        dxl_topic=record.header("dxl_topic"),
        dxl_client=record.header("dxl_client"),
        received_at_ms=_milliseconds(record.header("received_at"), record.timestamp_ms),
        payload=record.value or b"",
        refused=bool(record.header("original_size")),
        record=record,
    )


def replayed_event(record: OutputRecord) -> str | None:
    """The id of the event that a record of another topic holds, where a replay has written it."""
    event_id = record.header("ce_id")
    return event_id if record.header(REPLAYED_TIME) and _UUID.fullmatch(event_id) else None


def _milliseconds(text: str, otherwise: int) -> int:
    """The time of receipt; the record's timestamp, which is the same as a rule, where the header is none."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
