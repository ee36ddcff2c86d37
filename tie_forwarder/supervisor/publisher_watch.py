"""What the supervisor knows of the publisher, and when it has to go. Pure: statuses and reports in, verdicts out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tie_forwarder.records.record import shortened
from tie_forwarder.status.health import Compacted, Trouble
from tie_forwarder.supervisor.receiver_watch import Replacement

_FIRST_HEARTBEAT_SECONDS = 30.0
_HEARTBEAT_SECONDS = 10.0
_STANDSTILL_LOOKS = 60
"""Statuses, one each second. Longer than any other time limit of the publisher's main thread. Counted in statuses,
because a process that was stopped as a whole has sent none meanwhile."""
_CALM_SECONDS = 5.0
"""Longer than a process takes to meet again what ended the one before it."""
_MOST_MEMBERS = 20
_VAGUE = ("timeout", "unknown", "renewed", "stuck")


@dataclass(frozen=True)
class RoleSince:
    """What this member is, why, and since when (seconds since the epoch)."""

    role: str
    reason: str
    since: float


class PublisherWatch:
    """Judges one publisher process after the other. One thread writes, any may read the attributes.

    A trouble that ended a process outlives it, until a later one has published or has been well for a while: only so
    can a state be shown while processes come and go. What a person must mend is not hidden by a mere time-out.
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
        self.members: dict[str, float] = {}
        """Who was seen to publish, and when last (seconds since the epoch); the latest at the end."""
        self.connected = False
        self.waiting_seconds = 0.0
        self.trouble: Trouble | None = None
        self.compacted: Compacted | None = None
        """The output topics that forget events; None when all is well, or nothing is known."""
        self.batch_rows: int | None = None
        """With how many rows the next process begins; None while none has told."""
        self.unlisted: frozenset[str] = frozenset()
        """Kinds that `dxl.events` does not list, and that still had events in the spool."""
        self._trouble_was_the_end = False
        self._connected_at = self._listened_at = monotonic()
        self.started()

    def started(self) -> None:
        """A new process starts now."""
        self._started_at = self._monotonic()
        self._status_at: float | None = None
        self._progress: int | None = None
        self._standstill_looks = 0
        self._well_since: float | None = None
        self.connected = False
        self.waiting_seconds = 0.0

    def cannot_start(self, reason: str, remedy: str) -> None:
        """No process can be started now; it is tried again."""
        self._end_with(Trouble("blocked", "cannot_start", reason, remedy))

    def on_listened(self) -> None:
        """Everything that had come has been read: silence counts only while we listen."""
        self._listened_at = self._monotonic()

    def on_status(self, body: dict[str, Any]) -> None:
        """A status frame has come."""
        self._status_at = self._monotonic()
        self._standstill_looks = self._standstill_looks + 1 if body["progress"] == self._progress else 0
        self._progress = body["progress"]
        self.batch_rows = body["batch_rows"]
        self.connected = body["connected"]
        if self.connected:
            self._connected_at = self._status_at
        self.waiting_seconds = body["waiting_seconds"]
        well = body["trouble"] is None and self.connected and self.waiting_seconds == 0.0
        if not well:
            self._well_since = None
        elif self._well_since is None:
            self._well_since = self._status_at
        if body["trouble"] is not None:
            self._take(Trouble.of(body["trouble"]))
        elif self._well_since is not None and (
            not self._trouble_was_the_end or self._status_at - self._well_since >= _CALM_SECONDS
        ):
            self._forget()

    @property
    def unconnected_seconds(self) -> float:
        """For how long there has been no connection, over all processes; 0 while there is one."""
        return 0.0 if self.connected else self._monotonic() - self._connected_at

    def on_published(self) -> None:
        """Kafka has taken records: whatever the trouble was, it is over."""
        self._forget()

    def on_role(self, role: str, reason: str | None) -> bool:
        """The member tells its role; whether that is another one than before."""
        if role == "taking_over" and reason not in (None, "renewed"):
            self.takeovers[str(reason)] += 1
        changed = role != self.role.role
        if changed:
            # Who stands by has no reason; who publishes has that of its takeover.
            kept = self.role.reason if role == "publishing" else ""
            self.role = RoleSince(role, reason or kept, self._now())
        return changed

    def on_remember(self, resume: dict[str, Any]) -> None:
        """The publisher hands on what its successor must know."""
        self.resume = resume
        newest = shortened(str(resume["memory"]["newest"]))
        if newest:
            self.members.pop(newest, None)
            self.members[newest] = self._now()
            for forgotten in list(self.members)[:-_MOST_MEMBERS]:
                del self.members[forgotten]

    def on_compacted(self, topics: list[str], remedy: str) -> None:
        """The publisher has looked at the clean-up policy of the output topics."""
        self.compacted = Compacted(tuple(topics), remedy) if topics else None

    def on_unlisted(self, kind: str) -> None:
        """The process has met a kind that it knows no topic for, and ends; the next one must be told of it."""
        self.unlisted |= {kind}

    def on_error(self, body: dict[str, Any]) -> None:
        """The process reports why it ends."""
        self._end_with(Trouble.of(body))
        self.connected = False

    def reason_to_replace(self) -> Replacement | None:
        """Why the living process must be replaced; None while it may go on."""
        now = self._listened_at
        if self._status_at is None:
            late = now - self._started_at > _FIRST_HEARTBEAT_SECONDS
            return Replacement("heartbeat_late", "it gave no sign of life after its start") if late else None
        if now - self._status_at > _HEARTBEAT_SECONDS:
            return Replacement("heartbeat_late", f"no sign of life for {now - self._status_at:.0f} s")
        if self._standstill_looks >= _STANDSTILL_LOOKS:
            return Replacement("heartbeat_late", f"its main thread has stood still for {self._standstill_looks} s")
        return None

    def _take(self, trouble: Trouble) -> None:
        blocked_before = self.trouble is not None and self.trouble.error_class == "blocked"
        if not blocked_before or trouble.code not in _VAGUE:
            self.trouble = trouble

    def _end_with(self, trouble: Trouble) -> None:
        self._take(trouble)
        self._trouble_was_the_end = True

    def _forget(self) -> None:
        self.trouble = None
        self._trouble_was_the_end = False
