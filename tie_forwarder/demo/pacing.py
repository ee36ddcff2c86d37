"""Steady pacing by a monotonic clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FORGIVEN_AFTER_SECONDS = 1.0
_LONGEST_SECONDS = 1e6
"""What the system can wait for; the slowest rates would be beyond it."""


class Pace:
    """Says when each turn is due, `rate` turns a second. A delay is caught up with, unless it is longer than a second.

    Pure but for the clock; one thread.
    """

    def __init__(self, *, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = min(1.0 / rate, _LONGEST_SECONDS)
        self._clock = clock
        self._due = clock()

    def next_wait_seconds(self) -> float:
        """Seconds until the next turn, 0 when it is due or late; each call stands for one turn."""
        now = self._clock()
        if now - self._due > _FORGIVEN_AFTER_SECONDS:
            self._due = now
        wait = max(self._due - now, 0.0)
        self._due += self._interval
        return wait
