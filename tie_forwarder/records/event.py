"""The record of a valid event: value, key, and the CloudEvents headers of the Kafka binding's binary mode."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.message import Message
from tie_forwarder.records.record import Record
from tie_forwarder.records.text import MAX_CHARACTERS, clean, rfc3339, rfc3339_milliseconds

KeyBy = Literal["agent_guid", "sha256", "event_id", "none"]

_Header = tuple[str, bytes]


def render_event(event: Event, message: Message, *, event_id: str, fabric: str, key_by: KeyBy) -> Record:
    """The record of the event: complete but for `ce_forwarder`, which the member that publishes it adds.

    The value is compact UTF-8 JSON: known fields in alphabetical order, then unknown ones in wire order; what is
    missing on the wire is missing in it. Headers without a value are left out.
    """
    specversion, source, ce_type, content_type, topic = _constant_headers(event.kind, fabric)
    headers = [specversion, ("ce_id", event_id.encode()), source, ce_type]
    time = event.time
    if time is not None and (ce_time := rfc3339(time)):
        headers.append(("ce_time", ce_time))
    if subject := event.strongest_hash or event.public_key_hash:
        headers.append(("ce_subject", subject.encode()))
    headers += (content_type, topic)
    if message.source_client_id:
        headers.append(("ce_dxlclient", clean(message.source_client_id)))
    if message.source_broker_id:
        headers.append(("ce_dxlbroker", clean(message.source_broker_id)))
    if received := rfc3339_milliseconds(message.received_at_ms):
        headers.append(("ce_receivedtime", received))
    return Record(
        event.kind.name,
        event_id,
        _key(event, event_id, key_by),
        event.kind.adapter.serializer.to_json(event.model, exclude_unset=True),
        tuple(headers),
        message.received_at_ms,
    )


@lru_cache(maxsize=64)
def _constant_headers(kind: Kind, fabric: str) -> tuple[_Header, _Header, _Header, _Header, _Header]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_source", f"/opendxl/{quote(fabric, safe='')}".encode()),
        ("ce_type", kind.ce_type.encode()),
        ("content-type", b"application/json"),
        ("ce_dxltopic", kind.topic.encode()),
    )


def _key(event: Event, event_id: str, key_by: KeyBy) -> bytes | None:
    """The key; None where its field is missing or empty. Of an agent id out of all proportion only the start counts.

    What is about no endpoint has, in the place of the agent, the file or the certificate that it is about.
    """
    text: str | None = None
    if key_by == "agent_guid" and event.kind.agent_field is None:
        text = event.public_key_hash or event.strongest_hash
    elif key_by == "agent_guid":
        text = (event.agent or "")[:MAX_CHARACTERS].strip("{}").lower()
    elif key_by == "sha256":
        text = (event.fields.get("hashes") or {}).get("sha256")
    elif key_by == "event_id":
        text = event_id
    return text.encode() if text else None
