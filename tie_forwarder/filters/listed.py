"""The filters by list: of hashes, and of endpoints. A list is a set of digests, whatever stood in its file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import ClassVar

from tie_forwarder.events.digests import DIGEST_BYTES
from tie_forwarder.events.event import Event

_AGENT_DIGEST_BYTES = 16


def agent_digest(agent: str) -> bytes:
    """What a list keeps of an endpoint's id: the same in every spelling of a GUID, as in the key of a record."""
    text = agent.strip("{}").lower()
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_AGENT_DIGEST_BYTES).digest()


@dataclass(frozen=True)
class HashFilter:
    """By the hashes of the file or certificate that the event is about, the hash of a public key included."""

    digests: Set[bytes] = field(repr=False)
    allow: bool
    """Whether only what is listed passes; else only what is not."""
    name: ClassVar[str] = "hash"

    @property
    def meaning(self) -> str:
        """What is true of an event that it catches."""
        which = "none" if self.allow else "one"
        return f"{which} of its hashes is among the {len(self.digests)} of filters.hashes_file"

    def catches(self, event: Event) -> bool:
        """Whether it has hashes, and they are or are not listed."""
        digests = list(_digests(event))
        return bool(digests) and self.digests.isdisjoint(digests) is self.allow


@dataclass(frozen=True)
class AgentFilter:
    """By the endpoint that the event is about."""

    digests: Set[bytes] = field(repr=False)
    allow: bool
    name: ClassVar[str] = "agent"

    @property
    def meaning(self) -> str:
        """What is true of an event that it catches."""
        return f"its agentGuid is {'not ' if self.allow else ''}among the {len(self.digests)} of filters.agents_file"

    def catches(self, event: Event) -> bool:
        """Whether it names an endpoint, and that is or is not listed."""
        agent = event.agent
        return bool(agent) and (agent_digest(agent or "") not in self.digests) is self.allow


def _digests(event: Event) -> Iterable[bytes]:
    """The hashes of known types: one of another type may be as long as these, and no list has it."""
    for name, digest in (event.fields.get("hashes") or {}).items():
        if name in DIGEST_BYTES:
            yield bytes.fromhex(digest)
    if public_key_hash := event.public_key_hash:
        yield bytes.fromhex(public_key_hash)
