"""The format `ocsf`: the event in a class of the Open Cybersecurity Schema Framework 1.5, with its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from pydantic_core import to_json

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.kinds import DIALECT
from tie_forwarder.events.names import TRUST_LEVELS, Provider
from tie_forwarder.records.formats.format import Format, Origin
from tie_forwarder.records.formats.words import file_name, known_fields, providers_of, rest_of, rest_schema
from tie_forwarder.records.record import agent_id

VERSION = "1.5.0"


HASH, DIGITAL_CERTIFICATE = 4, 7
"""`type_id` of the indicators in `osint`."""


class OcsfClass(NamedTuple):
    """A class, with the activity that fits."""

    category_uid: int
    category_name: str
    class_uid: int
    class_name: str
    activity_id: int
    activity_name: str
    type_uid: int
    type_name: str


_OSINT = OcsfClass(5, "Discovery", 5021, "OSINT Inventory Info", 1, "Log", 502101, "OSINT Inventory Info: Log")
CLASSES = {
    "detection": OcsfClass(2, "Findings", 2004, "Detection Finding", 1, "Create", 200401, "Detection Finding: Create"),
    "first_instance": _OSINT,
    "file_reputation_change": _OSINT,
    "certificate_reputation_change": _OSINT,
}

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}


def _object(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [p for p in properties if p not in optional]}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_HASH = _object({"algorithm_id": {"enum": [1, 2, 3, 4, 99]}, "algorithm": _TEXT, "value": _TEXT})
_FILE = _object({"name": _TEXT, "type_id": {"const": 0}, "hashes": _array(_HASH)})
_DEVICE = _object({"uid": _TEXT, "type_id": {"const": 0}})
_PRODUCT = _object({"vendor_name": _TEXT, "name": _TEXT})
_SCORE_IDS = {"enum": [0, 1, 2, 3, 8, 9, 10, 99]}
_REPUTATION = _object({"base_score": {"type": "number"}, "score_id": _SCORE_IDS, "score": _TEXT, "provider": _TEXT})
_OPTIONAL_METADATA = ("original_time", "profiles")


def ocsf_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the records of this kind in the format `ocsf`."""
    found = CLASSES[kind.name]
    metadata = {
        "version": _TEXT, "product": _PRODUCT, "uid": {"type": "string", "format": "uuid"},
        "log_name": {"const": kind.topic}, "logged_time": _NUMBER, "original_time": _TEXT,
        "profiles": _array(_TEXT),
    }  # fmt: skip
    properties: dict[str, Any] = {
        "category_uid": {"const": found.category_uid},
        "category_name": {"const": found.category_name},
        "class_uid": {"const": found.class_uid},
        "class_name": {"const": found.class_name},
        "activity_id": {"const": found.activity_id},
        "activity_name": {"const": found.activity_name},
        "type_uid": {"const": found.type_uid},
        "type_name": _TEXT,
        "severity_id": {"const": 0},
        "severity": _TEXT,
        "time": _NUMBER,
        "metadata": _object(metadata, *_OPTIONAL_METADATA),
        **_of_the_class(kind),
        "unmapped": rest_schema(kind),
    }
    return {
        "$schema": DIALECT,
        "$id": f"urn:tie-forwarder:ocsf:{kind.ce_type}",
        "title": f"{kind.adapter.json_schema()['title']}Ocsf",
        "description": f"A TIE event as {found.class_name} of OCSF {VERSION}; other attributes may be there.",
        **_object(properties, "device", "resources"),
    }


def _of_the_class(kind: Kind) -> dict[str, Any]:
    if kind.name == "detection":
        finding = _object({"uid": {"type": "string", "format": "uuid"}, "title": _TEXT, "types": _array(_TEXT)})
        resource = _object({"uid": _TEXT, "type": _TEXT})
        return {
            "finding_info": finding, "is_alert": {"const": True}, "disposition_id": {"const": 0},
            "action_id": {"const": 0}, "evidences": _array(_object({"file": _FILE})), "resources": _array(resource),
            "device": _DEVICE,
        }  # fmt: skip
    indicator = {"type_id": {"const": HASH}, "value": _TEXT, "file": _FILE}
    if kind.public_key_field:
        indicator = {"type_id": {"const": DIGITAL_CERTIFICATE}, "value": _TEXT}
    if kind.agent_field:
        return {"osint": _array(_object(indicator)), "device": _DEVICE}
    reputation = {"reputation": _REPUTATION, "created_time": _NUMBER}
    return {"osint": _array(_object({**indicator, **reputation}, *reputation))}


_ALGORITHMS = {"md5": (1, "MD5"), "sha1": (2, "SHA-1"), "sha256": (3, "SHA-256"), "sha512": (4, "SHA-512")}
_SCORES = {0: 0, 1: 10, 15: 9, 30: 8, 50: 0, 70: 3, 85: 2, 99: 1, 100: 1}
"""Trust levels as `reputation.score_id`: 10 Malicious, 9 Probably, 8 Possibly, 3 Probably Safe, 2 Safe, 1 Very Safe."""
_LATEST_SECOND = 253_402_300_799


def _render(event: Event, origin: Origin) -> bytes:
    """Put together from texts of JSON, since most is the same for all. Ids, hashes and numbers need no escapes."""
    seconds, received_at_ms = event.time, origin.message.received_at_ms
    facts = f'"uid":"{origin.event_id}","logged_time":{received_at_ms}'
    if seconds is not None:
        facts += f',"original_time":"{seconds}"'
    facts += f'}},"time":{_milliseconds(seconds, received_at_ms)}'
    about = _finding(event, origin) if event.kind.name == "detection" else _indicators(event, origin)
    rest = to_json(rest_of(event, origin))
    return b'%b,%b,%b,"unmapped":%b}' % (_constants(event.kind), facts.encode(), about + _endpoint(event), rest)


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


def _finding(event: Event, origin: Origin) -> bytes:
    info = (
        b'"finding_info":{"title":"Malicious file detected","types":["Malware"],"uid":"%b"}' % origin.event_id.encode()
    )
    return b'%b,"evidences":[{"file":%b}]' % (info, _file(event))


def _endpoint(event: Event) -> bytes:
    agent = agent_id(event.agent)
    if not agent:
        return b""
    uid = to_json(agent)
    device = b',"device":{"uid":%b,"type_id":0}' % uid
    return device + b',"resources":[{"uid":%b,"type":"Endpoint"}]' % uid if event.kind.name == "detection" else device


def _file(event: Event) -> bytes:
    # OCSF requires a name, which TIE does not always say.
    name = to_json(file_name(event) or "")
    hashes = ",".join([_algorithm(name) + digest + '"}' for name, digest in event.fields["hashes"].items()])
    return b'{"name":%b,"type_id":0,"hashes":[%b]}' % (name, hashes.encode())


@lru_cache(maxsize=64)
def _algorithm(name: str) -> str:
    """What stands before the digest of a hash. The name may be anything that is readable."""
    algorithm_id, algorithm = _ALGORITHMS.get(name, (99, name))
    return to_json({"algorithm_id": algorithm_id, "algorithm": algorithm, "value": ""}).decode()[:-2]


def _indicators(event: Event, origin: Origin) -> bytes:
    """One for each reputation after the change, or one without a reputation where there is none."""
    # Where no hash is of a known type, one of another has to do.
    value = (origin.subject or next(iter(event.fields["hashes"].values()))).encode()
    if event.kind.public_key_field is None:
        indicator = b'{"value":"%b","type_id":%d,"file":%b' % (value, HASH, _file(event))
    else:
        indicator = b'{"value":"%b","type_id":%d' % (value, DIGITAL_CERTIFICATE)
    has_reputations = "newReputations" in known_fields(event.kind)
    reputations = event.fields.get("newReputations", {}) if has_reputations else {}
    providers = providers_of(event.kind)
    found = [indicator + _reputation(each, providers.get(number)) for number, each in reputations.items()]
    return b'"osint":[%b]' % b",".join(found or [indicator + b"}"])


def _reputation(reputation: Mapping[str, Any], provider: Provider | None) -> bytes:
    """What is said of an indicator besides, and the end of it."""
    found: dict[str, Any] = {}
    level, created = reputation.get("trustLevel"), reputation.get("createDate")
    if level is not None:
        found["reputation"] = {
            "base_score": float(level),
            "score_id": _SCORES.get(level, 99),
            "score": TRUST_LEVELS.get(level, str(level)),
            "provider": str(reputation["providerId"]) if provider is None else provider.name,
        }
    if created is not None and 0 <= created <= _LATEST_SECOND:
        found["created_time"] = created * 1000
    return b"," + to_json(found)[1:] if found else b"}"


OCSF = Format(name="ocsf", content_type=b"application/json", render=_render, schema=ocsf_schema)
