"""The format `ocsf`: the event in a class of the Open Cybersecurity Schema Framework 1.5.

| Kind | Class | Why |
|---|---|---|
| detection | Detection Finding (2004) | an alert of a security product |
| first_instance | File Query (5007) | a file that was found to exist on an endpoint |
| reputation changes | OSINT Inventory Info (5021) | what a source of threat intelligence holds of an indicator |

`severity_id`, `disposition_id` and `action_id` are Unknown (0): TIE says no severity, and what the numbers of
`remediationAction` mean is not public. `reputation.score_id` is the level of OCSF that has the meaning of the trust
level's public name. What has no attribute in OCSF is in `unmapped`, by the names of TIE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.names import CERTIFICATE_PROVIDERS, FILE_PROVIDERS, TRUST_LEVELS, Provider
from tie_forwarder.records.formats.format import Format, Origin
from tie_forwarder.records.formats.ocsf_schema import CLASSES, VERSION, ocsf_schema
from tie_forwarder.records.text import agent_id, shortened

_ALGORITHMS = {"md5": (1, "MD5"), "sha1": (2, "SHA-1"), "sha256": (3, "SHA-256"), "sha512": (4, "SHA-512")}
_SCORES = {0: 0, 1: 10, 15: 9, 30: 8, 50: 0, 70: 3, 85: 2, 99: 1, 100: 1}
"""Trust levels as `reputation.score_id`: 10 Malicious, 9 Probably, 8 Possibly, 3 Probably Safe, 2 Safe, 1 Very Safe."""
_MAPPED = frozenset({"hashes", "name", "detectionTime", "updateTime", "agentGuid", "newReputations", "publicKeySha1"})
_LATEST_SECOND = 253_402_300_799


def _render(event: Event, origin: Origin) -> bytes:
    kind, fields = event.kind, event.fields
    found = CLASSES[kind.name]
    document: dict[str, Any] = {
        "category_uid": found.category_uid,
        "category_name": found.category_name,
        "class_uid": found.class_uid,
        "class_name": found.class_name,
        "activity_id": found.activity_id,
        "activity_name": found.activity_name,
        "type_uid": found.class_uid * 100 + found.activity_id,
        "type_name": f"{found.class_name}: {found.activity_name}",
        "severity_id": 0,
        "severity": "Unknown",
        "time": _milliseconds(event, origin),
        "metadata": {
            "version": VERSION,
            "product": {"vendor_name": "Trellix", "name": "Threat Intelligence Exchange"},
            "uid": origin.event_id,
            "log_name": kind.topic,
            "logged_time": origin.message.received_at_ms,
            **found.profile,
        },
    }
    if event.time is not None:
        document["metadata"]["original_time"] = str(event.time)
    agent = agent_id(event.agent)
    if kind.name == "detection":
        document["finding_info"] = {"uid": origin.event_id, "title": "Malicious file detected", "types": ["Malware"]}
        document["is_alert"] = True
        document["disposition_id"] = document["action_id"] = 0
        document["evidences"] = [{"file": _file(fields)}]
        if agent:
            document["resources"] = [{"uid": agent, "type": "Endpoint"}]
    elif kind.name == "first_instance":
        document["file"] = _file(fields)
        document["query_result_id"] = 1
        if agent:
            document["device"] = {"uid": agent, "type_id": 0}
    else:
        document["osint"] = _osint(event, origin)
    document["unmapped"] = _unmapped(event, origin)
    return to_json(document)


def _milliseconds(event: Event, origin: Origin) -> int:
    """When it occurred, or when it was received where the event does not say so, or says what is no time."""
    seconds = event.time
    if seconds is None or not 0 <= seconds <= _LATEST_SECOND:
        return origin.message.received_at_ms
    return seconds * 1000


def _file(fields: Mapping[str, Any]) -> dict[str, Any]:
    # OCSF requires a name, which TIE does not always say.
    return {"name": fields.get("name") or "", "type_id": 0, "hashes": _hashes(fields)}


def _hashes(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, digest in (fields.get("hashes") or {}).items():
        algorithm_id, algorithm = _ALGORITHMS.get(name, (99, name))
        found.append({"algorithm_id": algorithm_id, "algorithm": algorithm, "value": digest})
    return found


def _osint(event: Event, origin: Origin) -> list[dict[str, Any]]:
    """One entry for each reputation after the change, or one without a reputation where there is none."""
    certificate = event.kind.public_key_field is not None
    indicator: dict[str, Any] = {"type_id": 7 if certificate else 11, "value": origin.subject or ""}
    if not certificate:
        indicator["file"] = _file(event.fields)
    providers = CERTIFICATE_PROVIDERS if certificate else FILE_PROVIDERS
    reputations = event.fields.get("newReputations") or {}
    return [indicator | _reputation(key, value, providers) for key, value in reputations.items()] or [indicator]


def _reputation(provider_id: int, reputation: Mapping[str, Any], providers: Mapping[int, Provider]) -> dict[str, Any]:
    provider = providers.get(provider_id)
    found: dict[str, Any] = {}
    level, created = reputation.get("trustLevel"), reputation.get("createDate")
    if level is not None:
        found["reputation"] = {
            "base_score": float(level) if abs(level) < 2**53 else 0.0,
            "score_id": _SCORES.get(level, 99),
            "score": TRUST_LEVELS.get(level, str(level)),
            "provider": str(provider_id) if provider is None else provider.name,
        }
    if created is not None and 0 <= created <= _LATEST_SECOND:
        found["created_time"] = created * 1000
    return found


def _unmapped(event: Event, origin: Origin) -> dict[str, Any]:
    message = origin.message
    unmapped: dict[str, Any] = {
        name: value for name, value in event.fields.items() if name not in _MAPPED and value is not None
    }
    if "newReputations" in event.fields:
        unmapped["newReputations"] = event.fields["newReputations"]
    if event.kind.public_key_field is not None:
        for name in ("hashes", "publicKeySha1"):
            if event.fields.get(name):
                unmapped[name] = event.fields[name]
    if message.source_client_id:
        unmapped["dxlClient"] = shortened(message.source_client_id)
    if message.source_broker_id:
        unmapped["dxlBroker"] = shortened(message.source_broker_id)
    unmapped["source"] = origin.source
    return unmapped


def _schema(kind: Kind) -> dict[str, Any]:
    return ocsf_schema(kind)


OCSF = Format(name="ocsf", content_type=b"application/json", render=_render, schema=_schema)
