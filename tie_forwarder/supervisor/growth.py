"""The spool over time: how fast it grows and when it is full, and for how long its events have waited.

Owns: what is measured by the monotonic clock, so that a step of the wall clock changes none of it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_BETWEEN_SECONDS = 5.0
_LOOKS = 61
_LEAST_SECONDS = 15.0
_BETWEEN_MARKS_SECONDS = 2.0
_MARKS = 2_000


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


class Waiting:
    """For how long the oldest row has waited. Looked at each turn. One thread.

    Times of receipt come from the wall clock, which may be hours off before it is set; what this process has seen of
    the spool does not.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        """When the spool had been given which positions, from the newest position that the oldest row may have."""
        self._first_unknown: int | None = None
        self._oldest: int | None = None
        self._oldest_since = monotonic()

    def look(self, *, oldest: int | None, newest: int) -> None:
        """Takes down the position of the oldest row, and the highest that was ever given."""
        now = self._monotonic()
        if self._first_unknown is None:
            self._first_unknown = newest + 1
        if oldest != self._oldest:
            self._oldest, self._oldest_since = oldest, now
        while self._marks and (oldest is None or self._marks[0][1] < oldest):
            self._marks.popleft()
        if oldest is not None and (not self._marks or now - self._marks[-1][0] >= _BETWEEN_MARKS_SECONDS):
            self._marks.append((now, newest))

    @property
    def unmoved_seconds(self) -> float:
        """For how long the same row has been the oldest; 0 while there is none."""
        return 0.0 if self._oldest is None else self._monotonic() - self._oldest_since

    def received_at(self, received_at_ms: int | None, *, now: float) -> float | None:
        """When the oldest row was received, in seconds since the epoch by the clock as it is now.

        That is what the row says only where this process cannot know better: for rows that it found at its start.
        """
        if received_at_ms is None or self._oldest is None or not self._marks or self._first_unknown is None:
            return None
        at_the_latest = now - (self._monotonic() - self._marks[0][0])
        if self._oldest < self._first_unknown or len(self._marks) == _MARKS:
            return min(received_at_ms / 1000, at_the_latest)
        return at_the_latest
