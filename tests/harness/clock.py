"""Time for parts that are given their clock."""

from __future__ import annotations


class Clock:
    """A clock, in seconds, that stands still until a test moves `now`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
