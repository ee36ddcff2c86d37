"""The formats of a record's value, one module each: what an event looks like to those who read it.

A format renders a valid event together with the facts of its message, and describes what it renders as JSON Schema. It
knows nothing of keys, headers and topics, except for its content type.
"""

from __future__ import annotations

from tie_forwarder.records.formats.cloudevents import CLOUDEVENTS
from tie_forwarder.records.formats.ecs import ECS
from tie_forwarder.records.formats.format import JSON, RAW, Format, Origin
from tie_forwarder.records.formats.ocsf import OCSF

FORMATS: dict[str, Format] = {form.name: form for form in (JSON, CLOUDEVENTS, ECS, OCSF, RAW)}

__all__ = ["FORMATS", "Format", "Origin"]
