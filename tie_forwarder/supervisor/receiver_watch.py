"""What the supervisor knows of the receiver, and when it has to go. Pure: statuses in, verdicts out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

_FIRST_HEARTBEAT_SECONDS = 15.0
_HEARTBEAT_SECONDS = 6.0
_CONNECTING_SECONDS = 5.0
_SUBSCRIBING_SECONDS = 12.0


class Replacement(NamedTuple):
    """Why a child has to be replaced: `reason` is a metric's label, `text` is for people."""

    reason: str
    text: str


@dataclass(frozen=True)
class ReceiverStatus:
    """The receiver's last status frame."""

    phase: str = "starting"
    connected: bool = False
    missing_subscriptions: tuple[str, ...] = ()
    refused_subscription: str = ""
    canary_answered_seconds_ago: float | None = None
    queue: int = 0
    received: int = 0
    dropped: int = 0
    trouble: str = ""
    lost: str = ""
    heard: tuple[str, ...] = ()
    """Other members of the group that were heard on the fabric since the status before."""

    @classmethod
    def of(cls, body: dict[str, Any]) -> ReceiverStatus:
        """From a frame's body; fields that this version does not know are left out."""
        fields = {name: body[name] for name in cls.__dataclass_fields__ if name in body}
        fields["missing_subscriptions"] = tuple(fields.get("missing_subscriptions", ()))
        fields["heard"] = tuple(fields.get("heard", ()))
        return cls(**fields)


class ReceiverWatch:
    """Judges one receiver process after the other. One thread writes, any may read the attributes.

    Silence counts only while we listen: a process whose frames wait in the pipe of a busy parent is not late.
    """

    def __init__(
        self, *, canary_timeout_seconds: float, monotonic: Callable[[], float], misses_after_seconds: float = 4.5
    ) -> None:
        """After `misses_after_seconds` without a sign from the fabric events may have been missed (`hears`)."""
        self._canary_timeout = canary_timeout_seconds
        self._misses_after = misses_after_seconds
        self._monotonic = monotonic
        self._listened_at = monotonic()
        self.status = ReceiverStatus()
        self.refused_subscription = ""
        """The topic that the broker refused, until a process has received; processes come and go meanwhile."""
        self.started()

    def started(self) -> None:
        """A new process starts now."""
        self.status = ReceiverStatus(trouble=self.status.trouble or self.status.lost)
        self._status_at: float | None = None
        self._received_at: float | None = None
        self._messages_at: float | None = None
        self._started_at = self._phase_at = self._heard_at = self._monotonic()

    def cannot_start(self, reason: str, remedy: str) -> None:
        """No process can be started now; it is tried again."""
        self.status = ReceiverStatus(trouble=f"{reason}; {remedy}")

    def on_status(self, body: dict[str, Any]) -> None:
        """A status frame has come."""
        before, self.status = self.status, ReceiverStatus.of(body)
        self._status_at = self._heard_at = self._monotonic()
        if self.status.phase != before.phase:
            self._phase_at = self._status_at
        if self.status.received != before.received:
            self._received_at = self._status_at
        self.refused_subscription = self.status.refused_subscription or self.refused_subscription
        if self.ready:
            self.refused_subscription = ""

    def on_messages(self) -> None:
        """Messages have come: a sign of life like a status, which may have to wait behind them."""
        self._heard_at = self._messages_at = self._monotonic()

    def on_listened(self) -> None:
        """Everything that had come has been read."""
        self._listened_at = self._monotonic()

    @property
    def ready(self) -> bool:
        """Whether events can be received now, as far as the canary shows."""
        return (
            self.status.phase == "receiving"
            and self.status.connected
            and not self.status.missing_subscriptions
            and self._silent_seconds(self._monotonic()) <= self._canary_timeout
            and self._status_at is not None
            and self._monotonic() - self._heard_at <= _HEARTBEAT_SECONDS
        )

    @property
    def hears(self) -> bool:
        """Whether events come in, as the last seconds show. If not, other members may receive what this one misses.

        Judged sooner than `ready` and than a replacement, which have to be right; this only has to be early.
        """
        status, now = self.status, self._listened_at
        if status.phase != "receiving" or not status.connected or status.missing_subscriptions:
            return False
        signs = [at for at in (self._received_at, self._messages_at) if at is not None]
        if status.canary_answered_seconds_ago is not None and self._status_at is not None:
            signs.append(self._status_at - status.canary_answered_seconds_ago)
        return bool(signs) and now - max(signs) <= self._misses_after

    def reason_to_replace(self) -> Replacement | None:
        """Why the living process must be replaced; None while it may go on."""
        now = self._listened_at
        if self._status_at is None:
            late = now - self._started_at > _FIRST_HEARTBEAT_SECONDS
            return Replacement("heartbeat_late", "it gave no sign of life after its start") if late else None
        if now - self._heard_at > _HEARTBEAT_SECONDS:
            return Replacement("heartbeat_late", f"no sign of life for {now - self._heard_at:.0f} s")
        in_phase = now - self._phase_at
        if self.status.phase == "connecting" and in_phase > self._canary_timeout + _CONNECTING_SECONDS:
            return Replacement("canary_late", f"connecting has not ended for {in_phase:.0f} s")
        if self.status.phase == "receiving":
            return self._deaf(now, in_phase)
        return None

    def _deaf(self, now: float, in_phase: float) -> Replacement | None:
        status = self.status
        if status.refused_subscription:
            return Replacement("subscription", f"the broker refuses the subscription to {status.refused_subscription}")
        if status.missing_subscriptions and in_phase > _SUBSCRIBING_SECONDS:
            missing = ", ".join(status.missing_subscriptions)
            return Replacement("subscription", f"the broker has not granted {missing}")
        silent = min(self._silent_seconds(now), in_phase)
        if silent > self._canary_timeout:
            return Replacement("canary_late", f"the canary has not come back for {silent:.0f} s")
        return None

    def _silent_seconds(self, now: float) -> float:
        """Since the last sign that the subscription lives: a canary, or a message, behind which canaries may queue."""
        signs = [now - self._received_at] if self._received_at is not None else []
        if self.status.canary_answered_seconds_ago is not None:
            signs.append(self.status.canary_answered_seconds_ago)
        return min(signs, default=float("inf"))
