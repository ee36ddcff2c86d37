"""Payloads of the kinds of event other than the detection, whose own stand in `payloads.py`: hostile and odd ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.data.payloads import SAMPLES

SHA1 = "qBrvmCig8E3vQgsu2GELDUMAIXM="
BOTH = ("file_reputation_change", "certificate_reputation_change")


class Case(NamedTuple):
    """A payload of a kind; what becomes of it is said where the cases stand."""

    kind: str
    payload: bytes


def changed(kind: str, change: Callable[[dict[str, Any]], object]) -> Case:
    """The sample of the kind after `change` has worked on its document."""
    document = json.loads(SAMPLES[kind])
    change(document)
    return Case(kind, json.dumps(document).encode())


def with_fields(kind: str, **fields: Any) -> Case:
    """The sample with fields changed or added; a field that is `...` is left out."""
    document = {**json.loads(SAMPLES[kind]), **fields}
    return Case(kind, json.dumps({name: value for name, value in document.items() if value is not ...}).encode())


def with_reputation(kind: str, **members: Any) -> Case:
    """The sample with members of its first new reputation changed or added; one that is `...` is left out."""
    document = json.loads(SAMPLES[kind])
    reputations = document["newReputations"]["reputations"]
    entry = {**reputations[0], **members}
    reputations[0] = {name: value for name, value in entry.items() if value is not ...}
    return Case(kind, json.dumps(document).encode())


def with_certificate(**members: Any) -> Case:
    """A file reputation change with these members of its certificate alone."""
    return with_fields("file_reputation_change", relationships={"certificate": members})


def hostile_cases() -> dict[str, tuple[Case, str]]:
    """By name: a payload that is no valid event of its kind, and the reason code that it must get."""
    cases: dict[str, tuple[Case, str]] = {
        "a first instance without hashes": (with_fields("first_instance", hashes=...), "no_hashes"),
        "a first instance whose agent is a number": (with_fields("first_instance", agentGuid=7), "bad_field"),
        "a first instance whose name is a list": (with_fields("first_instance", name=["a"]), "bad_field"),
        "a file without hashes": (with_fields("file_reputation_change", hashes=[]), "no_hashes"),
        "a file with a key's hash only": (
            with_fields("file_reputation_change", hashes=..., publicKeySha1=SHA1), "no_hashes",
        ),
        "a certificate without any hash": (
            with_fields("certificate_reputation_change", hashes=..., publicKeySha1=...), "no_hashes",
        ),
        "a certificate with an empty list of hashes alone": (
            with_fields("certificate_reputation_change", hashes=[], publicKeySha1=...), "no_hashes",
        ),
        "a certificate whose hashes are null": (
            with_fields("certificate_reputation_change", hashes=None), "bad_hash",
        ),
        "a certificate's hash of the key in hex": (
            with_fields("certificate_reputation_change", publicKeySha1="00" * 20), "bad_hash",
        ),
        "a certificate's hash of the key null": (
            with_fields("certificate_reputation_change", publicKeySha1=None), "bad_hash",
        ),
        "a certificate's hash of the key empty": (
            with_fields("certificate_reputation_change", publicKeySha1=""), "bad_hash",
        ),
        "a key's hash that is no base64, where it is unknown": (
            with_fields("file_reputation_change", publicKeySha1="?"), "bad_hash",
        ),
        "relationships null": (with_fields("file_reputation_change", relationships=None), "bad_field"),
        "relationships a list": (with_fields("file_reputation_change", relationships=[]), "bad_field"),
        "a certificate that is null": (
            with_fields("file_reputation_change", relationships={"certificate": None}), "bad_field",
        ),
        "a certificate that is a text": (
            with_fields("file_reputation_change", relationships={"certificate": "hashes"}), "bad_field",
        ),
        "a related certificate whose hashes are null": (with_certificate(hashes=None), "bad_hash"),
        "a related certificate with a short hash": (
            with_certificate(hashes=[{"type": "sha256", "value": SHA1}]), "bad_hash",
        ),
        "a related certificate with a key's hash that is null": (with_certificate(publicKeySha1=None), "bad_hash"),
        "a related certificate with a key's hash of an md5's length": (
            with_certificate(publicKeySha1="614rncUYF6CG17l+tSQQqw=="), "bad_hash",
        ),
    }  # fmt: skip
    for kind in BOTH:
        cases |= {f"{kind}: {name}": case for name, case in _hostile_reputations(kind).items()}
    return cases


def _hostile_reputations(kind: str) -> dict[str, tuple[Case, str]]:
    entry = {"providerId": 1, "trustLevel": 99}
    containers: dict[str, Any] = {
        "null": None,
        "a list": [],
        "a text": "reputations",
        "by provider already": {"1": entry},
        "a list that is null": {"reputations": None},
        "a list that is an object": {"reputations": {"1": entry}},
        "a list that is an empty object": {"reputations": {}},
        "an entry that is null": {"reputations": [None]},
        "an entry that is a list": {"reputations": [[entry]]},
        "a provider twice": {"reputations": [entry, entry]},
        "a provider twice, once in text": {"reputations": [entry, {"providerId": "1"}]},
    }
    providers: dict[str, Any] = {
        "missing": ..., "null": None, "true": True, "a fraction": 1.0, "words": "GTI", "a list": [1], "empty": "",
    }  # fmt: skip
    overridden: dict[str, Any] = {
        "null": None, "a list": [], "a text": "files", "files null": {"files": None}, "files an object": {"files": {}},
        "a file that is a text": {"files": ["hashes"]}, "a file that is null": {"files": [None]},
    }  # fmt: skip
    cases = {
        f"{name}: {what}": (with_fields(kind, **{name: value}), "bad_reputations")
        for name in ("newReputations", "oldReputations")
        for what, value in containers.items()
    }
    for what, value in providers.items():
        cases[f"a provider that is {what}"] = (with_reputation(kind, providerId=value), "bad_reputations")
    for what, value in overridden.items():
        cases[f"overridden: {what}"] = (with_reputation(kind, overridden=value), "bad_reputations")
    return cases | {
        "an overridden file whose hashes are null": (
            with_reputation(kind, overridden={"files": [{"hashes": None}]}), "bad_hash",
        ),
        "an overridden file with a hash of another length": (
            with_reputation(kind, overridden={"files": [{"hashes": [{"type": "md5", "value": SHA1}]}]}), "bad_hash",
        ),
        "truncated in words": (with_reputation(kind, overridden={"truncated": "no"}), "bad_field"),
        "a provider beyond 64 bits": (with_reputation(kind, providerId=2**63), "bad_field"),
        "a trust level in words": (with_reputation(kind, trustLevel="high"), "bad_field"),
        "a trust level that is true": (with_reputation(kind, trustLevel=True), "bad_field"),
        "a creation date in text": (with_reputation(kind, createDate="2016-12-09"), "bad_field"),
        "attributes that are a list": (with_reputation(kind, attributes=[]), "bad_field"),
        "an update time with a fraction": (with_fields(kind, updateTime=1481219581.5), "bad_field"),
    }  # fmt: skip


def odd_cases() -> dict[str, Case]:
    """By name: a payload that is odd, and valid."""
    cases = {
        "a first instance with hashes alone": with_fields("first_instance", agentGuid=..., name=...),
        "a first instance with nulls": with_fields("first_instance", agentGuid=None, name=None),
        "a first instance of no UUID": with_fields("first_instance", agentGuid="myagent"),
        "a certificate without the hash of its key": with_fields("certificate_reputation_change", publicKeySha1=...),
        "a certificate with the hash of its key alone": with_fields("certificate_reputation_change", hashes=...),
        "a certificate with an empty list of hashes": with_fields("certificate_reputation_change", hashes=[]),
        "relationships without a certificate": with_fields("file_reputation_change", relationships={}),
        "relationships of the future": with_fields("file_reputation_change", relationships={"parent": {"x": 1}}),
        "a related certificate without anything": with_certificate(),
        "a related certificate with an empty list of hashes": with_certificate(hashes=[]),
        "a related certificate with more": with_certificate(publicKeySha1=SHA1, serial="1"),
        "a related certificate in a certificate's event": with_fields(
            "certificate_reputation_change", relationships={"certificate": {"publicKeySha1": SHA1}}
        ),
        "the hash of a key in a file's event": with_fields("file_reputation_change", publicKeySha1=SHA1),
    }
    for kind in BOTH:
        cases |= {f"{kind}: {name}": case for name, case in _odd_reputations(kind).items()}
    return cases


def _odd_reputations(kind: str) -> dict[str, Case]:
    return {
        "the hashes alone": with_fields(
            kind, newReputations=..., oldReputations=..., updateTime=..., relationships=...
        ),
        "no reputation before": with_fields(kind, oldReputations={"reputations": []}),
        "nothing at all before": with_fields(kind, oldReputations={}),
        "something beside the list": changed(kind, lambda document: document["newReputations"].update(overridden={})),
        "no attributes": with_reputation(kind, attributes=...),
        "attributes null": with_reputation(kind, attributes=None),
        "attributes of other types": with_reputation(kind, attributes={"1": 1, "2": None, "3": [{"a": 1.5}], "": ""}),
        "nulls": with_reputation(kind, trustLevel=None, createDate=None),
        "a provider alone": with_reputation(kind, trustLevel=..., createDate=..., attributes=...),
        "a provider of the future": with_reputation(kind, providerId=-(2**63)),
        "a member of the future": with_reputation(kind, detectTime=1),
        "nothing overridden": with_reputation(kind, overridden={}),
        "overridden files without hashes": with_reputation(kind, overridden={"files": [{}, {"hashes": []}]}),
        "truncated 1": with_reputation(kind, overridden={"truncated": 1}),
        "truncated true": with_reputation(kind, overridden={"files": [], "truncated": True}),
        "truncated null": with_reputation(kind, overridden={"truncated": None}),
        "an update time of null": with_fields(kind, updateTime=None),
        "a field of the future": with_fields(kind, comment="why"),
    }
