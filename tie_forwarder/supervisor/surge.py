"""Noticing that much of what comes is no valid event: a flood of nonsense, or events that we misread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WITHIN_SECONDS = 60.0
_LEAST_INVALID = 20
_LEAST_SHARE = 0.1


class Surge:
    """Looked at each turn. One thread."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._now = now
        self._looks: deque[tuple[float, int, int]] = deque()
        self.seen_at: float | None = None
        """When it was last so, in seconds since the epoch."""
        self.text = ""

    def look(self, *, received: int, invalid: int) -> None:
        """Takes down the counts since the start as they are now."""
        moment = self._monotonic()
        if not self._looks or moment - self._looks[-1][0] >= 1.0:
            self._looks.append((moment, received, invalid))
        while moment - self._looks[0][0] > _WITHIN_SECONDS:
            self._looks.popleft()
        _, received_before, invalid_before = self._looks[0]
        came, found = received - received_before, invalid - invalid_before
        if found >= _LEAST_INVALID and found >= _LEAST_SHARE * came:
            self.seen_at = self._now()
            self.text = f"{found} of the last {max(came, found)} events are no valid ones"
