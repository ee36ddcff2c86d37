"""The board: what the main loop writes down each turn, and the HTTP threads read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class Notice:
    """One consistent picture. Replaced as a whole, so that reading needs no lock."""

    live: bool = True
    ready: bool = False
    why_not_ready: str = "starting"
    status: dict[str, Any] = field(default_factory=dict)


class Board:
    """Holds the last notice, and tells when nobody has written one for too long."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._posted_at = monotonic()
        self.notice = Notice()

    def post(self, notice: Notice) -> None:
        """Takes the place of the last notice."""
        self.notice = notice
        self._posted_at = self._monotonic()

    @property
    def live(self) -> bool:
        """Whether every loop made progress when the last notice was written, and that was just now."""
        return self.notice.live and self._monotonic() - self._posted_at < _FRESH_SECONDS

    @property
    def report(self) -> dict[str, Any]:
        """What /status says: the last notice's report, which says so when it is old. Empty before the first one."""
        status = self.notice.status
        if not status or self.live:
            return status
        stalled = {
            "state": "degraded",
            "reason": "stalled",
            "detail": "a loop of the main process makes no progress; all that stands here is old",
            "remedy": "none: it ends itself within half a minute, for the service manager to start it again",
        }
        told = {name: stalled[name] for name in ("state", "reason", "remedy")}
        return {**status, **told, "since": status["now"], "problems": [stalled, *status["problems"]]}
