"""The documents of valid events, before anything is done to them: hypothesis strategies for each kind."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, 99, 1481301796])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
_DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}


def _base64_of(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda digest: base64.b64encode(digest).decode())


def _hash(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return _base64_of(_DIGEST_BYTES[name]).map(lambda value: {"type": name, "value": value})


def _hashes(*, least: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    types = st.lists(st.sampled_from(sorted(_DIGEST_BYTES)), min_size=least, unique=True)
    return types.flatmap(lambda chosen: st.tuples(*map(_hash, chosen))).map(list)


_UNKNOWN = st.dictionaries(TEXT.map(lambda text: f"~{text}"), JSON, max_size=2)
_SHA1 = _base64_of(20)
_AGENTS = TEXT | st.uuids().map(lambda guid: f"{{{guid}}}")
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["2120340", "2101652", "2139285", "4194962", "", "x"]), TEXT | INTEGERS.map(str) | JSON, max_size=3
)
_OVERRIDDEN = st.fixed_dictionaries(
    {},
    optional={
        "files": st.lists(st.fixed_dictionaries({}, optional={"hashes": _hashes(least=0)}), max_size=2),
        "truncated": st.sampled_from([0, 1, True, False]),
    },
)


def _reputation(provider: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"providerId": st.just(provider)},
        optional={
            "trustLevel": INTEGERS,
            "createDate": INTEGERS,
            "attributes": _ATTRIBUTES,
            "overridden": _OVERRIDDEN,
            "~later": JSON,
        },
    )


_PROVIDERS = st.lists(st.sampled_from([1, 2, 3, 4, 5, 7, 15, -1, 2**63 - 1]), max_size=3, unique=True)
_REPUTATIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"reputations": _PROVIDERS.flatmap(lambda ids: st.tuples(*map(_reputation, ids))).map(list)},
    optional={"props": st.just({"serverTime": 1481219581}), "~later": JSON},
) | st.just({})
_CERTIFICATE = st.fixed_dictionaries({}, optional={"hashes": _hashes(least=0), "publicKeySha1": _SHA1, "~later": JSON})
_RELATIONSHIPS = st.fixed_dictionaries({}, optional={"certificate": _CERTIFICATE, "~later": JSON})


def _document(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    known = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda fields, unknown: {**fields, **unknown}, known, _UNKNOWN)


_CHANGE: dict[str, st.SearchStrategy[Any]] = {
    "newReputations": _REPUTATIONS,
    "oldReputations": _REPUTATIONS,
    "relationships": _RELATIONSHIPS,
    "updateTime": INTEGERS,
}
_KEY = {"publicKeySha1": _SHA1}

DOCUMENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "detection": _document(
        {"hashes": _hashes(least=1)},
        {
            "agentGuid": _AGENTS,
            "detectionTime": INTEGERS,
            "localReputation": INTEGERS,
            "name": TEXT,
            "remediationAction": INTEGERS,
        },
    ),
    "first_instance": _document({"hashes": _hashes(least=1)}, {"agentGuid": _AGENTS, "name": TEXT}),
    "file_reputation_change": _document({"hashes": _hashes(least=1)}, {**_CHANGE, **_KEY}),
    "certificate_reputation_change": _document({"hashes": _hashes(least=1)}, {**_CHANGE, **_KEY})
    | _document(_KEY, {**_CHANGE, "hashes": _hashes(least=0)}),
}
"""What a TIE server might publish, by kind."""
