"""What the formats of other standards have in common: what those have no field for, with the names that are public.

Names of TIE are in snake case, which both standards have. Numbers stay what they are; the public name of a number
stands beside it. What TIE does not describe is kept apart, below `unknown`, so that nothing there can pass for what is
said here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.names import CERTIFICATE_PROVIDERS, FILE_PROVIDERS, TRUST_LEVELS, Provider
from tie_forwarder.events.reputations import Reputation
from tie_forwarder.records.formats.format import Origin, Schema

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake_case(name: str) -> str:
    """`agentGuid` as `agent_guid`."""
    return _HUMP.sub("_", name).lower()


_REPUTATION_NAMES = {name: snake_case(name) for name in Reputation.model_fields}


def providers_of(kind: Kind) -> Mapping[int, Provider]:
    """The public names of those whose reputations the kind's events may have."""
    return CERTIFICATE_PROVIDERS if kind.public_key_field else FILE_PROVIDERS


def file_name(event: Event) -> str | None:
    """The name of the file, where it is said; what a kind without names has in such a field is none."""
    return event.fields.get("name") if "name" in known_fields(event.kind) else None


def rest_of(event: Event, origin: Origin) -> dict[str, Any]:
    """Everything of the event but the hashes and the name of a file, and who published it where."""
    kind = event.kind
    rest: dict[str, Any] = {"dxl": _dxl(kind, origin)}
    unknown: dict[str, Any] = {}
    names = known_fields(kind)
    for name, value in event.fields.items():
        named = names.get(name)
        if named is None:
            unknown[name] = value
        elif named and value is not None:
            rest[named] = value
    for named in ("new_reputations", "old_reputations"):
        if named in rest:
            rest[named] = _named_reputations(rest[named], providers_of(kind))
    if kind.public_key_field and event.fields.get("hashes"):
        rest["certificate"] = {"hash": event.fields["hashes"]}
    if level_name := _level_name(rest.get("local_reputation")):
        rest["local_reputation_name"] = level_name
    if unknown:
        rest["unknown"] = unknown
    return rest


def _level_name(level: int | None) -> str | None:
    return None if level is None else TRUST_LEVELS.get(level)


def _dxl(kind: Kind, origin: Origin) -> dict[str, str]:
    dxl = {"topic": kind.topic, "source": origin.source}
    if origin.client:
        dxl["client"] = origin.client
    if origin.broker:
        dxl["broker"] = origin.broker
    return dxl


def rest_schema(kind: Kind) -> Schema:
    """The JSON Schema of `rest_of`."""
    fields = kind.adapter.json_schema()["properties"]
    properties = {snake_case(name): shape for name, shape in _SHAPES.items() if name in fields}
    if "localReputation" in fields:
        properties["local_reputation_name"] = _TEXT
    if kind.public_key_field:
        properties["certificate"] = _object(hash={"type": "object", "additionalProperties": _TEXT})
    dxl = _object(topic={"const": kind.topic}, source=_TEXT, client=_TEXT, broker=_TEXT)
    dxl["required"] = ["topic", "source"]
    return {**_object(dxl=dxl, **properties, unknown={"type": "object"}), "required": ["dxl"]}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_REPUTATIONS = {
    "type": "array",
    "items": {
        **_object(
            provider_id=_NUMBER,
            provider=_TEXT,
            trust_level={"type": ["integer", "null"]},
            trust_level_name=_TEXT,
            create_date={"type": ["integer", "null"]},
            attributes={"type": ["object", "null"]},
            named_attributes={"type": "object"},
            unknown={"type": "object"},
        ),
        "required": ["provider_id"],
    },
}
_SHAPES: dict[str, Schema] = {
    "agentGuid": _TEXT,
    "detectionTime": _NUMBER,
    "localReputation": _NUMBER,
    "remediationAction": _NUMBER,
    "updateTime": _NUMBER,
    "publicKeySha1": _TEXT,
    "relationships": {"type": "object"},
    "newReputations": _REPUTATIONS,
    "oldReputations": _REPUTATIONS,
}
"""By the names of TIE; the models describe them."""


@cache
def known_fields(kind: Kind) -> dict[str, str]:
    """The fields that TIE describes with their names here; those that the standards have themselves have none."""
    fields = kind.adapter.json_schema()["properties"]
    return {name: "" if name in ("hashes", "name") else snake_case(name) for name in fields}


def _named_reputations(by_provider: Mapping[int, Any], providers: Mapping[int, Provider]) -> list[dict[str, Any]]:
    """As a list, since a field whose name is the number of a provider serves nobody."""
    return [_named_reputation(reputation, providers.get(number)) for number, reputation in by_provider.items()]


def _named_reputation(reputation: Mapping[str, Any], provider: Provider | None) -> dict[str, Any]:
    named: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for name, value in reputation.items():
        known = _REPUTATION_NAMES.get(name)
        if known is None:
            unknown[name] = value
        else:
            named[known] = value
    if provider is not None:
        named["provider"] = provider.name
        names, attributes = provider.attributes, named.get("attributes") or {}
        if found := {names[number]: value for number, value in attributes.items() if number in names}:
            named["named_attributes"] = found
    if level_name := _level_name(named.get("trust_level")):
        named["trust_level_name"] = level_name
    if unknown:
        named["unknown"] = unknown
    return named
