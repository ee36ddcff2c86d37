"""Filters: which valid events are not forwarded, by trust level, by hash and by endpoint.

Each filter is one question about one event. A missing field never causes an event to be filtered. A filtered event is
counted and leaves no other trace. Everything but `load_filters` is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from tie_forwarder.config.faults import ConfigError, Fault
from tie_forwarder.config.list_files import ListFileError, agent_digest, read_agents, read_hashes
from tie_forwarder.config.sections import Filters
from tie_forwarder.events.event import Event
from tie_forwarder.events.fields import DIGEST_BYTES

FILTER_NAMES = ("trust_level", "hash", "agent")
"""Every filter's name, which is also the label of a metric."""


class Filter(Protocol):
    """One question about an event. Immutable, pure, safe on any thread."""

    @property
    def name(self) -> str:
        """One of `FILTER_NAMES`."""

    @property
    def meaning(self) -> str:
        """What is true of an event that it catches, in words."""

    def catches(self, event: Event) -> bool:
        """Whether the event is not to be forwarded."""


class FilterSet(NamedTuple):
    """Any number of filters; without one it catches nothing."""

    filters: tuple[Filter, ...] = ()

    def first_that_catches(self, event: Event) -> Filter | None:
        """The first filter by which the event is not forwarded; None when it is to be forwarded."""
        for each in self.filters:
            if each.catches(event):
                return each
        return None


NO_FILTERS = FilterSet()


NOT_SET = 0
"""The trust level that says nothing."""

_LOWEST, _HIGHEST = 1, 100


def _of_detection(fields: dict[str, Any]) -> Iterable[int | None]:
    return (fields.get("localReputation"),)


def _of_change(fields: dict[str, Any]) -> Iterable[int | None]:
    return (reputation.get("trustLevel") for reputation in (fields.get("newReputations") or {}).values())


# A first instance has none: what is called so in one is a field that nobody has validated.
_LEVELS: dict[str, Callable[[dict[str, Any]], Iterable[int | None]]] = {
    "detection": _of_detection,
    "file_reputation_change": _of_change,
    "certificate_reputation_change": _of_change,
}


@dataclass(frozen=True)
class TrustLevelFilter:
    """Lets an event pass when one of its trust levels lies within, or when it has none."""

    at_least: int | None
    at_most: int | None
    name: ClassVar[str] = "trust_level"

    @property
    def meaning(self) -> str:
        """What is true of an event that it catches."""
        least = _LOWEST if self.at_least is None else self.at_least
        most = _HIGHEST if self.at_most is None else self.at_most
        return f"it has no trust level from {least} to {most}"

    def catches(self, event: Event) -> bool:
        """Whether it has trust levels, and none of them lies within."""
        levels_of = _LEVELS.get(event.kind.name)
        if levels_of is None:
            return False
        levels = [level for level in levels_of(event.fields) if level not in (None, NOT_SET)]
        return bool(levels) and not any(map(self._lies_within, levels))

    def _lies_within(self, level: int | None) -> bool:
        assert level is not None
        return (self.at_least is None or level >= self.at_least) and (self.at_most is None or level <= self.at_most)


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


def load_filters(section: Filters) -> FilterSet:
    """The filters of the configuration. Blocks for the disk; raises `ConfigError`, which names option and file."""
    found: list[Filter] = []
    if section.trust_level_at_least is not None or section.trust_level_at_most is not None:
        found.append(TrustLevelFilter(section.trust_level_at_least, section.trust_level_at_most))
    for option, path, load in _lists(section):
        try:
            found.append(load())
        except ListFileError as error:
            raise ConfigError([Fault("", option, str(path), error.message, error.remedy)]) from error
    return FilterSet(tuple(found))


def _lists(section: Filters) -> Iterator[tuple[str, Path, Callable[[], Filter]]]:
    hashes, agents = section.hashes_file, section.agents_file
    if hashes is not None:
        allow = section.hashes_mode == "allow"
        yield "filters.hashes_file", hashes, lambda: HashFilter(read_hashes(hashes, allow=allow), allow)
    if agents is not None:
        only_these = section.agents_mode == "allow"
        yield "filters.agents_file", agents, lambda: AgentFilter(read_agents(agents, allow=only_these), only_these)
