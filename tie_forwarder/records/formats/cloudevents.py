"""The format `cloudevents`: CloudEvents 1.0 in structured mode, the event with its attributes in one JSON object.

`ce_forwarder`, which the member adds that publishes the record, stands in the headers only.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.kinds import DIALECT, json_schema
from tie_forwarder.records.formats.format import Format, Origin, Schema

_TEXT = {"type": "string", "minLength": 1}
_TIME = {"type": "string", "format": "date-time"}


def _render(event: Event, origin: Origin) -> bytes:
    kind = event.kind
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": origin.event_id,
        "source": origin.source,
        "type": kind.ce_type,
        "time": origin.occurred,
        "subject": origin.subject,
        "datacontenttype": "application/json",
        "dxltopic": kind.topic,
        "dxlclient": origin.client,
        "dxlbroker": origin.broker,
        "receivedtime": origin.received,
    }
    present = {name: value for name, value in attributes.items() if value}
    # The data is what the format json has, spliced in as it is.
    data = kind.adapter.serializer.to_json(event.model, exclude_unset=True)
    return b'%b,"data":%b}' % (to_json(present)[:-1], data)


def _schema(kind: Kind) -> Schema:
    data = json_schema(kind)
    definitions = {"event": {name: part for name, part in data.items() if name not in ("$schema", "$id", "$defs")}}
    return {
        "$schema": DIALECT,
        "$id": f"urn:tie-forwarder:cloudevents:{kind.ce_type}",
        "title": f"{data['title']}CloudEvent",
        "description": f"A CloudEvent in structured mode. {data['description']}",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "format": "uuid"},
            "source": {"type": "string", "format": "uri-reference"},
            "type": {"const": kind.ce_type},
            "time": _TIME,
            "subject": _TEXT,
            "datacontenttype": {"const": "application/json"},
            "dxltopic": {"const": kind.topic},
            "dxlclient": _TEXT,
            "dxlbroker": _TEXT,
            "receivedtime": _TIME,
            "data": {"$ref": "#/$defs/event"},
        },
        "required": ["specversion", "id", "source", "type", "datacontenttype", "dxltopic", "data"],
        "$defs": {**data.get("$defs", {}), **definitions},
    }


CLOUDEVENTS = Format(name="cloudevents", content_type=b"application/cloudevents+json", render=_render, schema=_schema)
