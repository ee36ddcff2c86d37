"""A place where an event was seen, with the times that are known of it. Values as they came: not fit for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tie_forwarder.records.replayed import REPLAYED_AT, REPLAYED_TIME, REPLAYED_TO
from tie_forwarder.records.text import rfc3339, rfc3339_milliseconds

if TYPE_CHECKING:
    from tie_forwarder.kafka_queries import OutputRecord
    from tie_forwarder.spool import Row

Place = Literal["spool", "output", "dead_letters", "replayed"]
"""`replayed` is the marker beside a dead letter that says that it was."""

Sighting = dict[str, Any]


def in_spool(row: Row, *, topic: str | None) -> Sighting:
    """It waits for Kafka, for `topic`."""
    record = row.record
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    return {
        "place": "spool",
        "position": row.position,
        "destination": record.destination,
        "topic": topic,
        "event_id": record.event_id,
        "received_at": _moment(rfc3339_milliseconds(record.received_at_ms)),
        "event_time": None if row.detected_at is None else _moment(rfc3339(row.detected_at)),
        "reason": headers.get("reason"),
        "detail": headers.get("detail"),
    }


def in_kafka(record: OutputRecord, *, dead_letters: str) -> Sighting:
    """It stands in a topic; `dead_letters` is the name of the one for those."""
    marker = record.topic == dead_letters and bool(record.header(REPLAYED_AT))
    place: Place = "replayed" if marker else "dead_letters" if record.topic == dead_letters else "output"
    said = {
        "event_id": record.header("ce_id"),
        "received_at": record.header("ce_receivedtime") or record.header("received_at"),
        "event_time": record.header("ce_time"),
        "timestamp": _moment(rfc3339_milliseconds(record.timestamp_ms)),
        "published_by": record.header("ce_forwarder"),
        "reason": record.header("reason"),
        "detail": record.header("detail"),
        "replayed_at": record.header(REPLAYED_TIME) or record.header(REPLAYED_AT),
        "replayed_to": record.header(REPLAYED_TO),
    }
    where = {"place": place, "topic": record.topic, "partition": record.partition, "offset": record.offset}
    return {**where, **{name: value or None for name, value in said.items()}}


def _moment(text: bytes | None) -> str | None:
    """None also for a time that no calendar has."""
    return None if text is None else text.decode()
