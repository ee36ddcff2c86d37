"""The format `ocsf`: the event in a class of the Open Cybersecurity Schema Framework 1.5.

| Kind | Class | Why |
|---|---|---|
| detection | Detection Finding (2004) | an alert of a security product |
| the others | OSINT Inventory Info (5021) | what a source of threat intelligence has of a file or a certificate |

A first instance would be a File Query (5007) but for two things: nobody asked, and 1.5 deprecates that class; its
successor requires the name of the endpoint, which TIE does not say.

`severity_id`, `disposition_id` and `action_id` are Unknown (0): TIE says no severity, and what the numbers of
`remediationAction` mean is not public. `reputation.score_id` is the level of OCSF that has the meaning of the trust
level's public name. What has no attribute in OCSF is in `unmapped`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic_core import to_json

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.names import TRUST_LEVELS, Provider
from tie_forwarder.records.formats.format import Format, Origin
from tie_forwarder.records.formats.ocsf_schema import CLASSES, DIGITAL_CERTIFICATE, HASH, VERSION, ocsf_schema
from tie_forwarder.records.formats.words import file_name, known_fields, providers_of, rest_of
from tie_forwarder.records.text import agent_id

_ALGORITHMS = {"md5": (1, "MD5"), "sha1": (2, "SHA-1"), "sha256": (3, "SHA-256"), "sha512": (4, "SHA-512")}
_SCORES = {0: 0, 1: 10, 15: 9, 30: 8, 50: 0, 70: 3, 85: 2, 99: 1, 100: 1}
"""Trust levels as `reputation.score_id`: 10 Malicious, 9 Probably, 8 Possibly, 3 Probably Safe, 2 Safe, 1 Very Safe."""
_LATEST_SECOND = 253_402_300_799


def _render(event: Event, origin: Origin) -> bytes:
    seconds, received_at_ms = event.time, origin.message.received_at_ms
    # An id and numbers, which need no escapes.
    metadata = f'"uid":"{origin.event_id}","logged_time":{received_at_ms}'
    if seconds is not None:
        metadata += f',"original_time":"{seconds}"'
    document: dict[str, Any] = {"time": _milliseconds(seconds, received_at_ms)}
    agent = agent_id(event.agent)
    if event.kind.name == "detection":
        document["finding_info"] = {"uid": origin.event_id, "title": "Malicious file detected", "types": ["Malware"]}
        document["evidences"] = [{"file": _file(event)}]
        if agent:
            document["resources"] = [{"uid": agent, "type": "Endpoint"}]
    else:
        document["osint"] = _osint(event, origin)
    if agent:
        document["device"] = {"uid": agent, "type_id": 0}
    document["unmapped"] = rest_of(event, origin)
    return b"%b,%b},%b" % (_constants(event.kind), metadata.encode(), to_json(document)[1:])


@cache
def _constants(kind: Kind) -> bytes:
    """What is the same for all events of a kind, up to the facts in `metadata`; made once, since it is half."""
    found = CLASSES[kind.name]
    outcome: dict[str, Any] = {}
    profiles: dict[str, Any] = {"profiles": ["host"]} if kind.agent_field else {}
    if kind.name == "detection":
        outcome = {"is_alert": True, "disposition_id": 0, "action_id": 0}
        profiles = {"profiles": ["security_control"]}
    constants = {
        **found._asdict(),
        "severity_id": 0,
        "severity": "Unknown",
        **outcome,
        "metadata": {
            "version": VERSION,
            "product": {"vendor_name": "Trellix", "name": "Threat Intelligence Exchange"},
            "log_name": kind.topic,
            **profiles,
        },
    }
    return to_json(constants)[:-2]


def _milliseconds(seconds: int | None, received_at_ms: int) -> int:
    """When it occurred, or when it was received where the event does not say so, or says what is no time."""
    return seconds * 1000 if seconds is not None and 0 <= seconds <= _LATEST_SECOND else received_at_ms


def _file(event: Event) -> dict[str, Any]:
    # OCSF requires a name, which TIE does not always say.
    return {"name": file_name(event) or "", "type_id": 0, "hashes": _hashes(event.fields["hashes"])}


def _hashes(hashes: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for name, digest in hashes.items():
        algorithm_id, algorithm = _ALGORITHMS.get(name, (99, name))
        found.append({"algorithm_id": algorithm_id, "algorithm": algorithm, "value": digest})
    return found


def _osint(event: Event, origin: Origin) -> list[dict[str, Any]]:
    """One entry for each reputation after the change, or one without a reputation where there is none."""
    # Where no hash is of a known type, one of another has to do.
    indicator: dict[str, Any] = {"value": origin.subject or next(iter(event.fields["hashes"].values()))}
    if event.kind.public_key_field is None:
        indicator |= {"type_id": HASH, "file": _file(event)}
    else:
        indicator["type_id"] = DIGITAL_CERTIFICATE
    providers = providers_of(event.kind)
    has_reputations = "newReputations" in known_fields(event.kind)
    reputations = event.fields.get("newReputations", {}) if has_reputations else {}
    return [indicator | _reputation(key, value, providers) for key, value in reputations.items()] or [indicator]


def _reputation(provider_id: int, reputation: Mapping[str, Any], providers: Mapping[int, Provider]) -> dict[str, Any]:
    provider = providers.get(provider_id)
    found: dict[str, Any] = {}
    level, created = reputation.get("trustLevel"), reputation.get("createDate")
    if level is not None:
        found["reputation"] = {
            "base_score": float(level),
            "score_id": _SCORES.get(level, 99),
            "score": TRUST_LEVELS.get(level, str(level)),
            "provider": str(provider_id) if provider is None else provider.name,
        }
    if created is not None and 0 <= created <= _LATEST_SECOND:
        found["created_time"] = created * 1000
    return found


def _schema(kind: Kind) -> dict[str, Any]:
    return ocsf_schema(kind)


OCSF = Format(name="ocsf", content_type=b"application/json", render=_render, schema=_schema)
