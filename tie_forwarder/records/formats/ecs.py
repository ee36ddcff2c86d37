"""The format `ecs`: the event in the fields of the Elastic Common Schema, the rest below `trellix.tie`.

Facts of ECS 8.17 (its field reference): `event.kind`, `event.category` and `event.type` are of closed sets, and which
types go with which category is listed there; `event.created` is when the event was first read by an agent; `file.hash`
is of files, so that the hashes of a certificate have no field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import to_json

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.names import CERTIFICATE_PROVIDERS, FILE_PROVIDERS, TRUST_LEVELS, Provider
from tie_forwarder.events.schema import DIALECT
from tie_forwarder.records.formats.format import Format, Origin, Schema
from tie_forwarder.records.formats.words import named_reputations, snake_case
from tie_forwarder.records.text import agent_id, shortened

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
_HASHES = ("md5", "sha1", "sha256")


def _render(event: Event, origin: Origin) -> bytes:
    name = event.kind.name
    found = _CLASSES[name]
    tie = _tie(event, origin)
    document: dict[str, Any] = {
        "@timestamp": origin.occurred or origin.received,
        "ecs": {"version": VERSION},
        "event": {
            "kind": found.kind,
            "category": [found.category],
            "type": [found.type],
            "action": found.action,
            "id": origin.event_id,
            "created": origin.received,
            "module": "tie",
            "dataset": f"tie.{name}",
        },
        "observer": {"vendor": "Trellix", "product": "Threat Intelligence Exchange"},
    }
    agent = agent_id(event.agent)
    if agent:
        document["agent"] = {"id": agent}
    hashes = event.fields.get("hashes") or {}
    if name == "certificate_reputation_change":
        if hashes:
            tie["certificate"] = {"hash": hashes}
    else:
        document["file"] = {"hash": hashes}
        if event.fields.get("name"):
            document["file"]["name"] = event.fields["name"]
    if hashes:
        document["related"] = {"hash": list(dict.fromkeys(hashes.values()))}
    document["trellix"] = {"tie": tie}
    return to_json(document)


def _tie(event: Event, origin: Origin) -> dict[str, Any]:
    """What ECS has no field for: the names of TIE in the case of ECS, numbers as they are with their names beside."""
    message = origin.message
    dxl = {"topic": event.kind.topic, "source": origin.source}
    if message.source_client_id:
        dxl["client"] = shortened(message.source_client_id)
    if message.source_broker_id:
        dxl["broker"] = shortened(message.source_broker_id)
    tie: dict[str, Any] = {"dxl": dxl}
    known = type(event.model).model_fields
    unknown: dict[str, Any] = {}
    for name, value in event.fields.items():
        if name not in known:
            unknown[name] = value
        elif name in ("newReputations", "oldReputations"):
            tie[snake_case(name)] = named_reputations(value, _providers(event.kind))
        elif name not in ("hashes", "name") and value is not None:
            tie[snake_case(name)] = value
    if tie.get("local_reputation") in TRUST_LEVELS:
        tie["local_reputation_name"] = TRUST_LEVELS[tie["local_reputation"]]
    if unknown:
        tie["unknown"] = unknown
    return tie


def _providers(kind: Kind) -> Mapping[int, Provider]:
    return CERTIFICATE_PROVIDERS if kind.public_key_field else FILE_PROVIDERS


def _schema(kind: Kind) -> Schema:
    found = _CLASSES[kind.name]
    text = {"type": "string"}
    hashes = {"type": "object", "properties": dict.fromkeys(_HASHES, text), "additionalProperties": text}
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
            "properties": {"tie": {"type": "object", "properties": _tie_schema(kind), "required": ["dxl"]}},
            "required": ["tie"],
        },
    }
    required = ["@timestamp", "ecs", "event", "observer", "trellix"]
    if kind.public_key_field:
        del properties["file"], properties["agent"]
        properties["trellix"]["properties"]["tie"]["properties"]["certificate"] = {
            "type": "object", "properties": {"hash": hashes},
        }  # fmt: skip
    else:
        required.append("file")
    if not kind.agent_field:
        properties.pop("agent", None)
    return {
        "$schema": DIALECT,
        "$id": f"urn:tie-forwarder:ecs:{kind.ce_type}",
        "title": f"{kind.adapter.json_schema()['title']}Ecs",
        "description": f"A TIE event in the fields of the Elastic Common Schema {VERSION}; other fields may be there.",
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _tie_schema(kind: Kind) -> dict[str, Any]:
    """By what the model says of the fields, which have another case here."""
    text, number = {"type": "string"}, {"type": "integer"}
    dxl = {
        "type": "object",
        "properties": {"topic": {"const": kind.topic}, "source": text, "client": text, "broker": text},
        "required": ["topic", "source"],
    }
    reputation = {
        "type": "object",
        "properties": {
            "provider_id": number, "provider": text, "trust_level": {"type": ["integer", "null"]},
            "trust_level_name": text, "create_date": {"type": ["integer", "null"]},
            "attributes": {"type": ["object", "null"]},
        },
        "required": ["provider_id"],
    }  # fmt: skip
    reputations = {"type": "array", "items": reputation}
    shapes = {
        "agentGuid": text, "detectionTime": number, "localReputation": number, "remediationAction": number,
        "updateTime": number, "publicKeySha1": text, "relationships": {"type": "object"},
        "newReputations": reputations, "oldReputations": reputations,
    }  # fmt: skip
    fields = kind.adapter.json_schema()["properties"]
    properties = {snake_case(name): shape for name, shape in shapes.items() if name in fields}
    if "localReputation" in fields:
        properties["local_reputation_name"] = text
    return {"dxl": dxl, **properties, "unknown": {"type": "object"}}


ECS = Format(name="ecs", content_type=b"application/json", render=_render, schema=_schema)
