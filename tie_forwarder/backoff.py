"""Exponential back-off with jitter, as a value that is asked for the next delay."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from `first_seconds` to `most_seconds`, each spread by up to a quarter either way.

    Not thread-safe. Never sleeps itself, so that every wait stays interruptible where it is made.
    """

    def __init__(
        self, *, first_seconds: float, most_seconds: float, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first = first_seconds
        self._most = most_seconds
        self._uniform = uniform
        self._next = first_seconds

    def next_seconds(self) -> float:
        """The delay to wait now; the one after it is twice as long."""
        delay = self._next
        self._next = min(delay * 2, self._most)
        return delay * self._uniform(0.75, 1.25)

    def reset(self) -> None:
        """Call it when the thing that failed has worked again."""
        self._next = self._first
