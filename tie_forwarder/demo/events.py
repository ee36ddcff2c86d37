"""Synthetic TIE events, as a TIE server puts them on the wire, at a steady pace."""

from __future__ import annotations

import json
import random
import time
import uuid
from base64 import b64encode
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32}

_AGENTS = 12
_FILES = 40
_CERTIFICATES = 6
_STEMS = (
    "FOCUS_MALWARE",
    "invoice_",
    "svchost",
    "Setup",
    "update-",
    "photo",
    "Rechnung überfällig ",
    "見積書",
    "crack",
)
_SUFFIXES = (".EXE", ".exe", ".exe", ".dll", ".scr", ".pdf.exe", ".js", ".docm")


class Population:
    """Endpoints by their GUID, files by name and hashes, certificates by their hashes."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._agents = [f"{{{uuid.UUID(int=rng.getrandbits(128), version=4)}}}" for _ in range(_AGENTS)]
        self._files = [self._new_file() for _ in range(_FILES)]
        self._certificates = [self._new_certificate() for _ in range(_CERTIFICATES)]

    def agent(self) -> str:
        """One of the endpoints."""
        return self._rng.choice(self._agents)

    def file(self) -> dict[str, Any]:
        """The name and the hashes of one of the files, these in any order."""
        file = self._rng.choice(self._files)
        return {**file, "hashes": self._rng.sample(file["hashes"], len(file["hashes"]))}

    def certificate(self) -> dict[str, Any]:
        """The hashes of one of the certificates and of its key."""
        return dict(self._rng.choice(self._certificates))

    def _new_file(self) -> dict[str, Any]:
        rng = self._rng
        types = [kind for kind in DIGEST_BYTES if kind != "sha256" or rng.random() < 0.95]
        return {
            "name": f"{rng.choice(_STEMS)}{rng.randrange(1, 100)}{rng.choice(_SUFFIXES)}",
            "hashes": [self._new_hash(kind) for kind in types],
        }

    def _new_certificate(self) -> dict[str, Any]:
        return {"hashes": [self._new_hash("sha1")], "publicKeySha1": self._new_hash("sha1")["value"]}

    def _new_hash(self, kind: str) -> dict[str, str]:
        return {"type": kind, "value": b64encode(self._rng.randbytes(DIGEST_BYTES[kind])).decode("ascii")}


_TRUST_LEVELS = (1, 15, 30, 50, 70, 85, 99)
_KNOWN_MALICIOUS, _MOST_LIKELY_MALICIOUS, _MIGHT_BE_MALICIOUS = 1, 15, 30
_REMEDIATION_ACTION = 5
_LATEST_REPORT_SECONDS = 2 * 24 * 3600
_FILE_GTI, _FILE_ENTERPRISE, _CERTIFICATE_GTI, _CERTIFICATE_ENTERPRISE = 1, 3, 2, 4


class Synthetic(NamedTuple):
    """A payload and the name of the kind that it belongs to."""

    kind: str
    payload: bytes


def events(
    kinds: Sequence[str] = ("detection",),
    *,
    seed: int | None = None,
    invalid_percent: float = 0.0,
    now: Callable[[], float] = time.time,
) -> Iterator[Synthetic]:
    """Events without end, of the kinds in turn: files that recur on some endpoints, mostly of a moment ago.

    `invalid_percent` of them, evenly spread, are broken in ways that the forwarder refuses.
    """
    rng = random.Random(seed)  # noqa: S311 - nothing secret about test data
    server = _Server(rng, now)
    owed = 50.0
    for kind in cycle(kinds):
        event = server.event(kind)
        owed += invalid_percent
        if owed >= 100.0:
            owed -= 100.0
            yield Synthetic(kind, _broken(rng, event))
        else:
            # TIE servers written in C end some payloads with the NUL of a string.
            yield Synthetic(kind, _wire(event) + (b"\0" if rng.random() < 0.2 else b""))


class _Server:
    """Makes one event after the other."""

    def __init__(self, rng: random.Random, now: Callable[[], float]) -> None:
        self._rng = rng
        self._now = now
        self._population = Population(rng)
        self._makers: dict[str, Callable[[], dict[str, Any]]] = {
            "detection": self._detection,
            "first_instance": self._first_instance,
            "file_reputation_change": self._file_reputation_change,
            "certificate_reputation_change": self._certificate_reputation_change,
        }

    def event(self, kind: str) -> dict[str, Any]:
        return self._makers[kind]()

    def _detection(self) -> dict[str, Any]:
        return {
            "agentGuid": self._population.agent(),
            "detectionTime": int(self._now()) - self._report_delay(),
            "localReputation": _KNOWN_MALICIOUS if self._rng.random() < 0.9 else self._less_certain(),
            "remediationAction": _REMEDIATION_ACTION,
            **self._population.file(),
        }

    def _first_instance(self) -> dict[str, Any]:
        return {"agentGuid": self._population.agent(), **self._population.file()}

    def _file_reputation_change(self) -> dict[str, Any]:
        change = self._change(_FILE_GTI, _FILE_ENTERPRISE, {"2101652": "12", "2111893": "244"})
        signed = self._rng.random() < 0.5
        return {
            "hashes": self._population.file()["hashes"],
            **change,
            **({"relationships": {"certificate": self._population.certificate()}} if signed else {}),
        }

    def _certificate_reputation_change(self) -> dict[str, Any]:
        change = self._change(_CERTIFICATE_GTI, _CERTIFICATE_ENTERPRISE, {"2109333": "12"})
        if self._rng.random() < 0.3:
            excepted = [{"hashes": self._population.file()["hashes"]}]
            change["newReputations"]["reputations"][1]["overridden"] = {"files": excepted, "truncated": 0}
        return {**self._population.certificate(), **change}

    def _change(self, steady: int, changing: int, attributes: dict[str, str]) -> dict[str, Any]:
        """All reputations before and after; that of one provider has changed."""
        now = int(self._now())
        gti = {"createDate": now - 90_000, "providerId": steady, "trustLevel": self._rng.choice(_TRUST_LEVELS)}
        old, new = self._rng.sample(_TRUST_LEVELS, 2)
        return {
            name: {
                "reputations": [
                    dict(gti),
                    {"attributes": attributes, "createDate": now - 60, "providerId": changing, "trustLevel": level},
                ],
                "props": {"serverTime": now},
            }
            for name, level in (("oldReputations", old), ("newReputations", new))
        } | {"updateTime": now}

    def _report_delay(self) -> int:
        """Endpoints report at once, unless they were away from their network."""
        return (
            self._rng.randrange(0, 3) if self._rng.random() < 0.95 else self._rng.randrange(60, _LATEST_REPORT_SECONDS)
        )

    def _less_certain(self) -> int:
        return self._rng.choice((_MOST_LIKELY_MALICIOUS, _MIGHT_BE_MALICIOUS))


def _wire(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _broken(rng: random.Random, event: dict[str, Any]) -> bytes:
    whole = _wire(event)
    hex_digest = {"type": "md5", "value": rng.randbytes(16).hex()}
    time_field = next((name for name in ("detectionTime", "updateTime") if name in event), None)
    return rng.choice(
        (
            whole[: rng.randrange(1, len(whole))],
            b"",
            b"not JSON at all",
            _wire([event]),
            _wire({**event, "hashes": [{}]}),
            _wire({**event, "hashes": None}),
            _wire({**event, "hashes": [hex_digest]}),
            _wire({**event, time_field or "agentGuid": "yesterday" if time_field else 1}),
            json.dumps({**event, "name": "Überfällig.exe"}, ensure_ascii=False).encode("latin-1", "replace"),
        )
    )


_FORGIVEN_AFTER_SECONDS = 1.0
_LONGEST_SECONDS = 1e6
"""What the system can wait for; the slowest rates would be beyond it."""


class Pace:
    """Says when each turn is due, `rate` turns a second. A delay is caught up with, unless it is longer than a second.

    Pure but for the clock; one thread.
    """

    def __init__(self, *, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = min(1.0 / rate, _LONGEST_SECONDS)
        self._clock = clock
        self._due = clock()

    def next_wait_seconds(self) -> float:
        """Seconds until the next turn, 0 when it is due or late; each call stands for one turn."""
        now = self._clock()
        if now - self._due > _FORGIVEN_AFTER_SECONDS:
            self._due = now
        wait = max(self._due - now, 0.0)
        self._due += self._interval
        return wait
