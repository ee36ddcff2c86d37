"""The classes of OCSF that the kinds of events go to, and the JSON Schema of what is rendered for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from tie_forwarder.events.event import Kind
from tie_forwarder.events.schema import DIALECT
from tie_forwarder.records.formats.words import rest_schema

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
