"""The kinds of event, by name and by DXL topic, and the JSON Schema of each."""

from __future__ import annotations

from typing import Any

from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.event import Kind
from tie_forwarder.events.first_instance import FIRST_INSTANCE
from tie_forwarder.events.reputation_change import CERTIFICATE_REPUTATION_CHANGE, FILE_REPUTATION_CHANGE

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (DETECTION, FIRST_INSTANCE, FILE_REPUTATION_CHANGE, CERTIFICATE_REPUTATION_CHANGE)
}

BY_TOPIC: dict[str, Kind] = {kind.topic: kind for kind in KINDS.values()}


DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the value of this kind's records."""
    schema = _without_defaults(kind.adapter.json_schema())
    return {"$schema": DIALECT, "$id": f"urn:tie-forwarder:{kind.ce_type}", **schema}


def _without_defaults(schema: Any) -> Any:
    """A field that is missing on the wire is missing in the record, so a reader never meets a model's default."""
    if isinstance(schema, dict):
        return {key: _without_defaults(value) for key, value in schema.items() if key != "default"}
    if isinstance(schema, list):
        return [_without_defaults(value) for value in schema]
    return schema
