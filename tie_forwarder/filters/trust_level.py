"""The filter by trust level: of a detection that of the endpoint, of a reputation change those after the change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tie_forwarder.events.event import Event

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
