"""The record of a valid event: value, key, and the CloudEvents headers of the Kafka binding's binary mode.

The headers are the same in every format of the value but for the content type, so that a group recognises its events
and a consumer finds them without looking into the value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.message import Message
from tie_forwarder.records.formats import Format, Origin
from tie_forwarder.records.formats.format import JSON
from tie_forwarder.records.record import Record, agent_id, rfc3339, rfc3339_milliseconds, shortened

KeyBy = Literal["agent_guid", "sha256", "event_id", "none"]

_Header = tuple[str, bytes]


def render_event(
    event: Event, message: Message, *, event_id: str, fabric: str, key_by: KeyBy, form: Format = JSON
) -> Record:
    """The record of the event: complete but for `ce_forwarder`, which the member that publishes it adds.

    Headers without a value are left out.
    """
    specversion, source, ce_type, content_type, topic = _constant_headers(event.kind, fabric, form)
    headers = [specversion, ("ce_id", event_id.encode()), source, ce_type]
    time = event.time
    ce_time = None if time is None else rfc3339(time)
    if ce_time:
        headers.append(("ce_time", ce_time))
    subject = event.strongest_hash or event.public_key_hash
    if subject:
        headers.append(("ce_subject", subject.encode()))
    headers += (content_type, topic)
    if client := shortened(message.source_client_id):
        headers.append(("ce_dxlclient", client.encode()))
    if broker := shortened(message.source_broker_id):
        headers.append(("ce_dxlbroker", broker.encode()))
    received = rfc3339_milliseconds(message.received_at_ms)
    if received:
        headers.append(("ce_receivedtime", received))
    origin = Origin(message, event_id, source[1], received, ce_time, subject, client, broker)
    return Record(
        event.kind.name,
        event_id,
        _key(event, event_id, key_by),
        form.render(event, origin),
        tuple(headers),
        message.received_at_ms,
    )


@lru_cache(maxsize=64)
def _constant_headers(kind: Kind, fabric: str, form: Format) -> tuple[_Header, _Header, _Header, _Header, _Header]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_source", f"/opendxl/{quote(fabric, safe='')}".encode()),
        ("ce_type", kind.ce_type.encode()),
        ("content-type", form.content_type),
        ("ce_dxltopic", kind.topic.encode()),
    )


def _key(event: Event, event_id: str, key_by: KeyBy) -> bytes | None:
    """The key; None where its field is missing or empty.

    What is about no endpoint has, in the place of the agent, the file or the certificate that it is about.
    """
    text: str | None = None
    if key_by == "agent_guid" and event.kind.agent_field is None:
        text = event.public_key_hash or event.strongest_hash
    elif key_by == "agent_guid":
        text = agent_id(event.agent)
    elif key_by == "sha256":
        text = (event.fields.get("hashes") or {}).get("sha256")
    elif key_by == "event_id":
        text = event_id
    return text.encode() if text else None
