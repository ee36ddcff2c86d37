"""A dead letter in words and as JSON. What is returned here is fit for a terminal."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from tie_forwarder.events.reasons import Reason
from tie_forwarder.printing import printable, printable_lines, text_of
from tie_forwarder.records.text import rfc3339_milliseconds

if TYPE_CHECKING:
    from tie_forwarder.dead_letters.letter import Letter, Marker

_FIRST_BYTES = 100
_MEANINGS = {reason.value: reason.description for reason in Reason}


def summary(letter: Letter, marker: Marker | None) -> dict[str, Any]:
    """What is said of a letter in a list. Values as they came, so not yet fit for a terminal."""
    return {
        "event_id": letter.event_id,
        "received_at": _time(letter),
        "reason": letter.reason,
        "detail": letter.detail,
        "dxl_topic": letter.dxl_topic,
        "replayed_at": None if marker is None else marker.replayed_at,
        "replayed_to": None if marker is None else marker.replayed_to,
        "partition": letter.record.partition,
        "offset": letter.record.offset,
        "bytes": len(letter.payload),
        "first_bytes": text_of(letter.payload[:_FIRST_BYTES]),
    }


def whole(letter: Letter, marker: Marker | None) -> dict[str, Any]:
    """All of a letter; the payload is base64, since it may be no text."""
    said = summary(letter, marker)
    del said["first_bytes"]
    size = letter.record.header("original_size")
    return {
        **said,
        "meaning": _MEANINGS.get(letter.reason, ""),
        "dxl_client": letter.dxl_client,
        "forwarder": letter.record.header("ce_forwarder"),
        "forwarder_version": letter.record.header("forwarder_version"),
        "original_size": int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None,
        "sha256": letter.record.header("sha256") or None,
        "payload_base64": base64.b64encode(letter.payload).decode(),
    }


def json_line(said: dict[str, Any]) -> str:
    """One line of JSON, in ASCII; JSON escapes all controls but DEL."""
    return json.dumps(said).replace("\x7f", "\\u007f")


def entry(letter: Letter, marker: Marker | None) -> str:
    """Three lines of a list."""
    said = summary(letter, marker)
    state = "not replayed" if marker is None else f"replayed {printable(marker.replayed_at)}"
    more = "..." if len(letter.payload) > _FIRST_BYTES else ""
    return (
        f"{said['received_at']}  {printable(letter.reason)}  {letter.event_id}  {state}\n"
        f"    {printable(letter.detail)}\n"
        f"    {len(letter.payload)} bytes: {printable(said['first_bytes'])}{more}"
    )


def page(letter: Letter, marker: Marker | None) -> str:
    """A letter whole: what is said of it, and its payload."""
    said = whole(letter, marker)
    replayed = "no" if marker is None else f"{marker.replayed_at}, to {marker.replayed_to}"
    place = f"{letter.record.topic}, partition {letter.record.partition}, offset {letter.record.offset}"
    cut = "" if said["original_size"] is None else f", of a record of {said['original_size']} that Kafka refused"
    lines = {
        "event id": letter.event_id,
        "received at": said["received_at"],
        "reason": f"{letter.reason}: {said['meaning']}" if said["meaning"] else letter.reason,
        "detail": letter.detail,
        "dxl topic": letter.dxl_topic,
        "dxl client": letter.dxl_client,
        "published by": f"{said['forwarder']}, version {said['forwarder_version']}",
        "stands in": place,
        "replayed": replayed,
        "payload": f"{len(letter.payload)} bytes{cut}",
    }
    head = "\n".join(f"{name:<12}  {printable(value)}" for name, value in lines.items() if value)
    return f"{head}\n\n{printable_lines(text_of(letter.payload))}"


def _time(letter: Letter) -> str:
    """The time of receipt; anybody may have written one that no calendar has."""
    text = rfc3339_milliseconds(letter.received_at_ms)
    return "unknown time" if text is None else text.decode()
