"""The format `ecs`: the event in the fields of the Elastic Common Schema, the rest below `trellix.tie`.

Facts of ECS 8.17 (its field reference): `event.kind`, `event.category` and `event.type` are of closed sets, and which
types go with which category is listed there; `event.created` is when the event was first read by an agent;
`event.ingested` is for the store to set; `file.hash` is of files, so that the hashes of a certificate have no field,
and has only hashes that are named there.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from pydantic_core import to_json

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.kinds import DIALECT
from tie_forwarder.records.formats.format import Format, Origin, Schema
from tie_forwarder.records.formats.words import file_name, rest_of, rest_schema
from tie_forwarder.records.record import agent_id

VERSION = "8.17.0"


class _Class(NamedTuple):
    """How ECS classifies a kind of event."""

    kind: str
    category: str
    type: str
    action: str


_CLASSES = {
    "detection": _Class("alert", "malware", "info", "detection"),
    "first_instance": _Class("event", "file", "info", "first-instance"),
    "file_reputation_change": _Class("event", "threat", "indicator", "file-reputation-change"),
    "certificate_reputation_change": _Class("event", "threat", "indicator", "certificate-reputation-change"),
}
_KNOWN_HASHES = dict.fromkeys(("md5", "sha1", "sha256", "sha384", "sha512")).keys()


def _render(event: Event, origin: Origin) -> bytes:
    document: dict[str, Any] = {}
    if agent := agent_id(event.agent):
        document["agent"] = {"id": agent}
    tie = rest_of(event, origin)
    hashes = event.fields.get("hashes") or {}
    if event.kind.public_key_field is None:
        document["file"] = _file(event, hashes, tie)
    if hashes:
        document["related"] = {"hash": list(dict.fromkeys(hashes.values()))}
    document["trellix"] = {"tie": tie}
    created = f'"{origin.received}"' if origin.received else "null"
    time = f'"{origin.occurred}"' if origin.occurred else created
    # An id and times, which need no escapes.
    facts = f'"id":"{origin.event_id}","created":{created}'
    return b'{"@timestamp":%b,%b,%b},%b' % (
        time.encode(),
        _constants(event.kind),
        facts.encode(),
        to_json(document)[1:],
    )


@cache
def _constants(kind: Kind) -> bytes:
    """What is the same for all events of a kind, up to the facts in the object `event`; made once, since it is half."""
    found = _CLASSES[kind.name]
    constants = {
        "ecs": {"version": VERSION},
        "observer": {"vendor": "Trellix", "product": "Threat Intelligence Exchange"},
        "event": {
            "kind": found.kind,
            "category": [found.category],
            "type": [found.type],
            "action": found.action,
            "module": "tie",
            "dataset": f"tie.{kind.name}",
        },
    }
    return to_json(constants)[1:-2]


def _file(event: Event, hashes: dict[str, str], tie: dict[str, Any]) -> dict[str, Any]:
    """The file; hashes that ECS does not know go to the rest."""
    file: dict[str, Any] = {"hash": hashes}
    if not hashes.keys() <= _KNOWN_HASHES:
        file["hash"] = {name: digest for name, digest in hashes.items() if name in _KNOWN_HASHES}
        tie["hash"] = {name: digest for name, digest in hashes.items() if name not in _KNOWN_HASHES}
    if name := file_name(event):
        file["name"] = name
    return file


def _schema(kind: Kind) -> Schema:
    found = _CLASSES[kind.name]
    text = {"type": "string"}
    hashes = {"type": "object", "properties": dict.fromkeys(_KNOWN_HASHES, text)}
    properties: dict[str, Any] = {
        "@timestamp": {"type": "string", "format": "date-time"},
        "ecs": {"type": "object", "properties": {"version": text}, "required": ["version"]},
        "event": {
            "type": "object",
            "properties": {
                "kind": {"const": found.kind},
                "category": {"const": [found.category]},
                "type": {"const": [found.type]},
                "action": {"const": found.action},
                "id": {"type": "string", "format": "uuid"},
                "created": {"type": "string", "format": "date-time"},
                "module": {"const": "tie"},
                "dataset": {"const": f"tie.{kind.name}"},
            },
            "required": ["kind", "category", "type", "action", "id", "created", "module", "dataset"],
        },
        "observer": {"type": "object", "properties": {"vendor": text, "product": text}},
        "agent": {"type": "object", "properties": {"id": text}, "required": ["id"]},
        "file": {"type": "object", "properties": {"hash": hashes, "name": text}, "required": ["hash"]},
        "related": {"type": "object", "properties": {"hash": {"type": "array", "items": text}}},
        "trellix": {
            "type": "object",
            "properties": {"tie": rest_schema(kind)},
            "required": ["tie"],
        },
    }
    required = ["@timestamp", "ecs", "event", "observer", "trellix"]
    if kind.public_key_field:
        del properties["file"]
    else:
        required.append("file")
        properties["trellix"]["properties"]["tie"]["properties"]["hash"] = {"type": "object"}
    if not kind.agent_field:
        del properties["agent"]
    return {
        "$schema": DIALECT,
        "$id": f"urn:tie-forwarder:ecs:{kind.ce_type}",
        "title": f"{kind.adapter.json_schema()['title']}Ecs",
        "description": f"A TIE event in the fields of the Elastic Common Schema {VERSION}; other fields may be there.",
        "type": "object",
        "properties": properties,
        "required": required,
    }


ECS = Format(name="ecs", content_type=b"application/json", render=_render, schema=_schema)
