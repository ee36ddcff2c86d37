"""How soon a publisher that ended is started again: soon after a mishap, slowly while a person is needed."""

from __future__ import annotations

import random
from collections.abc import Callable

from tie_forwarder.backoff import Backoff
from tie_forwarder.supervisor.publisher_watch import PublisherWatch

_FIRST_SECONDS = 0.1
_MOST_SECONDS = 5.0
_BLOCKED_SECONDS = 6.0


class PublisherBackoff(Backoff):
    """Doubles from a tenth of a second to five; while the publisher is blocked, six at once. One thread."""

    def __init__(self, *, watch: PublisherWatch, uniform: Callable[[float, float], float] = random.uniform) -> None:
        super().__init__(first_seconds=_FIRST_SECONDS, most_seconds=_MOST_SECONDS, uniform=uniform)
        self._watch = watch
        self._spread = uniform

    def next_seconds(self) -> float:
        """The delay to wait now."""
        delay = super().next_seconds()
        trouble = self._watch.trouble
        if trouble is not None and trouble.error_class == "blocked":
            return _BLOCKED_SECONDS * self._spread(0.75, 1.25)
        return delay
