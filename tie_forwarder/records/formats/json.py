"""The format `json`: exactly the dict that dxltieclient's callback hands over."""

from __future__ import annotations

from tie_forwarder.events.event import Event
from tie_forwarder.events.schema import json_schema
from tie_forwarder.records.formats.format import Format, Origin


def _render(event: Event, _: Origin) -> bytes:
    """Compact UTF-8 JSON: known fields in alphabetical order, then unknown ones in wire order.

    What is missing on the wire is missing here.
    """
    return event.kind.adapter.serializer.to_json(event.model, exclude_unset=True)


JSON = Format(name="json", content_type=b"application/json", render=_render, schema=json_schema)
