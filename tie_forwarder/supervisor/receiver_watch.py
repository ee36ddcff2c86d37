"""What the supervisor knows of the receivers, and when one has to go. Pure: statuses in, verdicts out."""

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
    closing: bool = False
    """Whether it receives nothing any more and only delivers what it holds."""
    presence_cut: bool = False
    """Whether the connection was lost right after the first presence event was sent."""
    heard: tuple[str, ...] = ()
    """Other members of the group that were heard on the fabric since the status before."""

    @classmethod
    def of(cls, body: dict[str, Any]) -> ReceiverStatus:
        """From a frame's body; fields that this version does not know are left out."""
        fields = {name: body[name] for name in cls.__dataclass_fields__ if name in body}
        fields["missing_subscriptions"] = tuple(fields.get("missing_subscriptions", ()))
        fields["heard"] = tuple(fields.get("heard", ()))
        return cls(**fields)


class Fault(NamedTuple):
    """Why nothing can be received: `reason` is one of `conditions.CONDITIONS`, `text` is for people."""

    reason: str
    text: str


class ReceiverWatch:
    """Judges one receiver process. One thread writes, any may read the attributes.

    Silence counts only while we listen: a process whose frames wait in the pipe of a busy parent is not late.
    """

    def __init__(
        self,
        *,
        canary_timeout_seconds: float,
        monotonic: Callable[[], float],
        listened_at: Callable[[], float],
        misses_after_seconds: float = 4.5,
    ) -> None:
        """After `misses_after_seconds` without a sign from the fabric events may have been missed (`hears`)."""
        self._canary_timeout = canary_timeout_seconds
        self._misses_after = misses_after_seconds
        self._monotonic = monotonic
        self._listened_at = listened_at
        self.status = ReceiverStatus()
        self._status_at: float | None = None
        self.received_at: float | None = None
        """When the last message came, by the status that told of it; None before the first."""
        self.canary_at: float | None = None
        """When the last canary came back; None before the first."""
        self.is_successor = False
        """Whether the process holds what it receives, because another one still delivers."""
        self._started_at = self._phase_at = self._heard_at = monotonic()
        self._messages_at: float | None = None

    def on_status(self, body: dict[str, Any]) -> None:
        """A status frame has come."""
        before, self.status = self.status, ReceiverStatus.of(body)
        self._status_at = self._heard_at = self._monotonic()
        if self.status.phase != before.phase:
            self._phase_at = self._status_at
        if self.status.received != before.received:
            self.received_at = self._status_at
        if self.status.canary_answered_seconds_ago is not None:
            self.canary_at = self._status_at - self.status.canary_answered_seconds_ago

    def on_messages(self) -> None:
        """Messages have come: a sign of life like a status, which may have to wait behind them."""
        self._heard_at = self._messages_at = self._monotonic()

    @property
    def subscribed(self) -> bool:
        """Whether the broker has granted every subscription on a connection that is not known to be lost."""
        return self.connected and not self.status.missing_subscriptions

    @property
    def connected(self) -> bool:
        """Whether there is a connection that events may come through, as far as the receiver knows."""
        return self.status.phase == "receiving" and self.status.connected

    @property
    def ready(self) -> bool:
        """Whether events can be received now, as far as the canary shows."""
        now = self._listened_at()
        return (
            self.subscribed
            and self._silent_seconds(now) <= self._canary_timeout
            and now - self._heard_at <= _HEARTBEAT_SECONDS
        )

    @property
    def hears(self) -> bool:
        """Whether events come in, as the last seconds show. If not, other members may receive what this one misses.

        Judged sooner than `ready` and than a replacement, which have to be right; this only has to be early.
        """
        status, now = self.status, self._listened_at()
        if status.phase != "receiving" or not status.connected or status.missing_subscriptions:
            return False
        signs = [at for at in (self.received_at, self._messages_at) if at is not None]
        if status.canary_answered_seconds_ago is not None and self._status_at is not None:
            signs.append(self._status_at - status.canary_answered_seconds_ago)
        return bool(signs) and now - max(signs) <= self._misses_after

    def reason_to_replace(self) -> Replacement | None:
        """Why the living process must be replaced; None while it may go on."""
        now = self._listened_at()
        if self._status_at is None:
            late = now - self._started_at > _FIRST_HEARTBEAT_SECONDS
            return Replacement("heartbeat_late", "it gave no sign of life after its start") if late else None
        if now - self._heard_at > _HEARTBEAT_SECONDS:
            return Replacement("heartbeat_late", f"no sign of life for {now - self._heard_at:.0f} s")
        in_phase = now - self._phase_at
        if self.status.phase == "connecting" and in_phase > self._canary_timeout + _CONNECTING_SECONDS:
            return Replacement(
                "canary_late",
                f"a broker accepts connections, but connecting has not finished for {in_phase:.0f} s",
            )
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
        signs = [now - self.received_at] if self.received_at is not None else []
        if self.status.canary_answered_seconds_ago is not None:
            signs.append(self.status.canary_answered_seconds_ago)
        return min(signs, default=float("inf"))


class Reception:
    """What is known of the fabric from one receiver process to the next.

    The main thread replaces the watches and takes note of faults; the flow's thread only calls `on_listened`.
    """

    def __init__(
        self, *, canary_timeout_seconds: float, monotonic: Callable[[], float], misses_after_seconds: float = 4.5
    ) -> None:
        self._canary_timeout = canary_timeout_seconds
        self._misses_after = misses_after_seconds
        self._monotonic = monotonic
        self._listened_at = monotonic()
        self._fault: Fault | None = None
        self._canary_at: float | None = None
        self.active = self.new_watch()
        """Judges the process whose messages are taken."""
        self.successor: ReceiverWatch | None = None
        """Judges the process that is to replace it, while there is one."""
        self.only_events_come = False
        """Whether the last event came when no canary had come back for longer than one may take."""
        self.not_replaced = ""
        """Why the last attempt to replace the active process failed; empty once one has succeeded."""

    def new_watch(self) -> ReceiverWatch:
        """For a process that starts now."""
        return ReceiverWatch(
            canary_timeout_seconds=self._canary_timeout,
            monotonic=self._monotonic,
            listened_at=lambda: self._listened_at,
            misses_after_seconds=self._misses_after,
        )

    def on_listened(self) -> None:
        """Everything that had come has been read."""
        self._listened_at = self._monotonic()

    @property
    def status(self) -> ReceiverStatus:
        """What the active process said last."""
        return self.active.status

    @property
    def queue(self) -> int:
        """How many messages wait in the receivers."""
        return self.active.status.queue + (0 if self.successor is None else self.successor.status.queue)

    @property
    def ready(self) -> bool:
        """Whether events can be received now: a successor that is subscribed keeps them until it may deliver."""
        return self.active.ready or (self.successor is not None and self.successor.ready)

    @property
    def hears(self) -> bool:
        """Whether events come in, over the active process or its successor."""
        return self.active.hears or (self.successor is not None and self.successor.hears)

    @property
    def fault(self) -> Fault | None:
        """Why nothing can be received; None while something can, and while nothing is known yet."""
        if self.ready:
            return None
        if self._fault is None and self.active.connected:
            return Fault("deaf", "neither the canary nor an event comes back")
        return self._fault

    def look(self) -> None:
        """Takes note of the verdict on the active process; to be called each turn.

        The fault stays while processes come and go, until one of them has received or a verdict says something else.
        """
        active, status = self.active, self.active.status
        if self._canary_at is None and active.connected:
            self._canary_at = self._monotonic()  # from here on one was to be expected
        if active.canary_at is not None:
            self._canary_at = active.canary_at
        if active.received_at is not None and self._canary_at is not None:
            self.only_events_come = active.received_at - self._canary_at > self._canary_timeout
        replacement = active.reason_to_replace()
        if self.ready:
            self._fault = None
        elif status.refused_subscription:
            self._fault = Fault("subscription_refused", status.refused_subscription)
        elif status.lost or (status.phase == "waiting" and status.trouble):
            self._fault = Fault("fabric_unreachable", status.lost or status.trouble)
        elif replacement is not None:
            self._fault = Fault("deaf" if active.connected else "fabric_unreachable", replacement.text)

    def on_exit(self, text: str, *, connection_lost: bool) -> None:
        """The active process has ended and there is no successor."""
        if self._fault is None or connection_lost:
            self._fault = Fault("fabric_unreachable", text)

    def cannot_start(self, reason: str, remedy: str) -> None:
        """No process can be started now; it is tried again."""
        if not self.ready:
            self._fault = Fault("fabric_unreachable", f"{reason}; {remedy}")
