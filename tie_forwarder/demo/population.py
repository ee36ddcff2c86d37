"""What a synthetic TIE server knows: endpoints, files, and the certificates that sign some of them.

Owns: what they look like on the wire. Made once from a random generator, so that the same seed makes the same ones.
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

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
