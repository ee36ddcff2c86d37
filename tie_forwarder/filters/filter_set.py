"""The filters that are in force together, and what each of them is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tie_forwarder.events.event import Event

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
