"""Dead letters, and the records of a replay: the event and the marker that says it was replayed."""

from __future__ import annotations

import hashlib

from tie_forwarder import __version__
from tie_forwarder.events.message import Message
from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.record import Record, clean, rfc3339_milliseconds

DESTINATION = "dead_letter"

_VERSION = __version__.encode()


def render_dead_letter(message: Message, *, event_id: str, reason: Reason, detail: str) -> Record:
    """The dead letter of a message that is no valid event: its payload untouched. Never raises."""
    headers = {
        "reason": reason.value.encode(),
        "detail": clean(detail),
        "dxl_topic": clean(message.topic),
        "ce_id": event_id.encode(),
        "dxl_client": clean(message.source_client_id),
        "received_at": rfc3339_milliseconds(message.received_at_ms),
        "forwarder_version": _VERSION,
    }
    return Record(DESTINATION, event_id, None, message.payload, _present(headers), message.received_at_ms)


def render_refused(record: Record, *, reason: Reason, detail: str, keep_bytes: int) -> Record:
    """The dead letter of a record that cannot be published: its value cut to `keep_bytes`.

    `original_size` and `sha256` describe the whole value. Of a dead letter that is refused in its turn the first reason
    stays readable in `detail`, and size and digest stay those of the first value; where it is cut for the same reason
    once more, `detail` stays as it is.
    """
    before = dict(record.headers)
    first = before.get("reason", b"").decode(errors="replace")
    first_detail = before.get("detail", b"").decode(errors="replace")
    if first == reason.value:
        detail = first_detail
    elif first:
        detail = f"{detail}; first: {first}: {first_detail}"
    headers = {
        "reason": reason.value.encode(),
        "detail": clean(detail),
        "dxl_topic": before.get("ce_dxltopic") or before.get("dxl_topic"),
        "ce_id": record.event_id.encode(),
        "dxl_client": before.get("ce_dxlclient") or before.get("dxl_client"),
        "received_at": rfc3339_milliseconds(record.received_at_ms),
        "forwarder_version": _VERSION,
        "original_size": before.get("original_size") or str(len(record.value)).encode(),
        "sha256": before.get("sha256") or hashlib.sha256(record.value).hexdigest().encode(),
    }
    value = record.value[: max(0, keep_bytes)]
    return Record(DESTINATION, record.event_id, None, value, _present(headers), record.received_at_ms)


def _present(headers: dict[str, bytes | None]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in headers.items() if value)


REPLAYED_TIME = "ce_replayedtime"
"""The header that only the record of a replayed event has."""

REPLAYED_AT = "replayed_at"
REPLAYED_TO = "replayed_to"
"""Headers that only a marker has."""

_REPLAYED_VERSION = __version__.encode()


def render_replayed(record: Record, *, replayed_at_ms: int) -> Record:
    """The record of an event as it is replayed now; the time of receipt stays in its headers.

    Its timestamp is the time of the replay: retention counts from the timestamp, and the time of receipt may be so long
    ago that Kafka would delete the record before anybody has read it.
    """
    headers = (*record.headers, (REPLAYED_TIME, rfc3339_milliseconds(replayed_at_ms) or b""))
    return record._replace(headers=headers, received_at_ms=replayed_at_ms)


def render_marker(event_id: str, *, topic: str, replayed_at_ms: int) -> Record:
    """The marker that says of a dead letter that its event stands in `topic`. It has no `reason`, and no value."""
    headers = (
        ("ce_id", event_id.encode()),
        (REPLAYED_AT, rfc3339_milliseconds(replayed_at_ms) or b""),
        (REPLAYED_TO, topic.encode()),
        ("forwarder_version", _REPLAYED_VERSION),
    )
    return Record(DESTINATION, event_id, None, b"", headers, replayed_at_ms)
