"""How the counts change: rates of the last seconds, hour and day, the spool's growth, and surges of dead letters.

Memory is bounded at some 60 KB, however long it runs.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

COUNTS = ("received", "published", "settled", "filtered", "dead_lettered", "dropped")

_MINUTE = 60.0
_HOUR_MINUTES = 60
_DAY_MINUTES = 24 * 60
_NOW_SECONDS = 10
_DRAWN = ("received", "published")


class Rates:
    """Looked at each turn. One thread."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started_at = monotonic()
        self._marks = {name: array("Q", [0]) for name in COUNTS}
        """One entry for each full minute since the start, of the last day."""
        self._minute = 0
        self._seconds: deque[tuple[float, tuple[int, ...]]] = deque(maxlen=_NOW_SECONDS + 1)
        self._counts: Mapping[str, int] = dict.fromkeys(COUNTS, 0)
        self._by_minute: dict[str, list[int]] = {name: [] for name in _DRAWN}

    def look(self, counts: Mapping[str, int]) -> None:
        """Takes down the counts as they are now."""
        now = self._monotonic()
        self._counts = counts
        if not self._seconds or now - self._seconds[-1][0] >= 1.0:
            self._seconds.append((now, tuple(counts[name] for name in COUNTS)))
        minute = int((now - self._started_at) / _MINUTE)
        if minute > self._minute:
            # A process that was stopped for days has missed many; more than a day of them tells nothing.
            self._mark(min(minute - self._minute, _DAY_MINUTES + 1))
            self._minute = minute

    def report(self) -> dict[str, Any]:
        """Counts of the last seconds, the last hour and the last day, each with how many seconds they cover.

        `by_minute` has a number for each full minute of the last hour, the newest at the end.
        """
        return {
            "now": self._of_last_seconds(),
            "last_hour": self._since(_HOUR_MINUTES),
            "last_day": self._since(_DAY_MINUTES),
            "by_minute": self._by_minute,
        }

    def _mark(self, times: int) -> None:
        for name, marks in self._marks.items():
            marks.extend([self._counts[name]] * times)
            del marks[: max(0, len(marks) - _DAY_MINUTES - 1)]
        self._by_minute = {name: _differences(self._marks[name][-_HOUR_MINUTES - 1 :]) for name in _DRAWN}

    def _of_last_seconds(self) -> dict[str, float]:
        if not self._seconds:
            return {"seconds": 0.0, **dict.fromkeys(COUNTS, 0)}
        since, before = self._seconds[0]
        return self._window(self._monotonic() - since, dict(zip(COUNTS, before, strict=True)))

    def _since(self, minutes: int) -> dict[str, float]:
        back = min(minutes, len(self._marks["received"]) - 1)
        since = self._started_at + (self._minute - back) * _MINUTE
        return self._window(self._monotonic() - since, {name: marks[-1 - back] for name, marks in self._marks.items()})

    def _window(self, seconds: float, before: Mapping[str, int]) -> dict[str, float]:
        return {"seconds": round(seconds, 1), **{name: self._counts[name] - before[name] for name in COUNTS}}


def _differences(marks: array[int]) -> list[int]:
    return [after - before for before, after in pairwise(marks)]


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
