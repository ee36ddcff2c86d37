"""How soon the flow commits: at the configured interval, and later while another member is seen to publish.

A member that stands by keeps copies of what the publishing one has in its own spool. While the output shows that this
one publishes, messages that arrive are held for a moment; most of them stand in the output by then and need neither be
decoded nor written. That makes standing by three times as cheap. Must not: hold back anything where nobody else is seen
to publish.
"""

from __future__ import annotations

import time
from collections.abc import Callable

HELD_SECONDS = 0.2
"""Longer than an event takes by way of the publishing member and the tail of this one."""
_ALIVE_SECONDS = 1.0


class Pace:
    """The commit interval as it is now. One thread."""

    def __init__(self, *, interval_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval_seconds
        self._monotonic = monotonic
        self._seen_at = -_ALIVE_SECONDS

    def on_seen(self) -> None:
        """Records of another member stand in the output."""
        self._seen_at = self._monotonic()

    def on_turn(self) -> None:
        """It is this member's turn to publish."""
        self._seen_at = -_ALIVE_SECONDS

    @property
    def holds(self) -> bool:
        """Whether another member publishes, so that what arrives is held for a moment."""
        return self._monotonic() - self._seen_at < _ALIVE_SECONDS

    @property
    def interval_seconds(self) -> float:
        """How long after one commit the next one may come."""
        return max(self._interval, HELD_SECONDS) if self.holds else self._interval
