"""Noticing that many events become dead letters: invalid ones, ones that we misread, ones that Kafka refuses."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WITHIN_SECONDS = 60.0
_LEAST_DEAD = 20
_LEAST_SHARE = 0.1


class Surge:
    """Looked at each turn. One thread."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._looks = deque([(monotonic(), 0, 0, 0)])
        self.seen_at: float | None = None
        """When it was last so, by the monotonic clock."""
        self.text = ""

    def look(self, *, received: int, published: int, dead: int) -> None:
        """Takes down the counts since the start as they are now: events received, records published, dead letters."""
        moment = self._monotonic()
        if moment - self._looks[-1][0] >= 1.0:
            self._looks.append((moment, received, published, dead))
        while len(self._looks) > 1 and moment - self._looks[0][0] > _WITHIN_SECONDS:
            self._looks.popleft()
        _, received_before, published_before, dead_before = self._looks[0]
        # What Kafka refuses may come from a backlog, while nothing is received.
        came, found = max(received - received_before, published - published_before), dead - dead_before
        if found >= _LEAST_DEAD and found >= _LEAST_SHARE * came:
            self.seen_at = moment
            self.text = f"{found} of the last {max(came, found)} events became dead letters"
