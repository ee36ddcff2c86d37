"""Whether this member receives what the others publish: a broker may withhold a topic without a word.

DXL grants every subscription, and checks the right to receive at delivery. The canary has a topic of its own, so it
comes back all the same. Only the output shows what has not arrived.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_OCCASIONS = 3
_LATE_SHARE = 0.25
"""How late an event may arrive, as a share of the time for which it counts as live."""


@dataclass
class _Missing:
    """What other members have published of one topic since this one last received something on it."""

    last_at: float
    occasions: int = 1


class WithheldTopics:
    """Compares topics that others publish with topics that arrive. `look` is for the main thread, the rest for one.

    A topic is withheld when others published events on it on three occasions, each longer apart than an event counts as
    live, and nothing arrived on it meanwhile. So neither history, nor a backlog, nor a burst that was missed while a
    receiver was replaced makes it so. Any event on the topic ends it, whatever becomes of the event.
    """

    def __init__(
        self, *, topics: Iterable[str], live_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`topics` are those that this member listens to; `live_seconds` is how old a live event may be."""
        self._topics = frozenset(topics)
        self._live_seconds = live_seconds
        self._late_seconds = _LATE_SHARE * live_seconds
        self._monotonic = monotonic
        self._missing: dict[str, _Missing] = {}
        self._ready_since: float | None = None

    def on_received(self, topics: Iterable[str]) -> None:
        """Events have arrived on these topics."""
        if self._missing:
            for topic in topics:
                self._missing.pop(topic, None)

    def on_live(self, topics: Iterable[str]) -> None:
        """Others have published events on these topics that they had just received."""
        now, since = self._monotonic(), self._ready_since
        if since is None or now - since < self._live_seconds + self._late_seconds:
            return  # the events may be older than this member's subscription
        for topic in self._topics.intersection(topics):
            missing = self._missing.get(topic)
            if missing is None:
                self._missing[topic] = _Missing(now)
            elif now - missing.last_at > self._live_seconds:
                missing.last_at = now
                missing.occasions += 1

    def look(self, *, ready: bool) -> None:
        """Whether the receiver is subscribed and hears its canary: what is missed otherwise has another cause."""
        if not ready:
            self._ready_since = None
            self._missing = {}
        elif self._ready_since is None:
            self._ready_since = self._monotonic()

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics on which others receive events and this member does not."""
        late = self._monotonic() - self._late_seconds
        # The last occasion counts once its event has had the time to arrive.
        return tuple(
            sorted(
                topic
                for topic, missing in list(self._missing.items())
                if missing.occasions - (missing.last_at > late) >= _OCCASIONS
            )
        )
