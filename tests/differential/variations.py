"""What producers and attackers make of a document: its payload as it is, loosely typed, or hostile.

Owns: the knowledge of what is harmless, so that a test can tell a refusal that is right from one that loses an event.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_MAY_BE_NULL = {
    "agentGuid", "name", "detectionTime", "localReputation", "remediationAction", "updateTime", "trustLevel",
    "createDate", "attributes", "truncated",
}  # fmt: skip
_MAY_BE_ABSENT = _MAY_BE_NULL | {
    "newReputations", "oldReputations", "relationships", "certificate", "overridden", "files", "props",
}  # fmt: skip
_OTHER_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 0.5, 2**63, 2**64, 10**300, "", "1", "-3", "007", " 1", "1.0", "\u0661", "+1",
    "sha1", "SHA1", "sha-256", "md5", "reputations", "files", "hashes", "certificate", [], {}, [[]], [{}], {"": None},
    "AAEC", "AAE=", "AAF=", "AA-_", "AAEC\n", "!AAEC", "AAE", "00" * 16, "00" * 20, "qBrvmCig8E3vQgsu2GELDUMAIXM=",
    {"reputations": []}, {"reputations": [{"providerId": 1}]}, {"1": {"providerId": 1}},
    {"files": [{"hashes": [{"type": "sha1", "value": "qBrvmCig8E3vQgsu2GELDUMAIXM="}]}]}, {"files": ["hashes"]},
    {"certificate": {"hashes": []}}, [{"type": "sha1", "value": "qBrvmCig8E3vQgsu2GELDUMAIXM="}],
)  # fmt: skip
_TOO_DEEP: Any = json.loads("[" * 66 + "]" * 66)
_FRAGMENTS = (
    b'"', b",", b":", b"{", b"}", b"[", b"]", b"{}", b"[]", b"NaN", b"Infinity", b"-", b"1e999", b"\\ud800", b"\\u0000",
    b"\xef\xbb\xbf", b"\xff", b"\xc0\x80", b"\0", b"=", b"null", b'"name":"x",', b'"providerId":1,', b'"hashes":[],',
    b'"type":"md5",', b'"trustLevel":NaN,', b"[" * 70, b'{"a":' * 70,
)  # fmt: skip


_SCALARS = (b"null", b"1", b'"x"', b"NaN", b"-Infinity", b"1e999", b"-0", b"1e2", b"01", b"tru", b"9" * 5000, b"'x'")
_MEMBER = re.compile(rb'("[^"\\]*")\s*:\s*("[^"\\]*"|-?[0-9]+)')


class Variation(NamedTuple):
    """A payload."""

    payload: bytes
    harmless: bool
    """Whether it must be accepted: a server that is only careless could have published it."""


def variations(document: dict[str, Any], rng: random.Random, count: int) -> Iterator[Variation]:
    """The document as it is, then varied: a third of the payloads harmless, the others anything."""
    yield Variation(_written(document, rng), True)
    for number in range(1, count):
        varied = copy.deepcopy(document)
        if number % 3 == 0:
            for _ in range(rng.randint(1, 4)):
                _loosen(varied, rng)
            yield Variation(_written(varied, rng) + b"\0" * rng.choice((0, 0, 1, 2)), True)
            continue
        for _ in range(rng.randint(1, 2)):
            _spoil(varied, rng)
        payload = _written(varied, rng)
        yield Variation(_damaged(payload, rng) if rng.random() < 0.3 else payload, False)


def _written(document: dict[str, Any], rng: random.Random) -> bytes:
    separators = rng.choice(((",", ":"), (", ", ": "), (" ,\t", " :\r\n")))
    return json.dumps(document, ensure_ascii=rng.random() < 0.5, separators=separators).encode()


def _places(container: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of every object and every item of every list, as container and key."""
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        yield container, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _loosen(document: dict[str, Any], rng: random.Random) -> None:
    """One careless thing that no consumer would mind."""
    container, key = rng.choice(list(_places(document)))
    value = container[key]
    if type(value) is int and key != "truncated" and rng.random() < 0.7:
        container[key] = str(value)
    elif key == "truncated":
        container[key] = rng.choice((0, 1, "0", "1", True, False, None))
    elif key in _MAY_BE_NULL and rng.random() < 0.5:
        container[key] = None
    elif key in _MAY_BE_ABSENT:
        del container[key]
    elif key == "agentGuid":
        container[key] = "myagent"
    elif isinstance(value, dict) and value:
        members = list(value.items())
        rng.shuffle(members)
        container[key] = dict([*members, ("~newer", copy.deepcopy(rng.choice(_OTHER_VALUES)))])
    elif key == "hashes" and isinstance(value, list) and len(value) > 1:
        rng.shuffle(value)
        value.pop()


def _spoil(document: dict[str, Any], rng: random.Random) -> None:
    """One thing that may be wrong."""
    if not document:
        return
    places = list(_places(document))
    # By container first: leaves of hashes would else outnumber everything.
    containers = {id(container): container for container, _ in places}
    container = document if rng.random() < 0.4 else rng.choice(list(containers.values()))
    key = rng.choice(list(container) if isinstance(container, dict) else range(len(container)))
    what = rng.random()
    if what < 0.6:
        container[key] = copy.deepcopy(rng.choice((*_OTHER_VALUES, _TOO_DEEP)))
    elif what < 0.75:
        del container[key]
    elif isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    else:
        other_container, other_key = rng.choice(places)
        container[key] = copy.deepcopy(other_container[other_key])


def _damaged(payload: bytes, rng: random.Random) -> bytes:
    what = rng.random()
    if what < 0.05:
        return b"[" + payload + b"]"
    if what < 0.5:
        spot = rng.choice(list(_MEMBER.finditer(payload)) or [None])
        if spot is not None:
            member = rng.choice((payload[spot.start() : spot.end()], spot[1] + b":" + rng.choice(_SCALARS)))
            return payload[: spot.start()] + rng.choice((member, member + b"," + spot[0])) + payload[spot.end() :]
    start = rng.randrange(len(payload) + 1)
    end = min(len(payload), start + rng.randrange(6))
    middle = rng.choice((rng.choice(_FRAGMENTS), payload[start:end] * 2, rng.randbytes(rng.randrange(3)), b""))
    return payload[:start] + middle + payload[end:]
