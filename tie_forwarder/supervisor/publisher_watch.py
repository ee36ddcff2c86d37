"""What the supervisor knows of the publisher, and when it has to go. Pure: statuses and reports in, verdicts out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tie_forwarder.supervisor.receiver_watch import Replacement

_FIRST_HEARTBEAT_SECONDS = 15.0
_HEARTBEAT_SECONDS = 10.0


@dataclass(frozen=True)
class Trouble:
    """Why nothing is published, as the publisher found out."""

    error_class: str
    code: str
    detail: str
    remedy: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Trouble:
        """From a verdict in a frame."""
        return cls(body["class"], body["code"], body["detail"], body["remedy"])


@dataclass(frozen=True)
class RoleSince:
    """What this member is, why, and since when (seconds since the epoch)."""

    role: str
    reason: str
    since: float


class PublisherWatch:
    """Judges one publisher process after the other. One thread writes, any may read the attributes.

    A trouble outlives the process that reported it, until a later one has published or stands by idle and connected:
    only so can a state be shown while processes come and go.
    """

    def __init__(
        self, *, first_role: str, monotonic: Callable[[], float], now: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._now = now
        self.role = RoleSince(first_role, "", now())
        self.takeovers: Counter[str] = Counter()
        """How often this member took over, by reason."""
        self.resume: dict[str, Any] | None = None
        """What the next publisher process must know of the ones before; None after the start of this process."""
        self.connected = False
        self.waiting_seconds = 0.0
        self.trouble: Trouble | None = None
        self._connected_at = monotonic()
        self.started()

    def started(self) -> None:
        """A new process starts now."""
        self._started_at = self._monotonic()
        self._status_at: float | None = None
        self.connected = False
        self.waiting_seconds = 0.0

    def on_status(self, body: dict[str, Any]) -> None:
        """A status frame has come."""
        self._status_at = self._monotonic()
        self.connected = body["connected"]
        if self.connected:
            self._connected_at = self._status_at
        self.waiting_seconds = body["waiting_seconds"]
        if body["trouble"] is not None:
            trouble = Trouble.of(body["trouble"])
            blocked_before = self.trouble is not None and self.trouble.error_class == "blocked"
            if not blocked_before or trouble.code != "timeout":
                self.trouble = trouble
        elif self.connected and self.waiting_seconds == 0.0:
            self.trouble = None

    @property
    def unconnected_seconds(self) -> float:
        """For how long there has been no connection, over all processes; 0 while there is one."""
        return 0.0 if self.connected else self._monotonic() - self._connected_at

    def on_published(self) -> None:
        """Kafka has taken records: whatever the trouble was, it is over."""
        self.trouble = None

    def on_role(self, role: str, reason: str | None) -> None:
        """The member's role has changed."""
        if role == "taking_over" and reason not in (None, "renewed"):
            self.takeovers[str(reason)] += 1
        if role != self.role.role:
            self.role = RoleSince(role, reason or self.role.reason, self._now())

    def on_remember(self, resume: dict[str, Any]) -> None:
        """The publisher hands on what its successor must know."""
        self.resume = resume

    def on_error(self, body: dict[str, Any]) -> None:
        """The process reports why it ends."""
        self.trouble = Trouble.of(body)
        self.connected = False

    def reason_to_replace(self) -> Replacement | None:
        """Why the living process must be replaced; None while it may go on."""
        now = self._monotonic()
        if self._status_at is None:
            late = now - self._started_at > _FIRST_HEARTBEAT_SECONDS
            return Replacement("heartbeat_late", "it gave no sign of life after its start") if late else None
        if now - self._status_at > _HEARTBEAT_SECONDS:
            return Replacement("heartbeat_late", f"no sign of life for {now - self._status_at:.0f} s")
        return None
