"""What a format is, what it receives besides the event, and the two plain ones: `json` and `raw`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.kinds import json_schema
from tie_forwarder.events.message import Message

Schema = dict[str, Any]


class Origin(NamedTuple):
    """Whence an event comes, as it is said in every format; what the headers have is text only for whom it serves."""

    message: Message
    event_id: str
    ce_source: bytes
    ce_receivedtime: bytes | None
    ce_time: bytes | None
    subject: str | None
    """The hash of the file or certificate that the event is about."""
    client: str
    """Who published it on the fabric, fit for a header; empty where the broker does not say so."""
    broker: str
    """The broker that took it there, likewise."""

    @property
    def source(self) -> str:
        """The CloudEvents source: the fabric as a path."""
        return self.ce_source.decode()

    @property
    def received(self) -> str | None:
        """Time of receipt in RFC 3339 with milliseconds."""
        return self.ce_receivedtime.decode() if self.ce_receivedtime else None

    @property
    def occurred(self) -> str | None:
        """When the event occurred, in RFC 3339; None where it does not say so, or says what is no time of ours."""
        return self.ce_time.decode() if self.ce_time else None


@dataclass(frozen=True, eq=False)
class Format:
    """One format. There is one instance of each."""

    name: str
    """Its name in the configuration."""
    content_type: bytes
    """The header `content-type` of its records."""
    render: Callable[[Event, Origin], bytes]
    """The value of the record. Never raises for a valid event."""
    schema: Callable[[Kind], Schema] | None
    """The JSON Schema of what it renders; None where it renders no JSON of its own."""


def _render(event: Event, _: Origin) -> bytes:
    """Compact UTF-8 JSON: known fields in alphabetical order, then unknown ones in wire order.

    What is missing on the wire is missing here.
    """
    return event.kind.adapter.serializer.to_json(event.model, exclude_unset=True)


JSON = Format(name="json", content_type=b"application/json", render=_render, schema=json_schema)


def _raw_render(_: Event, origin: Origin) -> bytes:
    return origin.message.payload


RAW = Format(name="raw", content_type=b"application/octet-stream", render=_raw_render, schema=None)
