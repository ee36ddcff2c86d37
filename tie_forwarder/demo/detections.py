"""Synthetic TIE detections, in the form in which a TIE server puts them on the wire.

Owns: what they look like. Must not: do I/O or keep time by itself; the same seed and clock give the same payloads.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AGENTS = 12
_FILES = 40
_DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32}
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
_KNOWN_MALICIOUS, _MOST_LIKELY_MALICIOUS, _MIGHT_BE_MALICIOUS = 1, 15, 30
_REMEDIATION_ACTION = 5
_LATEST_REPORT_SECONDS = 2 * 24 * 3600


def detections(
    *, seed: int | None = None, invalid_percent: float = 0.0, now: Callable[[], float] = time.time
) -> Iterator[bytes]:
    """Payloads without end: several endpoints, files that recur on some of them, mostly detected a moment ago.

    `invalid_percent` of them, evenly spread, are broken in ways that the forwarder refuses.
    """
    rng = random.Random(seed)  # noqa: S311 - nothing secret about test data
    agents = [f"{{{uuid.UUID(int=rng.getrandbits(128), version=4)}}}" for _ in range(_AGENTS)]
    files = [_file(rng) for _ in range(_FILES)]
    owed = 50.0
    while True:
        detection = {
            "agentGuid": rng.choice(agents),
            "detectionTime": int(now()) - _report_delay(rng),
            "localReputation": _KNOWN_MALICIOUS if rng.random() < 0.9 else _less_certain(rng),
            "remediationAction": _REMEDIATION_ACTION,
            **_shuffled_hashes(rng, rng.choice(files)),
        }
        owed += invalid_percent
        if owed >= 100.0:
            owed -= 100.0
            yield _broken(rng, detection)
        else:
            # TIE servers written in C end some payloads with the NUL of a string.
            yield _wire(detection) + (b"\0" if rng.random() < 0.2 else b"")


def _file(rng: random.Random) -> dict[str, Any]:
    types = [kind for kind in _DIGEST_BYTES if kind != "sha256" or rng.random() < 0.95]
    return {
        "name": f"{rng.choice(_STEMS)}{rng.randrange(1, 100)}{rng.choice(_SUFFIXES)}",
        "hashes": [
            {"type": kind, "value": b64encode(rng.randbytes(_DIGEST_BYTES[kind])).decode("ascii")} for kind in types
        ],
    }


def _shuffled_hashes(rng: random.Random, file: dict[str, Any]) -> dict[str, Any]:
    return {**file, "hashes": rng.sample(file["hashes"], len(file["hashes"]))}


def _report_delay(rng: random.Random) -> int:
    """Endpoints report at once, unless they were away from their network."""
    return rng.randrange(0, 3) if rng.random() < 0.95 else rng.randrange(60, _LATEST_REPORT_SECONDS)


def _less_certain(rng: random.Random) -> int:
    return rng.choice((_MOST_LIKELY_MALICIOUS, _MIGHT_BE_MALICIOUS))


def _wire(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _broken(rng: random.Random, detection: dict[str, Any]) -> bytes:
    whole = _wire(detection)
    hex_digest = {"type": "md5", "value": rng.randbytes(16).hex()}
    return rng.choice(
        (
            whole[: rng.randrange(1, len(whole))],
            b"",
            b"not JSON at all",
            _wire([detection]),
            _wire({**detection, "hashes": []}),
            _wire({**detection, "hashes": None}),
            _wire({**detection, "hashes": [hex_digest]}),
            _wire({**detection, "detectionTime": "yesterday"}),
            json.dumps({**detection, "name": "Überfällig.exe"}, ensure_ascii=False).encode("latin-1", "replace"),
        )
    )
