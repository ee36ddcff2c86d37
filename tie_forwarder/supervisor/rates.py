"""How many events came and went lately: marks of the counts each second and each minute, for one day at most.

Owns: some 60 KB, whatever the load and however long it runs. The counts are those since the start of the process, so a
window that reaches further back than the start is as long as the process has lived, and says so.
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
