"""The event that a document of ECS or OCSF tells of, read back by what docs/records.md says: nothing may be lost."""

from __future__ import annotations

from typing import Any

from tie_forwarder.events.event import Event
from tie_forwarder.events.reputations import Reputation
from tie_forwarder.records.formats.words import known_fields, snake_case

_ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}


def expected(event: Event) -> dict[str, Any]:
    """The fields of the event as they can be read back: null and empty are as good as missing."""
    known = known_fields(event.kind)
    may_be_empty = {"name", "hashes"} & known.keys()
    return {
        name: value
        for name, value in event.fields.items()
        if name not in known or (value is not None and not (name in may_be_empty and not value))
    }


def told_by_ecs(event: Event, document: dict[str, Any]) -> dict[str, Any]:
    """The fields, from the fields of ECS and `trellix.tie`."""
    rest, file = document["trellix"]["tie"], document.get("file", {})
    hashes = {**file.get("hash", {}), **rest.get("hash", {}), **rest.get("certificate", {}).get("hash", {})}
    return _fields(event, rest, hashes, file.get("name"))


def told_by_ocsf(event: Event, document: dict[str, Any]) -> dict[str, Any]:
    """The fields, from the attributes of OCSF and `unmapped`."""
    about = document.get("evidences") or document["osint"]
    file, rest = about[0].get("file", {}), document["unmapped"]
    hashes = {_ALGORITHMS.get(one["algorithm"], one["algorithm"]): one["value"] for one in file.get("hashes", [])}
    return _fields(event, rest, {**hashes, **rest.get("certificate", {}).get("hash", {})}, file.get("name"))


def _fields(event: Event, rest: dict[str, Any], hashes: dict[str, str], name: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = dict(rest.get("unknown", {}))
    for field in known_fields(event.kind):
        if field in ("newReputations", "oldReputations") and snake_case(field) in rest:
            fields[field] = {one["provider_id"]: _reputation(one) for one in rest[snake_case(field)]}
        elif snake_case(field) in rest and field not in ("hashes", "name"):
            fields[field] = rest[snake_case(field)]
    if hashes:
        fields["hashes"] = hashes
    if name:
        fields["name"] = name
    return fields


def _reputation(told: dict[str, Any]) -> dict[str, Any]:
    members = {name: told[snake_case(name)] for name in Reputation.model_fields if snake_case(name) in told}
    return {**members, **told.get("unknown", {})}
