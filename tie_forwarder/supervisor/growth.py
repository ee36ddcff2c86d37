"""How long the spool holds out: how fast it has grown since it was smallest lately, and when that makes it full."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_BETWEEN_SECONDS = 5.0
_LOOKS = 61
_LEAST_SECONDS = 15.0


class Growth:
    """Looked at each turn. One thread.

    Measured from the smallest size of the last five minutes, so that an outage that has just begun is not averaged with
    the calm before it.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._looks: deque[tuple[float, int]] = deque(maxlen=_LOOKS)
        self._bytes = 0

    def look(self, size: int) -> None:
        """Takes down the size in bytes."""
        now = self._monotonic()
        self._bytes = size
        if not self._looks or now - self._looks[-1][0] >= _BETWEEN_SECONDS:
            self._looks.append((now, size))

    @property
    def bytes_per_second(self) -> float:
        """How fast it grows; 0 while it shrinks, or has not been watched for long enough."""
        if not self._looks:
            return 0.0
        # The last one of equals: the time before it began to grow does not count.
        smallest_at, smallest = min(self._looks, key=lambda look: (look[1], -look[0]))
        seconds = self._monotonic() - smallest_at
        return max(0.0, (self._bytes - smallest) / seconds) if seconds >= _LEAST_SECONDS else 0.0

    def full_in_seconds(self, limit: int) -> float | None:
        """When it reaches the limit if it goes on so; None when it does not grow."""
        pace = self.bytes_per_second
        return max(0, limit - self._bytes) / pace if pace > 0.0 else None
