"""The payloads of the golden files, and the records that are made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.data.changes import Case, odd_cases
from tests.data.payloads import SAMPLES, message, wire, with_hash
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.intake import Accepted, Intake
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.record import Record

_ODD = odd_cases()
_SHA512 = "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="

CASES: dict[str, Case] = {
    "detection": Case("detection", SAMPLES["detection"]),
    "detection of an old server": Case(
        "detection",
        wire(hashes=[{"type": "sha1", "value": "Q139Rw9ydDfHy08Hy6H5ofQnJlY="}], name=..., remediationAction=...),
    ),
    "detection with loose types and nulls": Case(
        "detection", wire(detectionTime="1481301796", localReputation="15", name=None) + b"\0",
    ),
    "detection with more than is known": Case("detection", wire(agentGuid="myagent", severity={"level": [1, 2.5]})),
    "detection with a SHA-512": Case("detection", with_hash(type="sha512", value=_SHA512)),
    "detection out of time, in other words": Case(
        "detection", wire(detectionTime=-1, localReputation=7, name="\u00dcberf\u00e4llig \U0001f40d.exe"),
    ),
    "first instance": Case("first_instance", SAMPLES["first_instance"]),
    "first instance with hashes alone": _ODD["a first instance with hashes alone"],
    "file reputation change": Case("file_reputation_change", SAMPLES["file_reputation_change"]),
    "file reputation change with the hashes alone": _ODD["file_reputation_change: the hashes alone"],
    "certificate reputation change": Case("certificate_reputation_change", SAMPLES["certificate_reputation_change"]),
    "certificate reputation change with a provider of the future": _ODD[
        "certificate_reputation_change: a provider of the future"
    ],
}  # fmt: skip


def record_of(kind: str, payload: bytes, form: str) -> Record:
    """The record of a valid payload in a format, as intake makes it."""
    intake = Intake(fabric="main", key_by="agent_guid", kinds=(kind,), formats={kind: form})
    ids = {"source_client_id": "{client}", "source_broker_id": "{broker}"}
    accepted = intake.accept(message(payload, topic=KINDS[kind].topic, **ids))
    assert isinstance(accepted, Accepted)
    assert accepted.reason is None, accepted
    return accepted.record


def render(case: str, form: str) -> dict[str, Any]:
    """The record of a case, readable."""
    record = record_of(*CASES[case], form)
    value = record.value.decode()
    return {
        "key": None if record.key is None else record.key.decode(),
        "timestamp": record.received_at_ms,
        "headers": {name: text.decode() for name, text in record.headers},
        "value": value if FORMATS[form].schema is None else json.loads(value),
    }


def file_of(form: str) -> Path:
    """The golden file of a format."""
    return Path(__file__).with_name(f"{form}.json")


def as_text(document: Any) -> str:
    """As the files have it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
