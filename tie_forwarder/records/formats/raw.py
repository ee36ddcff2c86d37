"""The format `raw`: the payload as it came from the fabric, trailing NUL bytes included."""

from __future__ import annotations

from tie_forwarder.events.event import Event
from tie_forwarder.records.formats.format import Format, Origin


def _render(_: Event, origin: Origin) -> bytes:
    return origin.message.payload


RAW = Format(name="raw", content_type=b"application/octet-stream", render=_render, schema=None)
